import type Database from 'better-sqlite3';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Problem, type Progress, verify } from '../../src/audit/verify.js';
import type { Ledger } from '../../src/ledger/ledger.js';
import { type Parameter, type Point, Space } from '../../src/space/space.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { filledLedger, searchedRows, settledRow, sqliteLedger, type VerdictOf } from '../support/searched.js';

const noProblems = { malformed: 0, hash: 0, columns: 0, unsettled: 0, missing: 0, orphaned: 0, extra: 0 };

async function check(ledger: Ledger, space: Space, maxPoints: number | null = null) {
  const problems: Problem[] = [];
  const progress: Progress[] = [];
  const verdict = await verify(
    ledger,
    space,
    maxPoints,
    (problem) => problems.push(problem),
    (step) => progress.push(step),
  );
  const counted = { ...noProblems };
  for (const { kind } of problems) counted[kind]++;
  expect(verdict.problems).toEqual(counted);
  expect(progress.at(-1)?.read).toBe(progress.at(-1)?.total);
  return { verdict, problems };
}

function whole(name: string, start = 4): Parameter {
  return { name, start, step: [{ below: 1, by: 1 }], min: 0, max: 8 };
}

const far = (name: string): Parameter => ({ ...whole(name, 0), min: -50, max: 50 });

const plane = new Space({ parameters: [whole('x'), whole('y')], mode: 'sides', reach: 1 });
const at = (x: number, y: number) => plane.pointWith({ x, y });
const hashAt = (x: number, y: number) => at(x, y).hash;
const distance = ({ values: [x = 0, y = 0] }: Point) => Math.abs(x - 4) + Math.abs(y - 4);
/** 25 stable points around the start, 16 unstable ones around these. */
const diamond: VerdictOf = (point) => distance(point) <= 3;

async function searchedPlane(verdict: VerdictOf = diamond) {
  const { ledger, db } = await sqliteLedger(plane, searchedRows(plane, verdict));
  const set = (x: number, y: number, changes: Record<string, unknown>) => {
    const names = Object.keys(changes).map((name) => `${name} = ?`);
    db.prepare(`update points set ${names.join()} where hash = ?`).run(...Object.values(changes), hashAt(x, y));
  };
  return { ledger, db, set, problemsNow: async () => (await check(ledger, plane)).problems };
}

function enter(db: Database.Database, point: Point, row: Record<string, unknown>): void {
  const [x, y] = point.values;
  const all = {
    hash: point.hash,
    code: point.code,
    x,
    y,
    previous_hash: null,
    depth: 0,
    state: 'completed',
    stable: 0,
    ...row,
  };
  const names = Object.keys(all);
  db.prepare(`insert into points (${names.join()}) values (${names.map(() => '?').join()})`).run(...Object.values(all));
}

const named = (problems: readonly Problem[]) => problems.map(({ kind, code }) => `${kind} ${code}`).sort();

describe('a complete search', () => {
  const air: Parameter[] = [
    { name: 'O2', start: 0.21, step: [{ below: 1, by: 0.1 }] },
    { name: 'N2', filler: true },
    {
      name: 'H2O',
      start: 0.0123,
      step: [
        { below: 0.1, by: 0.05 },
        { below: 1, by: 0.2 },
      ],
    },
    { name: 'Ar', start: 0.01 },
  ];

  test.each<[string, Space, VerdictOf, Point[] | undefined]>([
    ['around its start', plane, diamond, undefined],
    ['of one unstable point', plane, () => false, undefined],
    ['with errors', plane, (point) => (distance(point) === 2 ? null : distance(point) < 2), undefined],
    ['of two islands', plane, (point) => distance(point) >= 3 && distance(point) <= 4, [at(4, 0), at(8, 4), at(0, 8)]],
    ['of air, side by side', new Space({ parameters: air, mode: 'sides', reach: 2 }), () => true, undefined],
    ['of air, diagonally', new Space({ parameters: air, mode: 'diagonals', reach: 1 }), () => true, undefined],
  ])('%s is found complete, up to its errors', async (_, space, stable, roots) => {
    const rows = searchedRows(space, stable, roots ? { roots } : {});
    const { ledger } = await sqliteLedger(space, rows);
    const { verdict, problems } = await check(ledger, space);
    expect(problems).toEqual([]);
    const errors = rows.filter((row) => row.stable === null).length;
    expect(verdict).toEqual({
      complete: errors === 0,
      completeUpToErrors: true,
      rows: rows.length,
      stable: rows.filter((row) => row.stable === true).length,
      unstable: rows.filter((row) => row.stable === false).length,
      errors,
      roots: roots?.length ?? 1,
      problems: noProblems,
      beyondMaxPoints: 0,
      countedAll: true,
    });
  });

  test('may have roots that lie apart', async () => {
    const { db, problemsNow } = await searchedPlane();
    enter(db, at(0, 0), {});
    expect(await problemsNow()).toEqual([]);
  });

  test('is none without a row', async () => {
    const { ledger } = await sqliteLedger(plane, []);
    expect((await check(ledger, plane)).verdict).toMatchObject({ complete: false, rows: 0, problems: noProblems });
  });
});

