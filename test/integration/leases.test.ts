import { beforeAll, describe, expect, test } from 'vitest';
import { sweep } from '../../src/roles/master/sweep.js';
import { Unavailable } from '../../src/support/errors.js';
import { at, loseNextReply, openLine, places, proposing, queue, seenIn, travelling } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { settledRow } from '../support/searched.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

const intervalMs = 5000;

/** A search with so many points leased. */
async function leased(...xs: number[]) {
  const opened = await openLine(server);
  await queue(opened, ...xs);
  const { member, session } = opened;
  const leases = await member.leases.lease(xs.length);
  const tokens = leases.map(({ token }) => token);
  return { ...opened, leases, tokens, token: tokens[0] as string, generation: await session.generation() };
}

describe('leasing', () => {
  test('whose reply was lost is asked for again, and answers the same leases', async () => {
    const opened = await openLine(server);
    await queue(opened, 1, 2, 3);
    const { member, session } = opened;
    loseNextReply(session.connection);
    await expect(member.leases.lease(2)).rejects.toThrow(Unavailable);
    const leases = await member.leases.lease(2);
    expect(places(leases.map(({ element }) => element))).toEqual([1, 2]);
    expect(await seenIn(session)).toMatchObject({ leases: 2, lists: { main_Q: 1, processing_Q: 2 }, damage: [] });
  });

  test('stops while the kill switch is on', async () => {
    const opened = await openLine(server);
    await queue(opened, 1);
    await opened.redis.lpush(opened.keys.list('kill'), 'now');
    expect(await opened.member.leases.lease(1)).toEqual([]);
  });

  test('pauses while reports pile up', async () => {
    const opened = await openLine(server);
    await queue(opened, 1);
    await opened.redis.lpush(opened.keys.list('complete1_sql_Q'), ...Array<string>(20_001).fill('a report'));
    expect(await opened.member.leases.lease(1)).toEqual([]);
  });
});

describe('a lease', () => {
  test('that is over ends nothing, neither its point nor any that is told of with it', async () => {
    const { member, session, leases, tokens, token, generation } = await leased(1, 2);
    await member.leases.finish([{ token, arrival: 'main_Q' }], [], generation);
    const before = await seenIn(session);
    const late = leases.map((lease) => ({ ...lease, arrival: 'complete0_sql_Q' as const }));
    await expect(member.leases.finish(late, proposing(5), generation)).resolves.toEqual([tokens[0]]);
    expect(await seenIn(session)).toEqual(before);
  });

  test('that was renewed after it was seen to be expired is not reclaimed', async () => {
    const { member, session, token } = await leased(1);
    const before = await seenIn(session);
    expect(await member.leases.reclaim([{ token, arrival: 'main_Q' }])).toEqual([token]);
    expect(await seenIn(session)).toEqual(before);
  });

  test('that was lost is not brought back by a renewal, and its holder is told', async () => {
    const { member, session, keys, redis, tokens, token } = await leased(1, 2);
    await redis.zadd(keys.leases, 1, token);
    await member.leases.reclaim([{ token, arrival: 'main_Q' }]);
    expect(await member.leases.renew(tokens)).toEqual([token]);
    expect(await seenIn(session)).toMatchObject({ leases: 1, damage: [] });
  });

  test('that is over has no news of its run any more', async () => {
    const { member, session, leases, token, generation } = await leased(1);
    await member.leases.finish([{ token, arrival: 'complete1_sql_Q' }], [], generation);
    await member.leases.announce(leases);
    expect(await seenIn(session)).toMatchObject({ lists: { running_sql_Q: 0 } });
  });
});

describe('a sweep', () => {
  test('after a silence of all who sweep finds nothing expired before a whole lease has passed', async () => {
    const { member, keys, redis, token } = await leased(1);
    await redis.zadd(keys.leases, 1, token);
    await redis.hset(keys.search, 'swept_at', 1, 'reclaim_from', 0);
    const expired = () => member.leases.expired(intervalMs, 10);
    expect(await expired()).toEqual([]);
    expect(await expired()).toEqual([]);
    await redis.hset(keys.search, 'reclaim_from', 0);
    expect(await expired()).toMatchObject([{ token, element: travelling(1) }]);
  });

  test('lets no lease, and no wait before it reclaims, last longer than a lease when the clock was set back', async () => {
    const { member, keys, redis, token } = await leased(1);
    const { leaseMs } = member.search;
    const hourLater = Date.now() + 3_600_000;
    await redis.zadd(keys.leases, hourLater, token);
    await redis.hset(keys.search, 'reclaim_from', hourLater);
    await member.leases.expired(intervalMs, 10);
    const times = [await redis.zscore(keys.leases, token), await redis.hget(keys.search, 'reclaim_from')];
    for (const time of times) expect(Number(time)).toBeLessThanOrEqual(Date.now() + leaseMs);
  });

  test('finds nothing expired for a whole lease after a rebuild', async () => {
    const { member, keys, redis, token } = await leased(1);
    await redis.zadd(keys.leases, 1, token);
    expect(await member.leases.expired(intervalMs, 10)).toEqual([]);
  });

  test('admits anew what stands in processing_Q without a lease, and leaves what is leased', async () => {
    const { member, keys, redis } = await leased(1);
    await redis.lpush(keys.list('processing_Q'), '7');
    await sweep(member, intervalMs);
    expect(await redis.lrange(keys.strays, 0, -1)).toEqual(['7']);
    expect(places(await redis.lrange(keys.list('processing_Q'), 0, -1))).toEqual([1]);
  });
});

describe('proposals', () => {
  test('of a completion enter once, however often a point is met', async () => {
    const { member, session, tokens, generation } = await leased(1, 2);
    const [first, second] = tokens.map((token) => ({ token, arrival: 'complete0_sql_Q' as const }));
    await member.leases.finish(first ? [first] : [], proposing(3, 5, 5), generation);
    await member.leases.finish(second ? [second] : [], proposing(5, 6), generation);
    expect(await seenIn(session)).toMatchObject({ waiting: 3, seen: 3, lists: { main_sql_Q: 3 }, damage: [] });
  });

  test('of a pass over SQL enter once, however often a point is met', async () => {
    const { member, session } = await openLine(server);
    expect(await member.leases.propose(proposing(3, 5, 5))).toEqual({ entered: 2, dropped: 0 });
    expect(await member.leases.propose(proposing(5, 6))).toEqual({ entered: 1, dropped: 0 });
    expect(await seenIn(session)).toMatchObject({ waiting: 3, seen: 3, lists: { main_sql_Q: 3 }, damage: [] });
  });

  test.each(['a completion', 'a pass over SQL'])(
    'beyond maxPoints are counted, those met before are not: %s',
    async (by) => {
      const opened = await openLine(server, { maxPoints: 3, rows: [settledRow(at(4), false, null)] });
      const { member, session } = opened;
      const proposals = proposing(3, 5, 6, 4);
      if (by === 'a completion') {
        await queue(opened, 4);
        const [lease] = await member.leases.lease(1);
        const ending = { token: lease?.token ?? '', arrival: 'complete0_sql_Q' as const };
        await member.leases.finish([ending], proposals, await session.generation());
        expect(await seenIn(session)).toMatchObject({ seen: 3, waiting: 2, dropped: 1 });
      } else {
        expect(await member.leases.propose(proposals)).toEqual({ entered: 2, dropped: 1 });
      }
    },
  );
});
