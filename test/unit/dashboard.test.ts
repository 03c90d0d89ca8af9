import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type Cell, type Cells, kinds, type Limit } from '../../src/dashboard/api.js';
import { Follower } from '../../src/dashboard/follower.js';
import { isMeantForHere, showsToken, WrongTokens } from '../../src/dashboard/guard.js';
import { describeMap, partsOf } from '../../src/dashboard/page/format.js';
import { Snapshot } from '../../src/dashboard/snapshot.js';
import { cellsOf, dotsOf } from '../../src/dashboard/views.js';
import type { MappedRow, Reader } from '../../src/ledger/reader.js';
import { UsageError } from '../../src/support/errors.js';
import { createLogger } from '../../src/support/logger.js';

interface Made {
  id: number;
  x: number;
  y: number;
  kind: number;
  temperature: number | null;
}

const made = fc.record({
  id: fc.nat(60),
  x: fc.nat(4),
  y: fc.double({ min: 0, max: 9, noNaN: true }),
  kind: fc.nat(4),
  temperature: fc.option(fc.integer({ min: 200, max: 400 })),
});

function rowOf({ id, x, y, kind, temperature }: Made): MappedRow {
  const name = kinds[kind] as (typeof kinds)[number];
  const completed = name === 'stable' || name === 'unstable';
  return {
    ...{
      hash: String(id),
      values: [x, y],
      depth: 1,
      state: completed ? 'completed' : name,
      attempts: 1,
      run_time: null,
    },
    ...{
      stable: completed ? name === 'stable' : null,
      error_kind: null,
      error_msg: name === 'error' ? `at ${id}` : null,
    },
    ...{ temperature, pressure: null, outputs: null },
  };
}

/** A snapshot of rows, written one after the other, and what then stands: the last of each id. */
function snapshotOf(all: readonly Made[]): { snapshot: Snapshot; last: Made[] } {
  const snapshot = new Snapshot(['x', 'y'], false);
  for (const one of all) snapshot.apply([rowOf(one)]);
  return { snapshot, last: [...new Map(all.map((one) => [one.id, one])).values()] };
}

describe('the views of a snapshot', () => {
  test('count and average each row once, in one cell, as it stands', () => {
    fc.assert(
      fc.property(fc.array(made, { minLength: 1, maxLength: 120 }), fc.integer({ min: 0, max: 4 }), (all, from) => {
        const { snapshot, last } = snapshotOf(all);
        const kept = last.filter(({ x }) => x >= from);
        const { x, y, cells, rows } = cellsOf(snapshot, ['x', 'y'], ['temperature'], {
          limits: [{ field: 'x', from }],
        });
        expect(rows).toBe(kept.length);
        expect(cells.reduce((total, { counts }) => total + counts.reduce((sum, count) => sum + count), 0)).toBe(rows);
        for (const cell of cells) {
          const inside = (axis: typeof x, at: number, value: number) =>
            value >= (axis.from[at] as number) && value <= (axis.to[at] as number);
          const here = kept.filter((row) => inside(x, cell.x, row.x) && inside(y, cell.y, row.y));
          expect(cell.counts).toEqual(kinds.map((_, kind) => here.filter((row) => row.kind === kind).length));
          const warm = here.flatMap(({ temperature }) => temperature ?? []);
          const mean = warm.length === 0 ? null : warm.reduce((sum, value) => sum + value, 0) / warm.length;
          expect(cell.means[0]).toEqual(mean === null ? null : expect.closeTo(mean, 6));
        }
      }),
    );
  });

  test('show every row where they are few, and a sample with some of each kind where they are many', () => {
    fc.assert(
      fc.property(fc.array(made, { maxLength: 120 }), fc.integer({ min: 1, max: 80 }), (all, most) => {
        const { snapshot, last } = snapshotOf(all);
        const { dots, rows } = dotsOf(snapshot, ['x', 'temperature'], { limits: [] }, most);
        expect(rows).toBe(last.length);
        expect(dots).toHaveLength(Math.min(most, rows));
        for (const [kind] of kinds.entries()) {
          const count = last.filter((row) => row.kind === kind).length;
          const shown = dots.filter((dot) => dot.kind === kind).length;
          expect(shown).toBeGreaterThanOrEqual(Math.min(count, Math.floor(most / 10)));
        }
        const byId = new Map(last.map((row) => [String(row.id), row]));
        expect(new Set(dots.map(({ hash }) => hash)).size).toBe(dots.length);
        for (const { hash, kind, values } of dots) {
          const { x, kind: wanted, temperature } = byId.get(hash) as Made;
          expect([kind, ...values]).toEqual([wanted, x, temperature]);
        }
      }),
    );
  });

  test('leave out rows that lack a limited number, and refuse unknown fields', () => {
    const { snapshot } = snapshotOf([{ id: 1, x: 1, y: 1, kind: 4, temperature: null }]);
    const limit: Limit = { field: 'temperature', from: 0 };
    expect(dotsOf(snapshot, ['x'], { limits: [limit] }, 9).rows).toBe(0);
    expect(() => dotsOf(snapshot, ['z'], { limits: [] }, 9)).toThrow(UsageError);
  });

  test('bin an axis with more values than can be told apart', () => {
    const rows = Array.from({ length: 500 }, (_, id) => ({ id, x: 0, y: id, kind: 4, temperature: null }));
    const { snapshot } = snapshotOf(rows);
    const { y, cells } = cellsOf(snapshot, ['x', 'y'], [], { limits: [] });
    expect(y.from.length).toBeLessThan(100);
    expect([y.from[0], y.to.at(-1)]).toEqual([0, expect.closeTo(499)]);
    expect(Math.max(...cells.map(({ counts }) => counts[4] as number))).toBeLessThan(12);
  });
});