describe('of a point without a row', () => {
  test('hash, code and a stable neighbour are named', async () => {
    const { db, problemsNow } = await searchedPlane();
    db.prepare('delete from points where hash = ?').run(hashAt(4, 8));
    expect(await problemsNow()).toEqual([
      {
        ...{ kind: 'missing', hash: hashAt(4, 8), code: '4.0,8.0' },
        text: `no row has this neighbour of the stable point ${hashAt(4, 7)}`,
      },
    ]);
  });

  test('it is told once, however many neighbours it has; its children have other stable neighbours', async () => {
    const { db, problemsNow } = await searchedPlane();
    const children = db.prepare('select code from points where previous_hash = ?').pluck().all(hashAt(5, 4));
    expect(children.length).toBeGreaterThan(1);
    db.prepare('delete from points where hash = ?').run(hashAt(5, 4));
    expect(named(await problemsNow())).toEqual(['missing 5.0,4.0']);
  });

  test('it is told too when a stable root lacks all its neighbours', async () => {
    const { ledger } = await sqliteLedger(plane, [settledRow(at(4, 4), true, null)]);
    expect(named((await check(ledger, plane)).problems)).toEqual(
      ['3.0,4.0', '4.0,3.0', '4.0,5.0', '5.0,4.0'].map((code) => `missing ${code}`),
    );
  });
});

describe('a search with maxPoints', () => {
  const rows = searchedRows(plane, diamond, { maxPoints: 20 });

  test('is incomplete beyond them, without a problem', async () => {
    const { ledger } = await sqliteLedger(plane, rows);
    const known = new Set(rows.map(({ code }) => code));
    const stable = rows.filter((row) => row.stable).flatMap(({ code }) => plane.neighbours(plane.decode(code)));
    const beyond = new Set(stable.map(({ code }) => code).filter((code) => !known.has(code)));
    const { verdict, problems } = await check(ledger, plane, 20);
    expect(problems).toEqual([]);
    expect(verdict).toMatchObject({ complete: false, beyondMaxPoints: beyond.size, problems: noProblems });
    expect(beyond.size).toBeGreaterThan(3);
  });

  test('lacks points while it has fewer rows', async () => {
    const { ledger } = await sqliteLedger(plane, rows);
    const { verdict } = await check(ledger, plane, 21);
    expect(verdict).toMatchObject({ complete: false, beyondMaxPoints: 0 });
    expect(verdict.problems.missing).toBeGreaterThan(3);
  });

  test('counts a million points beyond them, and says that there are more', async () => {
    const space = new Space({ parameters: ['x', 'y', 'z'].map((name) => far(name)), mode: 'diagonals', reach: 50 });
    const { ledger } = await sqliteLedger(space, [settledRow(space.start, true, null)]);
    const { verdict } = await check(ledger, space, 1);
    expect(verdict).toMatchObject({ complete: false, beyondMaxPoints: 1_000_001, countedAll: false });
  });

  test('that it did not reach is complete', async () => {
    const { ledger } = await sqliteLedger(plane, searchedRows(plane, diamond));
    expect((await check(ledger, plane, 41)).verdict.complete).toBe(true);
  });
});

