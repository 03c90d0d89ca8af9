import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decimalOf, formatNumber, sum, toNumber, unitsAt } from '../../src/space/decimal.js';
import { latticeSize } from '../../src/space/lattice.js';
import {
  type Coordinate,
  exactRemainder,
  type Parameter,
  type Point,
  remainder,
  Space,
} from '../../src/space/space.js';

const names = ['O2', 'H2O', 'x', 'CH4', 'alpha_1', 'CO2', 'H2', 'Zz'];

/** Steps from coarse to 1e-12, and finer than the filler's last digit. */
const stepSize = fc.oneof(
  fc.constantFrom(0.25, 0.1, 0.07, 0.01, 0.005, 1e-7, 3e-11, 1e-12),
  fc
    .tuple(fc.integer({ min: 1, max: 99 }), fc.integer({ min: 2, max: 12 }))
    .map(([units, scale]) => Number(`${units}e-${scale}`)),
);

/** A value that leaves room for seven others like it. */
const share = fc.oneof(
  fc.integer({ min: 0, max: 1_200_000_000 }).map((units) => units / 1e10),
  fc.double({ min: 0, max: 0.12, noNaN: true }),
);

const plainValue = fc.oneof(fc.integer({ min: -100, max: 100 }), fc.double({ min: -1e6, max: 1e6, noNaN: true }));

const bins = fc
  .tuple(stepSize, fc.option(fc.tuple(share, stepSize), { nil: undefined }))
  .map(([by, first]) => [...(first ? [{ below: first[0], by: first[1] }] : []), { below: 1, by }]);

function axisParameter(name: string, value: fc.Arbitrary<number>): fc.Arbitrary<Parameter> {
  return fc.record({ name: fc.constant(name), start: value, step: bins });
}

/** 1 to 8 dimensions, with and without a filler, at any place in the order; both modes and reaches where that is small. */
const anySpace = fc
  .record({
    dimensions: fc.integer({ min: 1, max: 8 }),
    filler: fc.boolean(),
    fillerAt: fc.nat(8),
    mode: fc.constantFrom('sides', 'diagonals'),
    reach: fc.integer({ min: 1, max: 3 }),
  })
  .chain(({ dimensions, filler, fillerAt, mode, reach }) => {
    const value = filler ? share : plainValue;
    const axes = fc.tuple(...names.slice(0, dimensions).map((name) => axisParameter(name, value)));
    return axes.map((parameters: Parameter[]) => {
      if (filler) parameters.splice(fillerAt % (dimensions + 1), 0, { name: 'N2', filler: true });
      const small = (2 * reach + 1) ** dimensions <= 800;
      return new Space({ parameters, mode: mode === 'diagonals' && small ? 'diagonals' : 'sides', reach });
    });
  });

/** A space and a point some steps from its start. */
const anyPoint = fc.tuple(anySpace, fc.array(fc.nat(), { maxLength: 6 })).map(([space, choices]) => ({
  space,
  point: choices.reduce((point, choice) => stepFrom(space, point, choice), space.start),
}));

function stepFrom(space: Space, point: Point, choice: number): Point {
  const neighbours = space.neighbours(point);
  return neighbours[choice % neighbours.length] ?? point;
}

const valuesOf = ({ coordinates }: Point) => coordinates.map(({ value }) => value);
const codesOf = (points: readonly Point[]) => points.map(({ code }) => code);