describe('a snapshot', () => {
  test('counts by kind, and groups errors by message with numbers aside', () => {
    fc.assert(
      fc.property(fc.array(made, { maxLength: 80 }), (all) => {
        const { snapshot, last } = snapshotOf(all);
        const expected = kinds.map((name, kind) => [name, last.filter((row) => row.kind === kind).length]);
        expect(snapshot.counts).toEqual(Object.fromEntries(expected));
        const errors = last.filter(({ kind }) => kinds[kind] === 'error').length;
        expect(snapshot.errors(9).map(({ count }) => count)).toEqual(errors > 0 ? [errors] : []);
      }),
    );
  });
});

describe('a map', () => {
  const cellOf = (counts: number[]): Cell => ({ x: 0, y: 0, counts, means: [300] });
  const cells = (...counts: number[][]): Cells => ({
    x: { field: 'x', from: [1], to: [1] },
    y: { field: 'y', from: [2], to: [2] },
    cells: counts.map(cellOf),
    rows: counts.flat().reduce((total, count) => total + count, 0),
  });

  test('shows in a circle every state that is there, and all of it', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constant(0), fc.nat(100_000)), { minLength: 5, maxLength: 5 }), (counts) => {
        fc.pre(counts.some((count) => count > 0));
        const parts = partsOf(counts);
        expect(parts.reduce((sum, part) => sum + part)).toBeCloseTo(1);
        for (const [kind, part] of parts.entries())
          counts[kind] === 0 ? expect(part).toBe(0) : expect(part).toBeGreaterThan(0.05);
      }),
    );
  });

  test('says what falls together in a cell, of how many points, and where errors are', () => {
    const frame = { shape: 'cells' as const, over: ['H2O', 'CO2'], field: undefined };
    expect(describeMap(cells([0, 0, 0, 1, 3], [0, 0, 1, 0, 1]), frame)).toBe(
      '6 points in 2 cells: y over x. Each cell is the share of stable points among those settled, over all values of H2O and CO2 together: 2 to 4 points a cell. A red frame: errors among them.',
    );
    expect(describeMap(cells([0, 0, 0, 0, 1]), { ...frame, over: [] })).toBe(
      '1 point in 1 cell: y over x. Each cell is one point.',
    );
  });
});