describe('after SQL lost rows, whose points ran again,', () => {
  test.each<[string, [x: number, y: number, from: [number, number]][]]>([
    ['by way of another parent, deeper than before', [[5, 4, [5, 5]]]],
    ['by way of a child of its own', [[5, 4, [6, 4]]]],
    [
      'by way of one another',
      [
        [5, 4, [5, 5]],
        [5, 5, [5, 4]],
      ],
    ],
    ['the start too', [[4, 4, [4, 5]]]],
    [
      'the start and all around it',
      [
        [4, 4, [4, 5]],
        [4, 5, [4, 6]],
        [5, 4, [6, 4]],
        [3, 4, [2, 4]],
        [4, 3, [4, 2]],
      ],
    ],
  ])('a row that a point led to %s is no orphan, nor are its children', async (_, again) => {
    const { set, problemsNow, ledger } = await searchedPlane();
    for (const [x, y, [fromX, fromY]] of again) {
      const [parent] = await ledger.find([hashAt(fromX, fromY)]);
      set(x, y, { previous_hash: parent?.hash, depth: (parent?.depth ?? 0) + 1 });
    }
    expect(await problemsNow()).toEqual([]);
  });

  test.each<[string, Record<string, unknown>]>([
    ['has no row', { previous_hash: 'a'.repeat(32) }],
    ['is not stable', { previous_hash: hashAt(4, 0) }],
    ['is no neighbour', { previous_hash: hashAt(4, 3) }],
    ['is itself', { previous_hash: hashAt(4, 8) }],
    ['is as deep', { depth: 3 }],
  ])('a row is no orphan whose parent %s, while a stable neighbour leads to it', async (_, changes) => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 8, changes);
    expect(await problemsNow()).toEqual([]);
  });

  test('passes go on until every chain is found', async () => {
    const long = new Space({ parameters: [far('x')], mode: 'sides', reach: 1 });
    const { ledger, db } = await sqliteLedger(
      long,
      searchedRows(long, () => true),
    );
    db.exec(`update points set previous_hash = '${'f'.repeat(32)}' where depth > 0`);
    expect((await check(ledger, long)).problems).toEqual([]);
  });
});

describe('a row is named', () => {
  test.each<[object, string]>([
    [{ state: 'queue', stable: null }, 'the point has not ended: its state is queue'],
    [{ state: 'running', stable: null }, 'the point has not ended: its state is running'],
    [{ stable: null }, 'the point completed without a verdict: stable is null'],
  ])('unsettled: %j', async (changes, text) => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 8, { ...changes });
    expect(await problemsNow()).toEqual([{ kind: 'unsettled', hash: hashAt(4, 8), code: '4.0,8.0', text }]);
  });

  test('whose hash is another’s, while its place in the search stands', async () => {
    const { set, problemsNow } = await searchedPlane();
    const wrong = 'f'.repeat(32);
    set(4, 5, { hash: wrong });
    expect(await problemsNow()).toEqual([
      { kind: 'hash', hash: wrong, code: '4.0,5.0', text: `the hash is "${wrong}", but its code's is ${hashAt(4, 5)}` },
    ]);
  });

  test.each([0, 1000])('beside which another has its code, entered as number %i', async (_rowid_) => {
    const { db, problemsNow } = await searchedPlane();
    enter(db, at(4, 7), { _rowid_, hash: 'f'.repeat(32), depth: 7, stable: 0, previous_hash: hashAt(4, 6) });
    expect(named(await problemsNow())).toEqual(['hash 4.0,7.0']);
  });

  test('that stands twice in a table without a key', async () => {
    const { db, problemsNow } = await searchedPlane();
    db.exec('create table twice as select * from points; drop table points; alter table twice rename to points');
    enter(db, at(4, 8), { previous_hash: hashAt(4, 7), depth: 4 });
    expect(await problemsNow()).toEqual([
      { kind: 'extra', hash: hashAt(4, 8), code: '4.0,8.0', text: 'another row has the same point' },
    ]);
  });

  test('whose code is not canonical', async () => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 5, { code: '4,5.00' });
    expect(await problemsNow()).toEqual([
      {
        kind: 'hash',
        hash: hashAt(4, 5),
        code: '4,5.00',
        text: 'the code is "4,5.00", but is rightly written 4.0,5.0',
      },
    ]);
  });

  test('whose columns are at odds with its code', async () => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 5, { x: 4.000000000000001, y: 'five' });
    const text = 'the columns differ from the code: x is 4.000000000000001, not 4.0; y is "five", not 5.0';
    expect(await problemsNow()).toEqual([{ kind: 'columns', hash: hashAt(4, 5), code: '4.0,5.0', text }]);
  });

  test('without a parent below the first step', async () => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 8, { previous_hash: null });
    const text = 'it has no parent, yet its depth is 4';
    expect(await problemsNow()).toEqual([{ kind: 'malformed', hash: hashAt(4, 8), code: '4.0,8.0', text }]);
  });

  test('orphaned of an island that no root leads to', async () => {
    const island: VerdictOf = (point) => distance(point) <= 1 || point.code === '0.0,0.0' || point.code === '0.0,1.0';
    const { db, problemsNow } = await searchedPlane(island);
    const [corner, beside] = [hashAt(0, 0), hashAt(0, 1)];
    enter(db, at(0, 0), { stable: 1, previous_hash: beside, depth: 6 });
    enter(db, at(0, 1), { stable: 1, previous_hash: corner, depth: 7 });
    enter(db, at(1, 0), { previous_hash: corner, depth: 7 });
    for (const [x, y] of [
      [1, 1],
      [0, 2],
    ] as const)
      enter(db, at(x, y), { previous_hash: beside, depth: 8 });
    const problems = await problemsNow();
    const shore = ['0.0,0.0', '0.0,1.0', '0.0,2.0', '1.0,0.0', '1.0,1.0'];
    expect(named(problems)).toEqual(shore.map((code) => `orphaned ${code}`));
    expect(problems[0]?.text).toBe('no chain of stable neighbours leads to it from a root');
  });

  test('extra that no stable point proposes', async () => {
    const { db, problemsNow } = await searchedPlane();
    enter(db, at(4, 0), { hash: hashAt(0, 0), code: '0.0,0.0', x: 0, y: 0, previous_hash: hashAt(4, 1), depth: 4 });
    expect(await problemsNow()).toEqual([
      {
        ...{ kind: 'extra', hash: hashAt(0, 0), code: '0.0,0.0' },
        text: 'it is no root, and no neighbour of any stable point',
      },
      {
        ...{ kind: 'orphaned', hash: hashAt(0, 0), code: '0.0,0.0' },
        text: 'no chain of stable neighbours leads to it from a root',
      },
    ]);
  });

  test('extra that only an unstable point would propose', async () => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 7, { stable: 0 });
    expect(named(await problemsNow())).toEqual(['extra 4.0,8.0', 'orphaned 4.0,8.0']);
  });
});

