import type { Knex } from 'knex';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { Facts } from '../../src/ledger/facts.js';
import type { SettledRow } from '../../src/ledger/ledger.js';
import { Reader } from '../../src/ledger/reader.js';
import { Writer } from '../../src/ledger/writer.js';
import { type Batch, maxBatchBytes } from '../../src/queue/batches.js';
import type { Lease } from '../../src/queue/leases.js';
import { encode, type Travel } from '../../src/queue/messages.js';
import { Rebuilding } from '../../src/queue/rebuilding.js';
import { Finisher } from '../../src/roles/worker/finisher.js';
import { Space } from '../../src/space/space.js';
import { temporaryFolder } from '../support/folder.js';
import { at, memberOf, openLine, places, queue, rebuildLine, seenIn } from '../support/line.js';
import { startMariadb } from '../support/mariadb.js';
import { planeFleet } from '../support/plane.js';
import { startRole } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { filledLedger, settledRow } from '../support/searched.js';
import { until } from '../support/until.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

const mebibyte = 1 << 20;
/** A root, or a report, of nearly a mebibyte. */
const big = (x: number) => encode(at(x).code, { depth: 0, padding: 'x'.repeat(0.9 * mebibyte) } as Travel);
const bytesOf = (elements: readonly string[]) => elements.reduce((total, { length }) => total + length, 0);
/** What a batch of such elements holds at most. */
const limit = maxBatchBytes + mebibyte;
const xs = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

describe('no more than some mebibytes', () => {
  test('are taken at once, and one element at least', async () => {
    const { member, redis, keys } = await openLine(server);
    const huge = encode(at(0).code, { depth: 0, padding: 'x'.repeat(limit) } as Travel);
    await redis.lpush(keys.list('complete0_sql_Q'), huge, ...xs.map(big));
    expect((await member.batches.take('complete0_sql_Q', 500))?.elements).toEqual([huge]);
    const next = (await member.batches.take('complete0_sql_Q', 500)) as Batch;
    expect(places(next.elements)).toEqual([0, 1, 2, 3, 4]);
    expect(bytesOf(next.elements)).toBeLessThan(limit);
  });

  test('are taken over at once of a batch that an older version left; the rest is taken over next', async () => {
    const { search, member, session, redis, keys } = await openLine(server);
    const id = 'complete0_sql_Q/dead/1';
    for (const x of xs) await redis.rpush(keys.batch(id), big(x));
    await redis.zadd(keys.batches, 1, id);
    await redis.hset(keys.taken, id, xs.length);
    const heirs = [memberOf(search), memberOf(search), memberOf(search)];
    const adopted: Batch[] = [];
    for (const heir of heirs) {
      const batch = await heir.batches.adopt(['complete0_sql_Q']);
      if (!batch) break;
      expect(bytesOf(batch.elements)).toBeLessThan(limit);
      adopted.push(batch);
    }
    expect(places(adopted.flatMap(({ elements }) => elements))).toEqual(xs);
    expect(await member.batches.drop({ id, source: 'complete0_sql_Q', elements: [] }, [])).toBe(false);
    expect(await seenIn(session)).toMatchObject({ batches: { complete0_sql_Q: xs.length }, damage: [] });
    for (const [index, batch] of adopted.entries()) await heirs[index]?.batches.drop(batch, []);
    expect(await seenIn(session)).toMatchObject({ batches: {}, empty: true });
  });

  test('are leased at once', async () => {
    const { member, redis, keys } = await openLine(server);
    for (const x of xs) await redis.lpush(keys.list('main_Q'), big(x));
    const leases = await member.leases.lease(500);
    expect(places(leases.map(({ element }) => element))).toEqual([0, 1, 2, 3, 4]);
    expect((await member.leases.lease(500)).map(({ element }) => Number.parseFloat(element))).toEqual([5, 6, 7, 8, 9]);
  });

  test('are reported by a worker at once', async () => {
    const opened = await openLine(server);
    const { member, redis, keys } = opened;
    await queue(opened, ...xs);
    const leases = (await member.leases.lease(10)) as Lease[];
    const finish = vi.spyOn(member.leases, 'finish');
    const finisher = new Finisher(member, () => undefined, member.stop.abort);
    for (const [x, { token }] of leases.entries()) {
      finisher.add({ token, arrival: 'complete1_sql_Q', element: big(x) });
    }
    finisher.close();
    await finisher.run();
    expect(finish.mock.calls.map(([endings]) => endings.length)).toEqual([5, 5]);
    expect(await redis.llen(keys.list('complete1_sql_Q'))).toBe(10);
  });

  test('are read at once by a rebuild of what waited', async () => {
    const opened = await openLine(server);
    const { session, search, redis, keys } = opened;
    for (const x of xs) await redis.lpush(keys.list('main_sql_Q'), big(x));
    const rebuilding = (await Rebuilding.begin(session, search.leaseMs)) as Rebuilding;
    await rebuilding.suspend();
    const pages: string[][] = [];
    for await (const page of rebuilding.aside()) pages.push(page);
    await rebuilding.end();
    expect(pages.map(places)).toEqual([
      [0, 1, 2, 3, 4],
      [5, 6, 7, 8, 9],
    ]);
    await rebuildLine(opened);
    expect(places(await redis.lrange(keys.list('main_sql_Q'), 0, -1)).sort()).toEqual(xs);
  });
});