describe('a follower', () => {
  test('calls its rows stale when the database hangs, though it refuses nothing', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const stop = new AbortController();
    let answers = true;
    const never = new Promise<never>(() => {});
    const reader = { marks: () => (answers ? Promise.resolve([]) : never) } as unknown as Reader;
    const follower = new Follower(
      reader,
      () => new Snapshot(['x'], false),
      async () => {},
      createLogger('test', 'silent'),
    );
    expect(follower.freshness).toEqual({ ageMs: null, stale: false });
    void follower.follow(() => undefined, stop.signal);
    await vi.advanceTimersByTimeAsync(700);
    expect(follower.freshness).toMatchObject({ ageMs: expect.any(Number), stale: false });
    answers = false;
    await vi.advanceTimersByTimeAsync(9000);
    expect(follower.freshness.stale).toBe(false);
    await vi.advanceTimersByTimeAsync(3000);
    expect(follower.freshness).toMatchObject({ stale: true });
    expect(follower.freshness.ageMs).toBeGreaterThan(10_000);
    stop.abort();
  });
});

describe('the guard', () => {
  test('knows the token, and nothing near it', () => {
    expect(showsToken('Bearer right', 'right')).toBe(true);
    for (const wrong of [undefined, '', 'right', 'Bearer', 'Bearer ', 'Bearer righ', 'Bearer right ', 'Basic right']) {
      expect(showsToken(wrong, 'right'), wrong).toBe(false);
    }
  });

  test('on loopback answers to the names of loopback, and to those that it was told', () => {
    for (const name of ['localhost', 'localhost:8080', '127.0.0.1:1', '[::1]:8080', 'Fleet.example:8080'])
      expect(isMeantForHere(name, '127.0.0.1', ['fleet.example']), name).toBe(true);
    for (const name of [
      ...[undefined, '', 'evil.example', '127.0.0.1.evil.example:80', 'localhost.evil.example', 'x.fleet.example'],
      ...['10.1.2.3', '[fd00::1]:8080', '[evil.example]:80'],
    ]) {
      expect(isMeantForHere(name, '127.0.0.1', ['fleet.example']), name).toBe(false);
    }
  });

  test('elsewhere answers to addresses too, but to no name that it was not told', () => {
    for (const name of ['10.1.2.3:8080', '[fd00::1]:8080', '127.0.0.1:8080', 'localhost', 'fleet.example', 'me'])
      expect(isMeantForHere(name, name === 'me' ? 'me' : '0.0.0.0', ['fleet.example']), name).toBe(true);
    for (const name of [undefined, '', 'evil.example', '10.1.2.3.evil.example', '10.1.2.3:8080:80', 'me'])
      expect(isMeantForHere(name, '0.0.0.0', ['fleet.example']), name).toBe(false);
  });

  test('refuses an address for longer and longer after wrong tokens, and that address alone', () => {
    let nowMs = 1000;
    const wrong = new WrongTokens(() => nowMs);
    const waits = Array.from({ length: 12 }, () => {
      wrong.add('10.0.0.1');
      const seconds = wrong.waitSeconds('10.0.0.1');
      nowMs += 1000 * seconds;
      expect(wrong.waitSeconds('10.0.0.1')).toBe(0);
      return seconds;
    });
    expect(waits).toEqual([0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    wrong.add('10.0.0.1');
    expect(wrong.waitSeconds('10.0.0.2')).toBe(0);
    nowMs += 15 * 60_000;
    wrong.add('10.0.0.1');
    expect(wrong.waitSeconds('10.0.0.1')).toBe(0);
  });

  test('takes the addresses of one IPv6 network for one, and forgets the oldest of too many', () => {
    const wrong = new WrongTokens(() => 0);
    for (const address of ['2001:db8::1', '2001:db8:0:0:1::2', '2001:db8::ffff:3']) wrong.add(address);
    wrong.add('2001:db8::9');
    expect(wrong.waitSeconds('2001:db8::5')).toBe(1);
    expect(wrong.waitSeconds('2001:db8:0:1::5')).toBe(0);
    for (let number = 0; number < 10_000; number++) wrong.add(`10.0.${number >> 8}.${number & 255}`);
    expect(wrong.waitSeconds('2001:db8::5')).toBe(0);
  });
});
