import { beforeAll, describe, expect, test } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.js';
import type { Batch } from '../../src/queue/batches.js';
import { beat } from '../../src/queue/fleet.js';
import { proposalLists, reportLists, type SourceList } from '../../src/queue/keys.js';
import { encode } from '../../src/queue/messages.js';
import { nextReports, settle } from '../../src/roles/client/settling.js';
import { admit } from '../../src/roles/master/admission.js';
import { Unavailable } from '../../src/support/errors.js';
import { at, line, loseNextReply, memberOf, openLine, places, proposing, seenIn, travelling } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { settledRow } from '../support/searched.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

/** A search whose list holds points, of which the owner has taken some; another member stands by. */
async function taken(source: SourceList, held: number, ...xs: number[]) {
  const opened = await openLine(server);
  const { search, member: owner, redis, keys } = opened;
  for (const x of xs) await redis.lpush(`${keys.prefix}${source}`, travelling(x));
  const batch = (await owner.batches.take(source, held)) as Batch;
  const heir = memberOf(search);
  /** As if the owner had been silent for a lease. */
  const fallSilent = () => redis.zadd(keys.batches, 1, batch.id);
  return { ...opened, owner, batch, heir, fallSilent };
}

describe('taking a batch', () => {
  test('whose reply was lost is asked for again, and answers the same elements', async () => {
    const { member, session, redis, keys } = await openLine(server);
    for (const x of [1, 2, 3]) await redis.lpush(keys.list('complete0_sql_Q'), travelling(x));
    loseNextReply(session.connection);
    await expect(member.batches.take('complete0_sql_Q', 2)).rejects.toThrow(Unavailable);
    const batch = await member.batches.take('complete0_sql_Q', 2);
    expect(places(batch?.elements ?? [])).toEqual([1, 2]);
    expect(await seenIn(session)).toMatchObject({ lists: { complete0_sql_Q: 1 }, batches: { complete0_sql_Q: 2 } });
  });
});

describe('a batch', () => {
  test('whose owner gave a sign of life after it was seen to be silent is not taken over', async () => {
    const { batch, heir, session, keys } = await taken('complete0_sql_Q', 2, 1, 2);
    const heirs = keys.batch('complete0_sql_Q/heir/1');
    const scriptKeys = [keys.search, keys.batches, keys.taken, keys.batch(batch.id), heirs, `${heirs}/rest`];
    const before = await seenIn(session);
    const args = [batch.id, 'complete0_sql_Q/heir/1', 'complete0_sql_Q/heir/1/rest', 1000, 30_000];
    expect(await heir.session.unguarded('takeover', scriptKeys, args)).toEqual([]);
    expect(await seenIn(session)).toEqual(before);
  });

  test('stays its owner’s as long as that gives signs of life', async () => {
    const { owner, heir, session, fallSilent } = await taken('complete0_sql_Q', 2, 1, 2);
    await fallSilent();
    await beat(session, owner.facts, { lifetime: 30_000, held: owner.batches.held });
    expect(await heir.batches.adopt(['complete0_sql_Q'])).toBeUndefined();
  });

  test('stays its silent owner’s for no longer than a lease when the clock was set back', async () => {
    const { batch, heir, redis, keys } = await taken('complete0_sql_Q', 2, 1, 2);
    await redis.zadd(keys.batches, Date.now() + 3_600_000, batch.id);
    expect(await heir.batches.adopt(reportLists)).toBeUndefined();
    expect(Number(await redis.zscore(keys.batches, batch.id))).toBeLessThanOrEqual(Date.now() + heir.batches.lifetime);
  });

  test('that ended is not brought back by a sign of life', async () => {
    const { owner, batch, session, redis, keys } = await taken('complete0_sql_Q', 2, 1, 2);
    await owner.batches.drop(batch, []);
    await beat(session, owner.facts, { lifetime: 30_000, held: [batch.id] });
    expect(await redis.zcard(keys.batches)).toBe(0);
  });

  test('is taken over by nobody who could not end it', async () => {
    const { heir, fallSilent } = await taken('main_sql_Q', 2, 1, 2);
    await fallSilent();
    expect(await heir.batches.adopt(reportLists)).toBeUndefined();
  });

  test('of reports that was taken over whole can no longer be ended by its old owner', async () => {
    const { owner, batch, heir, session, fallSilent } = await taken('complete0_sql_Q', 2, 1, 2);
    await fallSilent();
    const adopted = (await heir.batches.adopt(['complete0_sql_Q'])) as Batch;
    expect(adopted.elements).toEqual(batch.elements);
    const before = await seenIn(session);
    expect(await owner.batches.drop(batch, [0])).toBe(false);
    expect(await seenIn(session)).toEqual(before);
    expect(await heir.batches.drop(adopted, [])).toBe(true);
    expect(await seenIn(session)).toMatchObject({ batches: {}, empty: true });
  });

  test('of proposals that was taken over can no longer be admitted by its old owner', async () => {
    const { owner, batch, heir, session, ledger, fallSilent } = await taken('main_sql_Q', 2, 1, 2);
    await fallSilent();
    const adopted = (await heir.batches.adopt(proposalLists)) as Batch;
    const before = await seenIn(session);
    await admit(owner, ledger, batch, ledger.incarnation);
    expect(await seenIn(session)).toEqual(before);
    await admit(heir, ledger, adopted, ledger.incarnation);
    expect(await seenIn(session)).toMatchObject({ batches: {}, lists: { main_Q: 2 }, damage: [] });
  });

  test('that lost elements is found so by who takes it over', async () => {
    const { batch, heir, session, redis, keys, fallSilent } = await taken('complete0_sql_Q', 2, 1, 2);
    await fallSilent();
    await redis.rpop(keys.batch(batch.id));
    await heir.batches.adopt(['complete0_sql_Q']);
    expect((await seenIn(session)).damage).toContain('a batch lost elements');
  });
});