const space = new Space({ parameters: [{ name: 'a', start: 0, step: [], min: 0, max: 999 }], mode: 'sides', reach: 1 });
const outputsOf = (bytes: number) =>
  Object.fromEntries(Array.from({ length: Math.ceil(bytes / 200) }, (_, n) => [`${n}`.padEnd(195, 'x'), 1]));
const rowOf = (a: number, bytes: number): SettledRow => ({
  ...settledRow(space.pointWith({ a }), true, null),
  outputs: outputsOf(bytes),
});

describe('a database that takes packets of one mebibyte', () => {
  test('gets rows of 40 KB by several statements, and an error in the place of a row that is too large alone', async () => {
    const mariadb = await startMariadb({ options: ['--max-allowed-packet=1M'] });
    const ledger = await filledLedger(await mariadb.createDatabase(), space, []);
    const rows = Array.from({ length: 100 }, (_, a) => rowOf(a, 40_000));
    await ledger.settle([...rows.slice(0, 50), rowOf(500, 1.2 * mebibyte), ...rows.slice(50)]);
    expect(await ledger.counts()).toMatchObject({ stable: 100, states: { completed: 100, error: 1 } });
    const [row] = await ledger.find([space.pointWith({ a: 500 }).hash]);
    expect(row).toMatchObject({ state: 'error', stable: null });
    const found = await ledger.requeueErrors({ message: 'bytes of a statement, the database takes' }, '', 10);
    expect(found).toHaveLength(1);
  });
});

describe('a page of rows for people', () => {
  test.each(['MariaDB', 'SQLite'])('holds some mebibytes at most, and one row at least: %s', async (database) => {
    const url =
      database === 'MariaDB' ? await (await startMariadb()).createDatabase() : `sqlite:${temporaryFolder()}/points.db`;
    await filledLedger(url, space, [
      ...xs.map((a) => rowOf(a, mebibyte)),
      ...xs.map((a) => rowOf(100 + a, 100)),
      rowOf(500, 6 * mebibyte),
    ]);
    const reader = new Reader(url, 'points', space.names);
    atEnd(() => reader.close());
    const pages: number[][] = [];
    for await (const page of reader.pages({}, 1000)) pages.push(page.map((row) => JSON.stringify(row.outputs).length));
    expect(pages.flat()).toHaveLength(21);
    const totals = pages.map((lengths) => lengths.reduce((total, length) => total + length, 0));
    expect(pages.filter((lengths, index) => lengths.length > 1 && (totals[index] ?? 0) > 5 * mebibyte)).toEqual([]);
    expect(pages.length).toBeGreaterThan(3);
  });
});

describe('a statement that is refused for its size, whatever the server says that it takes,', () => {
  function refusing(maxBytes: number) {
    const statements: string[] = [];
    const tooLarge = Object.assign(new Error('Got a packet bigger'), { code: 'ER_NET_PACKET_TOO_LARGE' });
    const raw = async (text: string) => {
      if (text.startsWith('select @@')) return [[{ bytes: 64 * mebibyte }]];
      if (text.length > maxBytes) throw tooLarge;
      statements.push(text);
      return [{ affectedRows: text.split('),(').length }];
    };
    const db = { client: { driverName: 'mysql2' }, raw } as unknown as Knex;
    return { writer: new Writer(db, 't', { table: 't_meta' } as Facts), statements };
  }

  test('is split until each part is taken', async () => {
    const { writer, statements } = refusing(1500);
    const rows = xs.map((x) => [`${x}`.repeat(32), 'x'.repeat(300)]);
    expect(await writer.insert(['hash', 'text'], rows, 'on duplicate', 'one')).toBe(10);
    expect(statements.length).toBeGreaterThan(3);
    for (const [hash] of rows) expect(statements.filter((text) => text.includes(hash as string))).toHaveLength(1);
  });

  test('of one row is made with what takes the place of the row', async () => {
    const { writer, statements } = refusing(1500);
    const reduce = () => ['9'.repeat(32), 'too large'];
    await writer.insert(['hash', 'text'], [['9'.repeat(32), 'x'.repeat(2000)]], 'on duplicate', 'one', reduce);
    expect(statements).toEqual([expect.stringContaining('too large')]);
  });
});

test('250 results of 0.9 MB that a client of an older version left in one batch reach SQL within a heap of 512 MB', async () => {
  const redis = await startRedis();
  const client = redis.connect();
  const fleet = planeFleet(redis, 'big', { lease: { seconds: 2 } });
  const id = 'complete1_sql_Q/dead/1';
  const outputs = outputsOf(900_000);
  const told = JSON.stringify({ v: 1, depth: 0, attempt: 1, outputs });
  for (let number = 0; number < 250; number++) {
    await client.rpush(fleet.key(`batch:${id}`), `${number / 100 + 0.001},0.0;${told}`);
  }
  await client.zadd(fleet.key('batches'), 1, id);
  await client.hset(fleet.key('taken'), id, 250);
  const role = await startRole('sql-client', ['-c'], {
    config: fleet.config,
    cwd: fleet.folder,
    env: { NODE_OPTIONS: '--max-old-space-size=512' },
  });
  await role.line(/^serving/);
  await until(async () => {
    expect(role.ended, role.stderr.slice(-2000)).toBe(false);
    return (await client.hlen(fleet.key('taken'))) === 0;
  }, 'every result is in SQL');
  role.kill('SIGTERM');
  expect(await role.exited).toMatchObject({ status: 0 });
  expect(await fleet.rows()).toHaveLength(250);
});
