import { beforeAll, describe, expect, test } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.js';
import type { Batch } from '../../src/queue/batches.js';
import { markOf } from '../../src/queue/generation.js';
import { type ReportList, reportLists } from '../../src/queue/keys.js';
import { foreignElements } from '../../src/queue/look.js';
import { nextReports, settle } from '../../src/roles/client/settling.js';
import { admit } from '../../src/roles/master/admission.js';
import { rebuild } from '../../src/roles/master/rebuild.js';
import { sweep } from '../../src/roles/master/sweep.js';
import {
  at,
  line,
  memberOf,
  type Opened,
  openLine,
  places,
  proposing,
  queue,
  queuedRow,
  rebuildLine,
  seenIn,
  travelling,
} from '../support/line.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { until } from '../support/until.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

const ofTable = (x: number, table: string) => travelling(x, { table, attempt: 1 } as object);
const another = 'ffffffff';

async function settleOnce({ member, ledger }: Opened, table = ledger.incarnation): Promise<void> {
  for (const batch of await nextReports(member, 10)) await settle(member, ledger, batch, table);
}

/** The table is dropped and made anew, and Redis goes on with what it held before: as if it were restored from a backup. */
async function replaceTable(opened: Opened): Promise<void> {
  const other = new Ledger(opened.databaseUrl, 'points', line.names);
  atEnd(() => other.close());
  await other.recreate('test');
}

const rowsOf = async ({ ledger }: Opened) => {
  const all = Array.from({ length: 10 }, (_, x) => at(x).hash);
  return (await ledger.find(all)).map(({ code, state }) => `${code} ${state}`).sort();
};

describe('a report that names another table', () => {
  test.each(reportLists)('is kept for people, counted, and changes nothing: %s', async (list) => {
    const opened = await openLine(server);
    const { member, ledger, redis, keys, session } = opened;
    await ledger.insertQueued([queuedRow(4), queuedRow(5, 4)]);
    const own = ofTable(5, markOf(ledger.incarnation));
    await redis.lpush(keys.list(list), ofTable(4, another), own, ofTable(7, another));
    await settleOnce(opened);
    expect(await rowsOf(opened)).toEqual(['4.0 queue', expect.stringMatching(/^5.0 (completed|error|running)$/)]);
    expect(await redis.lrange(keys.foreign(list), 0, -1)).toEqual([ofTable(7, another), ofTable(4, another)]);
    expect(await foreignElements(session)).toEqual({ [keys.foreign(list)]: 2 });
    expect(member.said).toContain(
      `2 reports were not for this table, which replaced theirs: moved to ${keys.foreign(list)}`,
    );
  });

  test('counts as a report that has left Redis', async () => {
    const opened = await openLine(server);
    const { member, redis, keys, session } = opened;
    await queue(opened, 4);
    const [lease] = await member.leases.lease(1);
    const element = ofTable(4, another);
    await member.leases.finish(
      [{ token: lease?.token as string, arrival: 'complete1_sql_Q', element }],
      [],
      await session.generation(),
    );
    await settleOnce(opened);
    expect(await redis.llen(keys.foreign('complete1_sql_Q'))).toBe(1);
    expect(await seenIn(session)).toMatchObject({ damage: [], empty: true });
  });

  test('is set aside by who takes its batch over, and by a rebuild', async () => {
    const opened = await openLine(server);
    const { search, redis, keys } = opened;
    await redis.lpush(keys.list('complete0_sql_Q'), ofTable(4, another));
    const batch = (await memberOf(search).batches.take('complete0_sql_Q', 1)) as Batch;
    await redis.zadd(keys.batches, 1, batch.id);
    await settleOnce(opened);
    await redis.lpush(keys.list('complete0_sql_Q'), ofTable(5, another));
    await rebuildLine(opened);
    expect(places(await redis.lrange(keys.foreign('complete0_sql_Q'), 0, -1))).toEqual([5, 4]);
    expect(await rowsOf(opened)).toEqual([]);
  });
});