describe('a point', () => {
  test('decodes from its code, canonical already', () => {
    fc.assert(
      fc.property(anyPoint, ({ space, point }) => {
        const decoded = space.decode(point.code);
        expect(decoded.code).toBe(point.code);
        expect(decoded.hash).toBe(point.hash);
        expect(valuesOf(decoded)).toEqual(valuesOf(point));
        expect(Object.values(decoded.dictionary).map(formatNumber).join()).toBe(point.code);
        expect(point.values).toEqual(Object.values(decoded.dictionary));
      }),
    );
  });

  test('has one code however its numbers were written', () => {
    const styles = [
      (text: string) => ` ${text}\t`,
      (text: string) => (text.startsWith('-') ? text : `+${text}`),
      (text: string) => Number(text).toExponential().toUpperCase(),
      (text: string) => text.replace(/^(-?)0\./, '$1.'),
      (text: string) => (text.includes('e') ? text : `${text}00`),
    ];
    fc.assert(
      fc.property(
        anyPoint,
        fc.array(fc.nat(styles.length - 1), { minLength: 9, maxLength: 9 }),
        ({ space, point }, picks) => {
          const written = point.code.split(',').map((text, index) => styles[picks[index] as number]?.(text));
          expect(space.decode(written.join()).code).toBe(point.code);
        },
      ),
    );
  });

  test('does not depend on the order of the keys that name it', () => {
    const shuffled = anyPoint.chain(({ space, point }) => {
      const entries = Object.entries(point.dictionary).filter(([name]) => name !== space.filler);
      return fc.shuffledSubarray(entries, { minLength: entries.length }).map((changes) => ({ space, point, changes }));
    });
    fc.assert(
      fc.property(shuffled, ({ space, point, changes }) => {
        const named = space.pointWith(Object.fromEntries(changes));
        expect(named.code).toBe(point.code);
        expect(Object.keys(named.dictionary)).toEqual(space.names);
      }),
    );
  });

  test('sums to 1 to half of the last digit of its filler', () => {
    fc.assert(
      fc.property(anyPoint, ({ space, point }) => {
        if (space.filler === undefined) return;
        const total = sum(Object.values(point.dictionary).map(decimalOf));
        const scale = Math.max(total.scale, 11);
        const gap = unitsAt(total, scale) - 10n ** BigInt(scale);
        expect(gap <= 5n * 10n ** BigInt(scale - 11) && -gap <= 5n * 10n ** BigInt(scale - 11)).toBe(true);
        expect(point.dictionary[space.filler]).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('the filler', () => {
  test('is the same by the quick way and the exact one', () => {
    const concentration = fc.oneof(
      fc.integer({ min: 0, max: 10 ** 10 }).map((units) => units / 1e10),
      fc.integer({ min: 0, max: 10 ** 15 }).map((units) => units / 1e15),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.constantFrom(0, 1, 5e-11, 1.5e-10, 0.99999999995, 1e-300),
    );
    const axis = new Space({ parameters: [{ name: 'a', start: 0 }], mode: 'sides', reach: 1 }).axes[0];
    fc.assert(
      fc.property(fc.array(concentration, { maxLength: 8 }), (values) => {
        const coordinates = values.map((value) => axis?.at(value) as Coordinate);
        expect(formatNumber(remainder(coordinates))).toBe(formatNumber(exactRemainder(coordinates)));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('neighbours', () => {
  test('come each once, inside the bounds, and never as the point itself', () => {
    fc.assert(
      fc.property(anyPoint, ({ space, point }) => {
        const found = space.neighbours(point);
        const unique = new Set(codesOf(found));
        expect(unique.size).toBe(found.length);
        expect(unique.has(point.code)).toBe(false);
        for (const neighbour of found) {
          const moved = valuesOf(neighbour).filter((value, axis) => value !== valuesOf(point)[axis]);
          const most = space.filler === undefined ? Number.POSITIVE_INFINITY : 1;
          expect(moved.every((value) => value > 0 && value <= most)).toBe(true);
          if (space.definition.mode === 'sides') expect(moved).toHaveLength(1);
          expect(space.decode(neighbour.code).code).toBe(neighbour.code);
        }
      }),
    );
  });

  test('keep to a min and max of their own', () => {
    const bounded = fc.record({
      start: fc.constant(0.5),
      by: fc.constantFrom(0.1, 0.25, 0.03),
      min: share,
      max: fc.double({ min: 0.5, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(bounded, fc.array(fc.nat(), { maxLength: 20 }), ({ start, by, min, max }, choices) => {
        const parameters = [{ name: 'a', start, step: [{ below: 1, by }], min, max }];
        const space = new Space({ parameters, mode: 'sides', reach: 2 });
        let point = space.start;
        for (const choice of choices) {
          point = stepFrom(space, point, choice);
          expect(valuesOf(point)[0]).toBeGreaterThanOrEqual(min);
          expect(valuesOf(point)[0]).toBeLessThanOrEqual(max);
        }
      }),
    );
  });

  test('by sides are among those by diagonals', () => {
    fc.assert(
      fc.property(anyPoint, ({ space, point }) => {
        const { definition } = space;
        if ((2 * definition.reach + 1) ** space.axes.length > 800) return;
        const sides = codesOf(new Space({ ...definition, mode: 'sides' }).neighbours(point));
        const diagonals = new Set(codesOf(new Space({ ...definition, mode: 'diagonals' }).neighbours(point)));
        expect(sides.filter((code) => !diagonals.has(code))).toEqual([]);
      }),
    );
  });

  test('do not depend on the order in which points were visited', () => {
    fc.assert(
      fc.property(anyPoint, ({ space, point }) => {
        const fresh = new Space(space.definition);
        expect(codesOf(fresh.neighbours(fresh.decode(point.code)))).toEqual(codesOf(space.neighbours(point)));
      }),
    );
  });
});

/** A grid of whole steps: where k steps along each axis lead is known without the space. */
const anyGrid = fc.integer({ min: 1, max: 8 }).chain((dimensions) =>
  fc.record({
    steps: fc.array(stepSize, { minLength: dimensions, maxLength: dimensions }),
    from: fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 50 })), {
      minLength: dimensions,
      maxLength: dimensions,
    }),
    filler: fc.boolean(),
    reach: fc.integer({ min: 1, max: 3 }),
    walk: fc.array(fc.tuple(fc.nat(dimensions - 1), fc.integer({ min: -3, max: 3 })), { maxLength: 30 }),
  }),
);

function place(step: number, count: number): number {
  const { units, scale } = decimalOf(step);
  return toNumber({ units: units * BigInt(count), scale });
}

function axesOf(steps: readonly number[], counts: readonly number[]): Parameter[] {
  return steps.map((by, axis) => ({
    name: names[axis] as string,
    start: place(by, counts[axis] as number),
    step: [{ below: 1, by }],
  }));
}

describe('a walk on the grid', () => {
  test('reaches one place by one code, whatever the path, at any step', () => {
    fc.assert(
      fc.property(anyGrid, ({ steps, from, filler, reach, walk }) => {
        const parameters = axesOf(steps, from);
        fc.pre(!filler || parameters.reduce((total, { start = 0 }) => total + start, 0) < 1);
        if (filler) parameters.push({ name: 'N2', filler: true });
        const space = new Space({ parameters, mode: 'sides', reach });
        const counts = [...from];
        let point = space.start;
        for (const [axis, offset] of walk) {
          if (offset === 0 || Math.abs(offset) > reach) continue;
          const target = place(steps[axis] as number, (counts[axis] as number) + offset);
          const step = point.coordinates[axis]?.steps.find(({ value }) => value === target);
          expect(step !== undefined).toBe(target > 0 && (!filler || target <= 1));
          const next = space.neighbours(point).find(({ coordinates }) => step && coordinates[axis] === step);
          if (!filler) expect(next === undefined).toBe(step === undefined);
          if (next === undefined) continue;
          counts[axis] = (counts[axis] as number) + offset;
          point = next;
        }
        const texts = counts.map((count, axis) => formatNumber(place(steps[axis] as number, count)));
        expect(point.code.split(',').slice(0, steps.length)).toEqual(texts);
        expect(new Space(space.definition).decode(point.code).code).toBe(point.code);
      }),
    );
  });

  test('can go back the way it came', () => {
    fc.assert(
      fc.property(anyGrid, ({ steps, from, reach }) => {
        const parameters = axesOf(steps, from);
        const space = new Space({ parameters, mode: 'sides', reach });
        for (const neighbour of space.neighbours(space.start)) {
          expect(codesOf(space.neighbours(neighbour))).toContain(space.start.code);
        }
      }),
    );
  });
});

describe('the size of the lattice', () => {
  const smallStep = fc.constantFrom(0.1, 0.125, 0.2, 0.25, 0.3);
  const smallSpace = fc
    .record({
      axes: fc.array(
        fc.record({
          start: fc.constantFrom(0.01, 0.1, 0.125, 0.2, 0.3, 0.313),
          by: fc.option(smallStep),
          finer: fc.boolean(),
          max: fc.constantFrom(0.4, 0.7, 1),
        }),
        { minLength: 1, maxLength: 3 },
      ),
      filler: fc.boolean(),
      mode: fc.constantFrom('sides', 'diagonals'),
      reach: fc.integer({ min: 1, max: 2 }),
    })
    .map(({ axes, filler, mode, reach }) => {
      const parameters: Parameter[] = axes.map(({ start, by, finer, max }, axis) => ({
        name: names[axis] as string,
        start,
        max,
        step: by === null ? undefined : [...(finer ? [{ below: 0.3, by: by / 2 }] : []), { below: 1, by }],
      }));
      if (filler) parameters.push({ name: 'N2', filler: true });
      return new Space({ parameters, mode, reach });
    });

  function reachedFrom(space: Space): number {
    const found = new Map([[space.start.code, space.start]]);
    for (const point of found.values()) {
      for (const neighbour of space.neighbours(point)) {
        if (!found.has(neighbour.code)) found.set(neighbour.code, neighbour);
      }
    }
    return found.size;
  }

  test('is the number of points that a search finds where every point is stable', () => {
    const direct = (space: Space) =>
      space.filler === undefined ||
      space.definition.parameters.every(({ start = 0, step = [] }) => onSteps(start, step));
    fc.assert(
      fc.property(smallSpace.filter(direct), (space) => {
        expect(latticeSize(space)).toEqual({ points: reachedFrom(space), exact: true, endless: [] });
      }),
      { numRuns: 300 },
    );
  });

  test('is never less than that', () => {
    fc.assert(
      fc.property(smallSpace, (space) => {
        const points = reachedFrom(space);
        expect(latticeSize(space).points).toBeGreaterThanOrEqual(points);
        // Counted without a list of the values, it is the same, or says that it is a bound.
        const counted = latticeSize(space, 0);
        expect(counted.points).toBeGreaterThanOrEqual(points);
        if (counted.exact) expect(counted.points).toBe(points);
      }),
      { numRuns: 300 },
    );
  });
});

/** Whether every step from a start has a step back, so that no way is forced through a negative filler. */
function onSteps(start: number, step: readonly { by: number }[]): boolean {
  const [first] = step;
  if (first === undefined) return true;
  return step.length === 1 && place(first.by, Math.round(start / first.by)) === start;
}