describe('admission', () => {
  test('lets a root in once, however often it is pushed', async () => {
    const { member, ledger, session, batch, redis, keys } = await taken('main_sql_Q', 3, 4, 4, 5);
    await admit(member, ledger, batch, ledger.incarnation);
    await redis.lpush(keys.list('main_sql_Q'), travelling(4));
    await admit(member, ledger, (await member.batches.take('main_sql_Q', 9)) as Batch, ledger.incarnation);
    expect(places(await redis.lrange(keys.list('main_Q'), 0, -1))).toEqual([5, 4]);
    expect(await seenIn(session)).toMatchObject({ seen: 2, damage: [] });
  });

  test('gives a point its row before it enters main_Q', async () => {
    const { member, ledger, batch } = await taken('main_sql_Q', 1, 4);
    await admit(member, ledger, batch, ledger.incarnation);
    expect(await ledger.find([at(4).hash])).toMatchObject([{ state: 'queue', depth: 0 }]);
  });

  test('lets a proposed point in, and once', async () => {
    const { member, ledger, session, redis, keys } = await openLine(server);
    await member.leases.propose(proposing(3, 5));
    await redis.lpush(keys.list('main_sql_Q'), travelling(3));
    await admit(member, ledger, (await member.batches.take('main_sql_Q', 9)) as Batch, ledger.incarnation);
    expect(places(await redis.lrange(keys.list('main_Q'), 0, -1))).toEqual([5, 3]);
    expect(await seenIn(session)).toMatchObject({ seen: 2, waiting: 0, damage: [] });
  });

  test('lets a point travel as its row says, whoever made that', async () => {
    const { member, ledger, session, redis, keys } = await openLine(server);
    await ledger.settle([{ ...settledRow(at(2), true, null), out_path: '/runs/2' }]);
    const proposal = (parent: number, depth: number) =>
      encode(at(3).code, { previous_hash: at(parent).hash, previous_path: `/runs/${parent}`, depth });
    await member.leases.propose([{ hash: at(3).hash, element: proposal(4, 7) }]);
    await ledger.insertQueued([{ hash: at(3).hash, code: at(3).code, previous_hash: at(2).hash, depth: 1 }]);
    await admit(member, ledger, (await member.batches.take('main_sql_Q', 9)) as Batch, ledger.incarnation);
    expect(await redis.lrange(keys.list('main_Q'), 0, -1)).toEqual([proposal(2, 1)]);
    expect(await seenIn(session)).toMatchObject({ seen: 1, waiting: 0, damage: [] });
  });

  test('runs no point whose row is settled', async () => {
    const { member, ledger, batch, redis, keys } = await taken('main_sql_Q', 2, 4, 5);
    await ledger.settle([settledRow(at(4), true, null)]);
    await admit(member, ledger, batch, ledger.incarnation);
    expect(places(await redis.lrange(keys.list('main_Q'), 0, -1))).toEqual([5]);
  });
});

describe('settling', () => {
  test('ends no batch of reports that SQL does not have', async () => {
    const { member, session, batch, databaseUrl } = await taken('complete0_sql_Q', 1, 4);
    class Broken extends Ledger {
      override async settle(): Promise<void> {
        throw new Error('broken');
      }
    }
    const ledger = new Broken(databaseUrl, 'points', line.names);
    atEnd(() => ledger.close());
    await ledger.open();
    await expect(settle(member, ledger, batch, ledger.incarnation)).rejects.toThrow('broken');
    expect(await seenIn(session)).toMatchObject({ batches: { complete0_sql_Q: 1 } });
  });

  test('goes on with what was taken when the call for another list failed', async () => {
    const { member, redis, keys } = await openLine(server);
    await redis.set(keys.list('error_sql_Q'), 'no list');
    await redis.lpush(keys.list('complete0_sql_Q'), travelling(4));
    const [batch, ...others] = await nextReports(member, 10).catch(() => []);
    expect([batch?.elements, others]).toEqual([[travelling(4)], []]);
  });

  test('sets aside what does not decode, byte for byte, and settles the rest', async () => {
    const { member, ledger, redis, keys } = await openLine(server);
    await redis.lpush(keys.list('complete0_sql_Q'), 'garbage;', travelling(4), '');
    for (const batch of await nextReports(member, 10)) {
      await expect(settle(member, ledger, batch, ledger.incarnation)).resolves.toBeUndefined();
    }
    expect(await redis.lrange(keys.malformed('complete0_sql_Q'), 0, -1)).toEqual(['', 'garbage;']);
    expect(await ledger.find([at(4).hash])).toMatchObject([{ state: 'completed', stable: true }]);
    expect(await seenIn(member.session)).toMatchObject({ empty: true });
  });
});
