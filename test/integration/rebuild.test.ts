import { beforeAll, describe, expect, test } from 'vitest';
import { Rebuilding } from '../../src/queue/rebuilding.js';
import { rebuild } from '../../src/roles/master/rebuild.js';
import { Unavailable } from '../../src/support/errors.js';
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
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { searchedRows, settledRow } from '../support/searched.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

const root = settledRow(at(4), true, null);
const placesIn = async ({ redis, keys }: Opened, list: 'main_Q' | 'main_sql_Q') =>
  places(await redis.lrange(keys.list(list), 0, -1)).sort();

async function begun({ session, search }: Opened): Promise<Rebuilding> {
  const rebuilding = (await Rebuilding.begin(session, search.leaseMs)) as Rebuilding;
  atEnd(() => rebuilding.end());
  return rebuilding;
}

describe('a rebuild', () => {
  test('brings every report into SQL first, so that its point does not run again', async () => {
    const opened = await openLine(server);
    const { ledger, redis, keys } = opened;
    await ledger.insertQueued([queuedRow(4)]);
    await redis.lpush(keys.list('complete1_sql_Q'), travelling(4));
    await rebuildLine(opened);
    expect(await placesIn(opened, 'main_Q')).toEqual([]);
    expect(await ledger.find([at(4).hash])).toMatchObject([{ state: 'completed', stable: false }]);
  });

  test.each(['', ', also when the size of its batch was lost'])(
    'waits for the reports that another client has taken%s',
    async (lost) => {
      const opened = await openLine(server);
      const { ledger, search, redis, keys } = opened;
      await ledger.insertQueued([queuedRow(4)]);
      await redis.lpush(keys.list('complete1_sql_Q'), travelling(4));
      await memberOf({ ...search, leaseMs: 300 }).batches.take('complete1_sql_Q', 1);
      if (lost) await redis.del(keys.taken);
      await rebuildLine(opened);
      expect(await placesIn(opened, 'main_Q')).toEqual([]);
    },
  );

  test('counts anew what maxPoints keeps out', async () => {
    const opened = await openLine(server, { maxPoints: 1, rows: [settledRow(at(4), true, null)] });
    expect(await seenIn(opened.session)).toMatchObject({ seen: 1, dropped: 2 });
    await rebuildLine(opened);
    expect(await seenIn(opened.session)).toMatchObject({ seen: 1, dropped: 2 });
    await rebuildLine({ ...opened, member: memberOf({ ...opened.search, maxPoints: 3 }) });
    expect(await seenIn(opened.session)).toMatchObject({ seen: 3, dropped: 0 });
  });

  test('takes over a batch whose mark was lost', async () => {
    const opened = await openLine(server);
    const { search, member, redis, keys } = opened;
    await redis.lpush(keys.list('complete1_sql_Q'), travelling(4));
    await memberOf(search).batches.take('complete1_sql_Q', 1);
    await redis.del(keys.batches);
    await (await begun(opened)).suspend();
    expect(await member.batches.adopt(['complete1_sql_Q'])).toMatchObject({ elements: [travelling(4)] });
  });

  test('lets nothing move while it goes on', async () => {
    const opened = await openLine(server);
    await queue(opened, 4);
    const [lease] = await opened.member.leases.lease(1);
    await (await begun(opened)).suspend();
    await expect(opened.member.leases.renew([lease?.token as string])).rejects.toThrow(Unavailable);
  });

  test('proposes the neighbours of stable rows that have no row, and no other point', async () => {
    const opened = await openLine(server, { rows: [root, settledRow(at(3), false, root)] });
    await opened.redis.del(opened.keys.list('main_sql_Q'), opened.keys.waiting, opened.keys.seen);
    await rebuildLine(opened);
    expect(await placesIn(opened, 'main_sql_Q')).toEqual([5]);
    expect(await seenIn(opened.session)).toMatchObject({ waiting: 1, seen: 3, damage: [] });
  });

  test('keeps a root that has no row yet, in the list, in a batch, or in processing_Q without a lease', async () => {
    const opened = await openLine(server);
    const { search, redis, keys } = opened;
    await redis.lpush(keys.list('main_sql_Q'), travelling(7));
    await memberOf(search).batches.take('main_sql_Q', 1);
    await redis.lpush(keys.list('main_sql_Q'), travelling(4));
    await redis.lpush(keys.list('processing_Q'), travelling(1));
    await rebuildLine(opened);
    expect(await placesIn(opened, 'main_sql_Q')).toEqual([1, 4, 7]);
    expect(await seenIn(opened.session)).toMatchObject({ batches: {}, waiting: 3, damage: [] });
  });

  test('queues live rows again, but those whose leases stand', async () => {
    const opened = await openLine(server);
    const { member, ledger, session } = opened;
    await ledger.insertQueued([queuedRow(4), queuedRow(5, 4)]);
    await queue(opened, 4);
    const [lease] = await member.leases.lease(1);
    const token = lease?.token as string;
    await rebuildLine(opened);
    expect(await placesIn(opened, 'main_Q')).toEqual([5]);
    expect(await seenIn(session)).toMatchObject({ leases: 1, lists: { processing_Q: 1 }, damage: [] });
    expect(await member.insist(() => member.leases.renew([token]))).toEqual([]);
  });

  test('forgets the leases of rows that are settled', async () => {
    const opened = await openLine(server, { rows: [settledRow(at(4), false, null)] });
    const { member } = opened;
    await queue(opened, 4);
    const [lease] = await member.leases.lease(1);
    const token = lease?.token as string;
    await rebuildLine(opened);
    expect(await member.insist(() => member.leases.renew([token]))).toEqual([token]);
    expect(await seenIn(opened.session)).toMatchObject({ empty: true, damage: [] });
  });

  test('gives no lease up that Redis knows without its expiry, for one whole lease', async () => {
    const opened = await openLine(server);
    const { member, ledger, redis, keys } = opened;
    await ledger.insertQueued([queuedRow(4)]);
    await queue(opened, 4);
    await member.leases.lease(1);
    await redis.del(keys.leases);
    await rebuildLine(opened);
    expect(await seenIn(opened.session)).toMatchObject({ leases: 1, damage: [] });
    expect(await member.insist(() => member.leases.expired(5000, 10))).toEqual([]);
  });

  test('passes over rows whose code has another hash', async () => {
    const opened = await openLine(server);
    await opened.ledger.insertQueued([{ ...queuedRow(4), hash: 'f'.repeat(32) }]);
    await rebuildLine(opened);
    expect(await placesIn(opened, 'main_Q')).toEqual([]);
  });

  test('of a whole search leaves it whole, in a generation that SQL knows', async () => {
    const opened = await openLine(server, { rows: searchedRows(line, () => true) });
    const { session, ledger } = opened;
    const before = await session.generation();
    await rebuildLine(opened);
    const generation = await ledger.generation();
    expect(generation).not.toBe(before);
    expect(await seenIn(session)).toMatchObject({ generation, empty: true, seen: 10, damage: [] });
  });
});