describe('a bad row', () => {
  const garbage: [string, unknown][] = [
    ['hash', ''],
    ['hash', 'not a hash'],
    ['hash', Buffer.from([0xff, 0])],
    ['code', ''],
    ['code', '4.0,8.0\0'],
    ['code', '4.0,8.0,1.0'],
    ['code', 'NaN,inf'],
    ['code', '1e400,0.0'],
    ['code', '9'.repeat(10_000_000)],
    ['code', `${'9,'.repeat(200)}9`],
    ['code', Buffer.alloc(100)],
    ['code', '🌍,$(reboot)'],
    ['x', 'four'],
    ['x', Number.POSITIVE_INFINITY],
    ['x', Buffer.from('4')],
    ['previous_hash', ''],
    ['previous_hash', "'; drop table points; --"],
    ['previous_hash', Buffer.from('aa')],
    ['previous_hash', 5],
    ['depth', -1],
    ['depth', 1.5],
    ['depth', 'deep'],
    ['depth', 1e300],
    ['depth', Number.POSITIVE_INFINITY],
    ['state', ''],
    ['state', 'done'],
    ['state', 7],
    ['stable', 2],
    ['stable', -1],
    ['stable', 'yes'],
    ['stable', Buffer.from([1])],
  ];

  test.each(garbage)('is a named problem: %s is %j', async (column, value) => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 8, { [column]: value });
    const [first, ...others] = await problemsNow();
    const kind = { hash: 'hash', x: 'columns', stable: 'unsettled' }[column] ?? 'malformed';
    expect(first?.kind).toBe(kind);
    expect(first?.text.length).toBeLessThan(200);
    // A code that says nothing leaves its point without a row.
    expect(named(others)).toEqual(column === 'code' ? ['missing 4.0,8.0'] : []);
  });

  test('that is the root is a named problem, not an orphan', async () => {
    const { set, problemsNow } = await searchedPlane();
    set(4, 4, { depth: 'none' });
    expect(named(await problemsNow())).toEqual(['malformed 4.0,4.0']);
  });

  test('whose text is no UTF-8 is a named problem', async () => {
    const { db, problemsNow } = await searchedPlane();
    db.exec(
      `update points set hash = cast(x'ff' as text), code = cast(x'fffe' as text) where hash = '${hashAt(4, 8)}'`,
    );
    expect((await problemsNow()).map(({ kind }) => kind)).toEqual(['malformed', 'missing']);
  });

  test('hides no other, in a table of which each row is bad in some column', async () => {
    const large = (name: string) => ({ ...whole(name, 0), max: 89 });
    const space = new Space({ parameters: [large('x'), large('y')], mode: 'sides', reach: 1 });
    const { ledger, db } = await sqliteLedger(
      space,
      searchedRows(space, () => true),
    );
    const hashes = db.prepare('select hash from points').pluck().all() as string[];
    expect(hashes).toHaveLength(8100);
    // A stable number as a depth, or null as a parent, may be right; a hash must stay, so that the row is known again.
    const bad = garbage.filter(([column, value]) => column !== 'hash' && String(value).length < 1000);
    const choices = fc.sample(fc.constantFrom(...bad), { numRuns: hashes.length, seed: 42 });
    db.transaction(() => {
      for (const [index, [column, value]] of choices.entries()) {
        db.prepare(`update points set ${column} = ? where hash = ?`).run(value, hashes[index]);
      }
    })();
    const { verdict, problems } = await check(ledger, space);
    const own = new Set(problems.filter(({ kind }) => kind !== 'missing').map(({ hash }) => hash));
    expect(hashes.filter((hash) => !own.has(hash))).toEqual([]);
    expect(verdict).toMatchObject({ complete: false, rows: 8100 });
  });
});