describe('a run', () => {
  test('is for the table that its lease was given for, also when the lease expires', async () => {
    const opened = await openLine(server, { losses: 1 });
    const { member, ledger, redis, keys } = opened;
    const mark = markOf(ledger.incarnation);
    await queue(opened, 4);
    expect(await member.leases.lease(1)).toMatchObject([{ table: mark }]);
    await sweep(member, 5000);
    await redis.hset(keys.search, 'reclaim_from', 0);
    for (const token of await redis.zrange(keys.leases, '0', '-1')) await redis.zadd(keys.leases, 1, token);
    await sweep(member, 5000);
    const [report] = await redis.lrange(keys.list('error_sql_Q'), 0, -1);
    expect(JSON.parse(report?.split(';')[1] as string)).toMatchObject({ error_kind: 'poison', table: mark });
  });
});

test('a client that knows the old table sets no report for the new one aside', async () => {
  const opened = await openLine(server);
  const { ledger, redis, keys } = opened;
  const before = ledger.incarnation;
  await replaceTable(opened);
  const reader = new Ledger(opened.databaseUrl, 'points', line.names);
  atEnd(() => reader.close());
  await reader.open();
  await redis.lpush(keys.list('complete1_sql_Q'), ofTable(4, markOf(reader.incarnation)));
  await settleOnce(opened, before);
  expect(await foreignElements(opened.session)).toEqual({});
  await settleOnce(opened);
  expect(await rowsOf(opened)).toEqual(['4.0 completed']);
});

/** Redis as it was before the table was replaced: each way into SQL has something on it. The point 7 is the new search's own. */
async function restored(format: 'marked' | 'of version 0.1'): Promise<Opened & { token: string }> {
  const opened = await openLine(server);
  const { search, member, ledger, redis, keys } = opened;
  const write = (x: number) => (format === 'marked' ? ofTable(x, markOf(ledger.incarnation)) : travelling(x));
  for (const list of reportLists) await redis.lpush(keys.list(list), write(reportLists.indexOf(list)));
  await redis.lpush(keys.list('complete0_sql_Q'), write(4));
  await memberOf(search).batches.take('complete0_sql_Q', 1);
  await queue(opened, 4, 5);
  const [lease] = await member.leases.lease(1);
  await member.leases.propose(proposing(8));
  await redis.lpush(keys.list('main_sql_Q'), travelling(6));
  if (format !== 'marked') {
    const generation = (await redis.hget(keys.search, 'generation')) as string;
    await redis.hset(keys.search, 'generation', generation.slice(markOf(ledger.incarnation).length + 1));
  }
  await replaceTable(opened);
  await ledger.open();
  await ledger.insertQueued([queuedRow(7), queuedRow(4)]);
  return { ...opened, token: lease?.token as string };
}

