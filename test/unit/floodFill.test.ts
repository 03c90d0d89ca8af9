import { expect, test } from 'vitest';
import { Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';

const axis = (name: string) => ({ name, start: 1, step: [{ below: 9, by: 1 }], max: 5 });
const square = new Space({ parameters: [axis('a'), axis('b')], mode: 'sides', reach: 1 });

test('the flood fill ends one step beyond the stable region', () => {
  const rows = floodFill(square, ({ dictionary: { a = 0, b = 0 } }) => a + b < 4);
  expect(
    rows
      .filter(({ stable }) => stable)
      .map(({ code }) => code)
      .sort(),
  ).toEqual(['1.0,1.0', '1.0,2.0', '2.0,1.0']);
  expect(
    rows
      .filter(({ stable }) => !stable)
      .map(({ code }) => code)
      .sort(),
  ).toEqual(['1.0,3.0', '2.0,2.0', '3.0,1.0']);
});

test('the flood fill stops at failed points', () => {
  expect(floodFill(square, () => null)).toHaveLength(1);
});