describe('a row that ends while others are read', () => {
  /** What is found when (4, 7) ends as stable after the first pass. */
  async function problemsMeanwhile({ ledger, set }: Awaited<ReturnType<typeof searchedPlane>>, rows: number) {
    const problems: Problem[] = [];
    set(4, 7, { state: 'running', stable: null });
    const onProgress = ({ read }: Progress) => {
      if (read === rows) set(4, 7, { state: 'completed', stable: 1 });
    };
    await verify(ledger, plane, null, (problem) => problems.push(problem), onProgress);
    return problems;
  }

  test('is not asked for neighbours that came after', async () => {
    const search = await searchedPlane();
    search.db.prepare('delete from points where hash = ?').run(hashAt(4, 8));
    expect(named(await problemsMeanwhile(search, 40))).toEqual(['unsettled 4.0,7.0']);
  });

  test('is told of as it was', async () => {
    const problems = await problemsMeanwhile(await searchedPlane(), 41);
    expect(named(problems)).toEqual(['extra 4.0,8.0', 'orphaned 4.0,8.0', 'unsettled 4.0,7.0']);
  });
});

describe('a ledger in MariaDB', () => {
  let server: MariadbServer;
  beforeAll(async () => {
    server = await startMariadb();
  });

  test('of several pages is found complete, each number as its code writes it', async () => {
    const fine = (name: string, start: number): Parameter => ({
      name,
      start,
      step: [{ below: 1, by: 1 / 3 }],
      max: 30,
    });
    const space = new Space({ parameters: [fine('a', 0.1 + 0.2), fine('b', 5e-324)], mode: 'sides', reach: 2 });
    const rows = searchedRows(space, () => true);
    expect(rows.length).toBeGreaterThan(8000);
    const { verdict, problems } = await check(await filledLedger(await server.createDatabase(), space, rows), space);
    expect(problems).toEqual([]);
    expect(verdict).toMatchObject({ complete: true, rows: rows.length });
  });

  test.each([1e-300, 1.7976931348623157e308, -2.2250738585072014e-308, 0.1 + 0.7, 123456789.12345679])(
    'keeps a column of %d at its code',
    async (start) => {
      const space = new Space({ parameters: [{ name: 'a', start }], mode: 'sides', reach: 1 });
      const rows = [settledRow(space.start, false, null)];
      const { problems } = await check(await filledLedger(await server.createDatabase(), space, rows), space);
      expect(problems).toEqual([]);
    },
  );

  test('has its problems named', async () => {
    const rows = searchedRows(plane, diamond).filter(({ code }) => code !== '4.0,8.0');
    rows.push(settledRow(at(0, 0), false, { hash: hashAt(0, 1), depth: 7 }));
    const { problems } = await check(await filledLedger(await server.createDatabase(), plane, rows), plane);
    expect(named(problems)).toEqual(['extra 0.0,0.0', 'missing 4.0,8.0', 'orphaned 0.0,0.0']);
  });
});
