import type { Redis } from 'ioredis';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Batch } from '../../src/queue/batches.js';
import { type Keys, proposalLists } from '../../src/queue/keys.js';
import type { Lease } from '../../src/queue/leases.js';
import { close, look } from '../../src/queue/look.js';
import type { Member } from '../../src/roles/common/member.js';
import type { Search } from '../../src/roles/common/search.js';
import { admit } from '../../src/roles/master/admission.js';
import { memberOf, type Opened, openLine, proposing, queue, rebuildLine, seenIn, travelling } from '../support/line.js';
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

describe('what is lost is missed, whoever put it there:', () => {
  test('admission', async () => {
    const { member, ledger, session, redis, keys } = await openLine(server);
    await redis.lpush(keys.list('main_sql_Q'), travelling(4));
    await admit(member, ledger, (await member.batches.take('main_sql_Q', 1)) as Batch, ledger.incarnation);
    await redis.del(keys.list('main_Q'), keys.seen);
    const damage = ['points in main_Q and leases: 0 found, 1 wanted', 'points seen: 0 found, 1 wanted'];
    expect((await look(session)).damage).toEqual(damage);
  });

  test('a pass over SQL', async () => {
    const { member, session, redis, keys } = await openLine(server);
    await member.leases.propose(proposing(5, 6));
    await redis.del(keys.seen, keys.waiting);
    const damage = ['points seen: 0 found, 2 wanted', 'points waiting: 0 found, 2 wanted'];
    expect((await look(session)).damage).toEqual(damage);
  });
});

test.each<[string, (redis: Redis, keys: Keys) => Promise<unknown>]>([
  ['a list', (redis, keys) => redis.lpush(keys.list('error_sql_Q'), 'a report')],
  ['a lease', (redis, keys) => redis.zadd(keys.leases, 1, 'a token')],
  ['a batch', (redis, keys) => redis.zadd(keys.batches, 1, 'an id')],
  ['the waiting set', (redis, keys) => redis.sadd(keys.waiting, 'a hash')],
  ['the strays', (redis, keys) => redis.lpush(keys.strays, 'a stray')],
  ['a rebuild', (redis, keys) => redis.set(keys.lock, 'a token')],
])('a search is not empty while %s is not', async (_, fill) => {
  const { session, redis, keys } = await openLine(server);
  expect((await look(session)).empty).toBe(true);
  await fill(redis, keys);
  expect((await look(session)).empty).toBe(false);
});

describe('every move is counted, so that no search is closed beside it:', () => {
  type Move = (opened: Opened, lease: Lease, batch: Batch) => Promise<unknown>;
  test.each<[string, Move]>([
    ['admit', ({ member }, _, batch) => member.batches.admit(batch, [], [])],
    ['drop', ({ member }, _, batch) => member.batches.drop(batch, [])],
    ['finish', async ({ member, session }, { token }) => end(member, token, await session.generation())],
    ['lease', ({ member }) => member.leases.lease(1)],
    ['propose', ({ member }) => member.leases.propose(proposing(8))],
    ['publish', rebuildLine],
    ['requeue', (opened) => queue(opened, 7)],
    ['take', ({ member }) => member.batches.take('main_sql_Q', 1)],
    ['takeover', ({ search, redis, keys }, _, { id }) => redis.zadd(keys.batches, 1, id).then(() => adopt(search))],
  ])('%s', async (_, move) => {
    const opened = await openLine(server);
    const { member, session } = opened;
    await queue(opened, 1, 2);
    const [lease] = (await member.leases.lease(1)) as [Lease];
    await member.leases.propose(proposing(5, 6));
    const batch = (await member.batches.take('main_sql_Q', 1)) as Batch;
    const { moves } = await look(session);
    await move(opened, lease, batch);
    expect(Number((await look(session)).moves)).toBeGreaterThan(Number(moves));
  });

  const end = (member: Member, token: string, generation: string) =>
    member.leases.finish([{ token, arrival: 'main_Q' }], [], generation);
  const adopt = (search: Search) => memberOf(search).batches.adopt(proposalLists);
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
