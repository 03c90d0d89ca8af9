import { unitsAt } from './decimal.js';
import type { Axis, Coordinate, Space } from './space.js';

const axisValuesCounted = 200_000;
const sumsCounted = 1_000_000;

/**
 * How many points a search reaches if every point is stable; beside a start off the lattice, or a change of step, a few
 * fewer, where the way to them leads through a negative filler.
 */
export interface LatticeSize {
  /** Infinity where an axis has no end, or none within 200,000 values. */
  points: number;
  /** False: an upper bound, the true number being too costly to count. */
  exact: boolean;
}

/** Counts the combinations of all axes' reachable values whose filler is not negative. */
export function latticeSize(space: Space): LatticeSize {
  const axes = space.axes.map((axis, index) => reachable(axis, space.start.coordinates[index] as Coordinate));
  const known = axes.filter((values) => values !== undefined);
  if (known.length < axes.length) return { points: Number.POSITIVE_INFINITY, exact: false };
  const product = known.reduce((count, values) => count * values.length, 1);
  if (space.filler === undefined) return { points: product, exact: true };
  const counted = countSums(known);
  return counted === undefined ? { points: product, exact: false } : { points: counted, exact: true };
}

function reachable(axis: Axis, start: Coordinate): Coordinate[] | undefined {
  if (!axis.steps) return [start];
  // By text: an axis of many values forgets coordinates and makes them anew.
  const found = new Map([[start.text, start]]);
  for (const coordinate of found.values()) {
    for (const step of coordinate.steps) if (!found.has(step.text)) found.set(step.text, step);
    if (found.size > axisValuesCounted) return undefined;
  }
  return [...found.values()];
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
