import { decimalOf, snap, toNumber, unitsAt } from './decimal.js';
import type { Axis, Coordinate, Space } from './space.js';

const axisValuesListed = 200_000;
const sumsCounted = 1_000_000;

/**
 * How many points a search reaches if every point is stable; beside a start off the lattice, or a change of step, a few
 * fewer, where the way to them leads through a negative filler.
 */
export interface LatticeSize {
  /** Infinite where an axis has no end. */
  points: number;
  /** False: an upper bound, the true number being too costly to count. */
  exact: boolean;
  /** The parameters that have steps, but no max. */
  endless: string[];
}

/** Counts the combinations of all axes' reachable values whose filler is not negative. */
export function latticeSize(space: Space, maxListed = axisValuesListed): LatticeSize {
  const axes = space.axes.map((axis, index) => sizeOf(axis, space.start.coordinates[index] as Coordinate, maxListed));
  const endless = space.axes.filter((_, index) => axes[index]?.count === Number.POSITIVE_INFINITY);
  const product = axes.reduce((total, { count }) => total * count, 1);
  const size = (points: number, exact: boolean) => ({ points, exact, endless: endless.map(({ name }) => name) });
  if (endless.length > 0) return size(Number.POSITIVE_INFINITY, false);
  if (space.filler === undefined) {
    return size(
      product,
      axes.every(({ exact }) => exact),
    );
  }
  const lists = axes.flatMap(({ values }) => (values ? [values] : []));
  const counted = lists.length < axes.length ? undefined : countSums(lists);
  return counted === undefined ? size(product, false) : size(counted, true);
}

interface AxisSize {
  count: number;
  exact: boolean;
  /** The values themselves, where they are few enough to be listed. */
  values?: Coordinate[];
}

function sizeOf(axis: Axis, start: Coordinate, maxListed: number): AxisSize {
  if (start.steps.length === 0) return { count: 1, exact: true, values: [start] };
  const { parameter } = axis;
  const bins = binsOf(axis);
  const estimate = bins.reduce((total, bin) => total + placesIn(bin), 0);
  const isBinned = (parameter.step ?? []).length > 1;
  if (estimate <= maxListed || (isBinned && estimate === Number.POSITIVE_INFINITY)) {
    const { values, all } = reachedFrom(start, maxListed + 1);
    if (all) return { count: values.length, exact: true, values };
  }
  const [only] = bins;
  if (isBinned || only === undefined) {
    // A step from one bin into another may land between the multiples of that.
    return { count: estimate + 1 + 2 * axis.reach * (parameter.step ?? []).length, exact: false };
  }
  return { count: estimate + (isPlaceIn(only, start) ? 0 : 1), exact: true };
}

/** The values that steps lead to from the start, and whether these are all. */
export function reachedFrom(start: Coordinate, max = axisValuesListed): { values: Coordinate[]; all: boolean } {
  // By text: an axis of many values forgets coordinates and makes them anew.
  const found = new Map([[start.text, start]]);
  for (const coordinate of found.values()) {
    for (const step of coordinate.steps) if (!found.has(step.text)) found.set(step.text, step);
    if (found.size > max) return { values: [...found.values()], all: false };
  }
  return { values: [...found.values()], all: true };
}

/** The multiples of one step that lie in its bin and within the bounds: `first · by` to `last · by`. */
export interface Bin {
  by: number;
  first: bigint;
  /** Undefined: without end. */
  last: bigint | undefined;
}

/** The bins of an axis in which there are steps; some may hold no multiple. */
export function binsOf({ parameter, max }: Axis): Bin[] {
  const { step = [], min } = parameter;
  return step.flatMap(({ by, below }, index): Bin[] => {
    if (by === 0) return [];
    const before = step[index - 1]?.below;
    const least = min === undefined ? 1n : placeAt(min, by, 'ceil');
    const first = before === undefined ? least : larger(least, placeAt(before, by, 'ceil'));
    const top = max === Number.MAX_VALUE ? undefined : placeAt(max, by, 'floor');
    if (index === step.length - 1) return [{ by, first, last: top }];
    const under = placeAt(below, by, 'ceil') - 1n;
    return [{ by, first, last: top === undefined || under < top ? under : top }];
  });
}

/** How many multiples a bin has. */
export function placesIn({ first, last }: Bin): number {
  if (last === undefined) return Number.POSITIVE_INFINITY;
  return last < first ? 0 : Number(last - first + 1n);
}

/** The value of a multiple. */
export function valueAt({ by }: Bin, place: bigint): number {
  const { units, scale } = decimalOf(by);
  return toNumber({ units: units * place, scale });
}

function isPlaceIn(bin: Bin, { value, decimal }: Coordinate): boolean {
  const place = placeAt(value, bin.by, 'floor');
  const isMultiple = toNumber(snap(decimal, decimalOf(bin.by), 0)) === value;
  return isMultiple && place >= bin.first && (bin.last === undefined || place <= bin.last);
}

/** How many steps it is from 0 to a value, rounded. */
function placeAt(value: number, by: number, toward: 'floor' | 'ceil'): bigint {
  const [numerator, denominator] = [decimalOf(value), decimalOf(by)];
  const scale = Math.max(numerator.scale, denominator.scale);
  const [units, step] = [unitsAt(numerator, scale), unitsAt(denominator, scale)];
  const quotient = units / step;
  const rest = units % step;
  if (rest === 0n) return quotient;
  if (toward === 'floor') return rest < 0n ? quotient - 1n : quotient;
  return rest > 0n ? quotient + 1n : quotient;
}

function larger(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

/** How many combinations sum to at most 1 (a rounding's half unit included); undefined when there are too many sums. */
function countSums(axes: readonly Coordinate[][]): number | undefined {
  const scale = Math.max(11, ...axes.flat().map(({ decimal }) => decimal.scale));
  const limit = 10n ** BigInt(scale) + 5n * 10n ** BigInt(scale - 11);
  let sums = new Map<bigint, number>([[0n, 1]]);
  for (const values of axes) {
    const units = values.map(({ decimal }) => unitsAt(decimal, scale));
    const next = new Map<bigint, number>();
    for (const [total, count] of sums) {
      for (const unit of units) {
        const sum = total + unit;
        if (sum <= limit) next.set(sum, (next.get(sum) ?? 0) + count);
      }
    }
    if (next.size > sumsCounted) return undefined;
    sums = next;
  }
  return [...sums.values()].reduce((total, count) => total + count, 0);
}
