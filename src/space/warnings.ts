import { formatNumber } from './decimal.js';
import { type Bin, binsOf, latticeSize, placesIn, reachedFrom, valueAt } from './lattice.js';
import type { Axis, Coordinate, Space } from './space.js';

/** More points than any fleet runs. */
const vastPoints = 1e8;
/** Values of an axis that are compared with those that are reached. */
const maxCompared = 50_000;

/** What is legal in a search, but most likely not meant: steps that lead nowhere, values that are not reached, a vast lattice. */
export function spaceWarnings(space: Space): string[] {
  const warnings = space.axes.flatMap((axis, index) => {
    return axis.steps ? axisWarnings(axis, space.start.coordinates[index] as Coordinate) : [];
  });
  const { points } = latticeSize(space);
  if (points > vastPoints) {
    const size = Number.isFinite(points) ? `${sayCount(points)} points` : 'without an end';
    warnings.push(
      `the lattice is vast (${size}): if most of it is stable, no fleet runs it; set min and max, or larger steps`,
    );
  }
  return warnings;
}

/** A number of points, in digits as far as these say something. */
export function sayCount(points: number): string {
  return points < 1e15 ? points.toLocaleString('en') : points.toExponential(1);
}

function axisWarnings(axis: Axis, start: Coordinate): string[] {
  const by = axis.stepAt(start.value);
  if (start.steps.length === 0) {
    return [`${axis.name}: no step leads anywhere from the start ${start.text}: ${whyNowhere(axis, start, by)}`];
  }
  const largest = Math.max(Math.abs(start.value), axis.max === Number.MAX_VALUE ? 0 : axis.max);
  if (by > 0 && largest + by === largest) {
    return [
      `${axis.name}: a step of ${formatNumber(by)} is below the resolution of doubles at ${formatNumber(largest)}`,
    ];
  }
  return unreachedWarning(axis, start);
}

function whyNowhere({ parameter, max }: Axis, { value }: Coordinate, by: number): string {
  if (by === 0) return 'the step of its bin is 0';
  const [up, down] = [value + by, value - by];
  if (up === value || down === value) return `a step of ${formatNumber(by)} is below the resolution of doubles there`;
  const least =
    parameter.min === undefined ? 'not over 0, and no min is given' : `under min ${formatNumber(parameter.min)}`;
  const above = up > max ? `over max ${formatNumber(max)}` : least;
  return `one step up it is ${above}; one step down, ${least}`;
}

/** A step down from the first value of a bin may lead past all values of the bins below it. */
function unreachedWarning(axis: Axis, start: Coordinate): string[] {
  const bins = binsOf(axis).filter(({ last }) => last !== undefined);
  const places = bins.reduce((total, bin) => total + placesIn(bin), 0);
  if ((axis.parameter.step ?? []).length < 2 || places > maxCompared) return [];
  const reached = new Set(reachedFrom(start).values.map(({ value }) => value));
  const missed = bins.map((bin) => placesOf(bin).filter((value) => axis.allows(value) && !reached.has(value)));
  const count = missed.reduce((total, values) => total + values.length, 0);
  if (count === 0) return [];
  const ranges = missed.flatMap((values) => (values.length > 0 ? [rangeOf(values)] : []));
  return [
    `${axis.name}: ${count} values are not reached from the start ${start.text} (${ranges.join(', ')}): steps of the other bins lead past them; start in the smallest bin`,
  ];
}

function placesOf(bin: Bin): number[] {
  return Array.from({ length: placesIn(bin) }, (_, index) => valueAt(bin, bin.first + BigInt(index)));
}

function rangeOf(values: readonly number[]): string {
  const [first, last] = [values[0] as number, values.at(-1) as number];
  return first === last ? formatNumber(first) : `${formatNumber(first)} to ${formatNumber(last)}`;
}
