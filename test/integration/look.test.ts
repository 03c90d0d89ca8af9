import { beforeAll, describe, expect, test } from 'vitest';
import { close, look } from '../../src/queue/look.js';
import { openLine, proposing, queue, seenIn, travelling } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

/** Points in every place that owns some: two in main_Q and leases, two proposed, two reported, of which one is taken. */
async function busySearch() {
  const opened = await openLine(server);
  const { member, session } = opened;
  await queue(opened, 1, 2, 3, 4);
  const leases = await member.leases.lease(3);
  const endings = leases.slice(1).map(({ token }) => ({ token, arrival: 'complete0_sql_Q' as const }));
  await member.leases.finish(endings, proposing(5, 6), await session.generation());
  await member.batches.take('complete0_sql_Q', 1);
  return opened;
}

describe('a look', () => {
  test('finds nothing wrong where nothing was lost', async () => {
    const { session } = await busySearch();
    expect(await seenIn(session)).toMatchObject({
      ...{ damage: [], leases: 1, waiting: 2, seen: 2, ended: 2, batches: { complete0_sql_Q: 1 } },
      lists: { main_sql_Q: 2, main_Q: 1, processing_Q: 1, complete0_sql_Q: 1 },
    });
  });

  test.each<[string, string[]]>([
    ['main_Q', ['points in main_Q and leases: 1 found, 2 wanted']],
    ['processing_Q', ['points in processing_Q: 0 found, 1 wanted']],
    ['leased', ['leased points: 0 found, 1 wanted']],
    ['leases', ['points in main_Q and leases: 1 found, 2 wanted', 'leased points: 0 found, 1 wanted']],
    ['seen', ['points seen: 0 found, 2 wanted']],
    ['waiting', ['points waiting: 0 found, 2 wanted']],
    ['main_sql_Q', ['proposals: 0 found, 2 wanted']],
    ['batches', ['batches: 0 found, 1 wanted']],
    ['complete0_sql_Q', ['reports: 1 found, 2 wanted']],
  ])('names what is short when %s is lost', async (part, damage) => {
    const { session, redis, keys } = await busySearch();
    await redis.del(`${keys.prefix}${part}`);
    expect((await look(session)).damage).toEqual(damage);
  });
});

describe('closing a search', () => {
  test('is refused when anything moved since the pass over SQL began', async () => {
    const { member, session } = await openLine(server);
    const { moves } = await look(session);
    await member.leases.propose(proposing(5));
    const batch = await member.batches.take('main_sql_Q', 1);
    if (batch) await member.batches.admit(batch, [], []);
    expect(await seenIn(session)).toMatchObject({ lists: { main_sql_Q: 0 }, leases: 0, batches: {} });
    await session.connection.ask((redis) => redis.del(session.keys.waiting));
    expect(await close(session, moves)).toBe(false);
    expect(await close(session, (await look(session)).moves)).toBe(true);
    expect(await seenIn(session)).toMatchObject({ closed: true });
  });

  test('is refused while anything owns a point', async () => {
    const { session, redis, keys } = await openLine(server);
    // A root that starter pushed is no move of a script.
    await redis.lpush(keys.list('main_sql_Q'), travelling(4));
    expect(await close(session, (await look(session)).moves)).toBe(false);
  });

  test('is over with the next move', async () => {
    const opened = await openLine(server);
    const { session } = opened;
    await close(session, (await look(session)).moves);
    await queue(opened, 4);
    expect(await seenIn(session)).toMatchObject({ closed: false, empty: false });
  });
});