describe('of two rebuilds', () => {
  test('one waits while the other goes on', async () => {
    const opened = await openLine(server);
    await begun(opened);
    expect(await rebuildLine(opened)).toBe(false);
  });

  test('of one damage one is enough', async () => {
    const { member, ledger, session } = await openLine(server);
    const generation = await session.generation();
    expect(await rebuild(member, ledger, 'a damage', generation)).toBe(true);
    expect(await rebuild(member, ledger, 'a damage', generation)).toBe(false);
  });

  test.each<[string, (rebuilding: Rebuilding) => Promise<void>]>([
    ['suspends', (rebuilding) => rebuilding.suspend()],
    ['fills', (rebuilding) => rebuilding.markSeen([at(1).hash])],
    ['proposes', async (rebuilding) => void (await rebuilding.propose(proposing(1), null))],
    ['publishes', (rebuilding) => rebuilding.publish('late', '{}', 1000, [])],
  ])('the one that was overtaken no longer %s anything', async (_, act) => {
    const opened = await openLine(server);
    const { session, redis, keys } = opened;
    const overtaken = await begun(opened);
    await overtaken.suspend();
    await redis.set(keys.lock, 'another');
    const before = await seenIn(session);
    await expect(act(overtaken)).rejects.toThrow(/another master rebuilds/);
    expect(await seenIn(session)).toEqual(before);
    await overtaken.end();
    expect(await redis.get(keys.lock)).toBe('another');
  });
});
