import { describe, expect, test } from 'vitest';
import { parameterProblems } from '../../src/config/parameters.js';
import { type Parameter, Space } from '../../src/space/space.js';
import { spaceWarnings } from '../../src/space/warnings.js';

const by = (step: number) => [{ below: 1, by: step }];
const decades = [0.01, 0.1, 1].map((below) => ({ below, by: below / 10 }));
const spaceOf = (axis: Omit<Parameter, 'name'>, reach = 1) =>
  new Space({ parameters: [{ name: 'a', ...axis }], mode: 'sides', reach });

describe('what a search warns of', () => {
  test.each<[string, Omit<Parameter, 'name'>, RegExp]>([
    [
      'a step over the range',
      { start: 1, step: by(3), min: 0, max: 2 },
      /no step leads anywhere from the start 1\.0: one step up it is over max 2\.0; one step down, under min 0\.0/,
    ],
    [
      'a start below 0 without a min',
      { start: -5, step: by(1) },
      /no step leads anywhere from the start -5\.0: .* not over 0, and no min is given/,
    ],
    [
      'a step of 0 where the start is',
      {
        start: 1,
        step: [
          { below: 2, by: 0 },
          { below: 3, by: 1 },
        ],
      },
      /the step of its bin is 0/,
    ],
    [
      'a step below the resolution',
      { start: 1e16, step: by(0.1) },
      /a step of 0\.1 is below the resolution of doubles there/,
    ],
    [
      'a step below the resolution at the max',
      { start: 1, step: by(0.1), max: 1e16 },
      /below the resolution of doubles at 1e\+16/,
    ],
    ['a vast lattice', { start: 1, step: by(1e-9), min: 0.5, max: 2 }, /^the lattice is vast \(1,500,000,001 points\)/],
    ['no end', { start: 1, step: by(1) }, /^the lattice is vast \(without an end\)/],
    [
      'decades above which the start is',
      { start: 0.5, step: decades, max: 1 },
      /a: 18 values are not reached from the start 0\.5 \(0\.001 to 0\.009, 0\.01 to 0\.09\)/,
    ],
    [
      'a decade above which the start is',
      { start: 0.05, step: decades, max: 1 },
      /a: 9 values are not reached from the start 0\.05 \(0\.001 to 0\.009\)/,
    ],
  ])('%s', (_, axis, sentence) => {
    expect(spaceWarnings(spaceOf(axis))).toContainEqual(expect.stringMatching(sentence));
  });

  test.each<[string, Omit<Parameter, 'name'>]>([
    ['an axis as it should be', { start: 0.21, step: by(0.01), max: 0.3 }],
    ['a start at 0 that is left upward', { start: 0, step: by(1), max: 5 }],
    ['a start below 0 with a min', { start: -5, step: by(1), min: -9, max: 5 }],
    ['decades from the bottom up', { start: 0.001, step: decades, max: 1 }],
    [
      'bins that lead into each other',
      {
        start: 0.5,
        step: [
          { below: 0.3, by: 0.05 },
          { below: 1, by: 0.1 },
        ],
        max: 1,
      },
    ],
    ['a parameter that stays as it is', { start: -5 }],
  ])('not: %s', (_, axis) => {
    expect(spaceWarnings(spaceOf(axis))).toEqual([]);
  });
});

describe('a step out of the range of doubles', () => {
  test('is refused', () => {
    expect(parameterProblems({ a: { start: 1e308, step: 1e308 } })).toEqual([
      { path: ['parameters', 'a', 'step'], message: expect.stringContaining('out of the range of doubles') },
    ]);
    expect(parameterProblems({ a: { start: 1e308, step: 1e308, max: 1.5e308 } })).toEqual([]);
  });

  test('has no neighbour there', () => {
    const space = spaceOf({ start: 1e308, step: by(7e307) }, 2);
    expect(space.neighbours(space.start).every(({ values }) => values.every(Number.isFinite))).toBe(true);
  });
});