describe('a Redis restored from a backup made before the table was replaced', () => {
  test.each(['marked', 'of version 0.1'] as const)('brings nothing into the new table, reports %s', async (format) => {
    const opened = await restored(format);
    const { member, redis, keys, session, token } = opened;
    for (const id of await redis.zrange(keys.batches, '0', '-1')) await redis.zadd(keys.batches, 1, id);
    await rebuildLine(opened);
    expect(await rowsOf(opened)).toEqual(['4.0 queue', '7.0 queue']);
    expect(places(await redis.lrange(keys.list('main_Q'), 0, -1)).sort()).toEqual([4, 7]);
    expect(places(await redis.lrange(keys.foreign('main_sql_Q'), 0, -1))).toEqual(expect.arrayContaining([6]));
    expect(Object.keys(await foreignElements(session))).toHaveLength(5);
    expect(await seenIn(session)).toMatchObject({ leases: 0, waiting: 0, damage: [] });
    expect(await member.insist(() => member.leases.renew([token]))).toEqual([token]);
  });

  test('brings nothing in either when its rebuild is cut short', async () => {
    const opened = await restored('of version 0.1');
    const { member, ledger, redis, keys } = opened;
    for (const id of await redis.zrange(keys.batches, '0', '-1')) await redis.zadd(keys.batches, 1, id);
    class CutShort extends Ledger {
      override async setGeneration(): Promise<void> {
        throw new Error('cut short');
      }
    }
    const dying = new CutShort(opened.databaseUrl, 'points', line.names);
    atEnd(() => dying.close());
    const generation = (await redis.hget(keys.search, 'generation')) as string;
    await expect(rebuild(member, dying, 'a test', generation)).rejects.toThrow('cut short');
    await redis.lpush(keys.list('complete1_sql_Q'), travelling(2));
    expect(await rebuild(member, ledger, 'a test', undefined)).toBe(true);
    expect(await rowsOf(opened)).toEqual(['4.0 queue', '7.0 queue']);
    expect(await seenIn(opened.session)).toMatchObject({ leases: 0, waiting: 0, damage: [] });
  });

  test('admits none of its proposals before a master has rebuilt it', async () => {
    const opened = await restored('marked');
    const { member, ledger } = opened;
    await admit(member, ledger, (await member.batches.take('main_sql_Q', 9)) as Batch, ledger.incarnation);
    expect(await rowsOf(opened)).toEqual(['4.0 queue', '7.0 queue']);
  });

  test('has its reports for this table taken, those of version 0.1 too where the table knows its generation', async () => {
    const opened = await openLine(server);
    const { ledger, redis, keys } = opened;
    const own = 'made-by-version-0.1@a-redis-before';
    await redis.hset(keys.search, 'generation', own);
    await ledger.setGeneration(own);
    await redis.lpush(keys.list('complete1_sql_Q'), travelling(4), ofTable(5, markOf(ledger.incarnation)));
    await rebuildLine(opened);
    expect(await rowsOf(opened)).toEqual(['4.0 completed', '5.0 completed']);
  });
});

test('after sql-client -r and a Redis restored from before it, the new search ends with its own rows alone', async () => {
  const redis = await startRedis();
  const fleet = planeFleet(redis, 'restored', { lease: { seconds: 2 } });
  const client = redis.connect();
  const [saver, master] = [await fleet.start('sql-client', '-c'), await fleet.start('sql-client-master')];
  await Promise.all([saver, master].map((role) => role.line(/^serving/)));
  expect(await fleet.run('starter', '--point', 'a=-2.5,b=-2.5')).toMatchObject({ status: 0 });
  expect(await fleet.run('starter')).toMatchObject({ status: 0 });
  saver.kill('SIGTERM');
  await saver.exited;
  const worker = await fleet.start('worker');
  const reports = (list: ReportList) => client.llen(fleet.key(list));
  await until(
    async () => (await reports('complete0_sql_Q')) > 3 && (await reports('complete1_sql_Q')) > 0,
    'reports wait',
  );
  for (const role of [worker, master]) {
    role.kill('SIGKILL');
    await role.exited;
  }
  const backup = await Promise.all(
    (await client.keys('*')).map(async (key) => [key, await client.dumpBuffer(key)] as const),
  );
  const reset = await fleet.start('sql-client', '-r');
  await reset.line(/^serving/);
  reset.kill('SIGTERM');
  await reset.exited;
  await client.flushall();
  for (const [key, dump] of backup) await client.restore(key, 0, dump as Buffer);
  await fleet.crew({ clients: 2 });
  for (const role of fleet.masters) await role.line(/^serving/);
  expect(await fleet.run('starter')).toMatchObject({ status: 0 });
  await fleet.over();
  const rows = (await fleet.rows()).map(({ hash, stable }) => [hash, stable === 1]);
  expect(rows).toEqual(planeRows.map(({ hash, stable }) => [hash, stable]));
  const told = await fleet.run('status');
  expect(told.stdout).toMatch(/set aside, as meant for another table: \d+ in \{restored\}:complete0_sql_Q:foreign/);
  await fleet.stop();
});
