import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { is, markOf, PointSet, PointTable } from '../../src/audit/pointTable.js';
import { type Point, Space } from '../../src/space/space.js';

const axis = (name: string) => ({ name, start: 0, step: [{ below: 1, by: 1 }], min: -50, max: 50 });
const plane = new Space({ parameters: [axis('a'), axis('b')], mode: 'sides', reach: 1 });
const pointAt = (a: number, b: number) => plane.pointWith({ a, b });
const markAt = (point: Point) => markOf(point, new Int32Array(4));

/** Marks that crowd: few first words, all at the end of the range, so that places run over into others and round the end. */
const crowdedMark = fc
  .tuple(fc.integer({ min: -3, max: -1 }), fc.nat(2), fc.nat(2), fc.nat(2))
  .map((words) => Int32Array.from(words));

describe('the mark of a point', () => {
  test('differs from every other point’s', () => {
    const points = Array.from({ length: 101 ** 2 }, (_, at) => pointAt((at % 101) - 50, Math.floor(at / 101) - 50));
    expect(new Set(points.map((point) => markAt(point).join())).size).toBe(points.length);
  });

  test('is the same for a point reached as a neighbour and by its code', () => {
    for (const neighbour of plane.neighbours(pointAt(3, -4))) {
      expect(markAt(neighbour)).toEqual(markAt(plane.decode(neighbour.code)));
    }
  });

  test('never begins with the word that means a free place', () => {
    const cancelled = { coordinates: [{ mark: Int32Array.of(7, 1, 2, 3) }, { mark: Int32Array.of(7, 0, 0, 0) }] };
    expect([...markAt(cancelled as unknown as Point)]).toEqual([1, 1, 2, 3]);
  });
});

describe('a set of points', () => {
  test('knows what entered and nothing else, at any size and however crowded', () => {
    fc.assert(
      fc.property(fc.array(crowdedMark), fc.array(crowdedMark), fc.nat(60), (entered, asked, expected) => {
        const set = new PointSet(expected);
        for (const mark of entered) expect(set.add(mark)).toBe(set.find(mark));
        const known = new Set(entered.map(String));
        expect(set.size).toBe(known.size);
        for (const mark of [...entered, ...asked]) expect(set.find(mark) >= 0).toBe(known.has(String(mark)));
        expect(new Set(set.members()).size).toBe(known.size);
      }),
    );
  });
});

describe('the table of rows', () => {
  const parent = Int32Array.of(1, -2, 3, 4);

  test('keeps what was written of each row when it grows', () => {
    const table = new PointTable(1);
    const points = Array.from({ length: 500 }, (_, at) => pointAt(at % 40, Math.floor(at / 40)));
    for (const [depth, point] of points.entries()) {
      table.set(table.add(markAt(point)), depth % 2 ? is.stable : is.root, depth % 3 ? parent : undefined);
    }
    expect(table.size).toBe(points.length);
    const rows = points.map((point) => table.find(markAt(point)));
    for (const [depth, row] of rows.entries()) {
      expect(table.has(row, is.stable)).toBe(depth % 2 === 1);
      expect(table.has(row, is.root)).toBe(depth % 2 === 0);
      expect(table.isChildOf(row, parent)).toBe(depth % 3 > 0);
    }
  });

  test('notes facts beside others, and forgets them', () => {
    const table = new PointTable(2);
    const row = table.add(markAt(pointAt(1, 1)));
    table.set(row, is.stable, parent);
    table.note(row, is.proposed | is.visited);
    expect(table.has(row, is.stable | is.proposed | is.visited)).toBe(true);
    table.forget(row, is.visited);
    expect([table.has(row, is.visited), table.has(row, is.stable | is.proposed)]).toEqual([false, true]);
    expect(table.has(row, is.root)).toBe(false);
  });

  test('keeps the place of a parent that was found', () => {
    const table = new PointTable(2);
    const [row, above] = [table.add(markAt(pointAt(1, 1))), table.add(markAt(pointAt(2, 2)))];
    table.set(row, is.stable, parent);
    table.set(above, is.stable | is.root, undefined);
    table.link(row, above);
    expect([table.parentOf(row), table.parentOf(above), table.has(row, is.stable)]).toEqual([above, -1, true]);
  });

  test.each([0, 1, 2])('tells hashes apart that differ in word %i', (word) => {
    const table = new PointTable(1);
    const row = table.add(markAt(pointAt(0, 0)));
    table.set(row, 0, parent);
    const other = Int32Array.from(parent);
    other[word] = 99;
    expect([table.isChildOf(row, parent), table.isChildOf(row, other)]).toEqual([true, false]);
  });

  test('takes less than 48 bytes a row', () => {
    expect(new PointTable(1_000_000).bytes / 1_000_000).toBeLessThan(48);
  });
});
