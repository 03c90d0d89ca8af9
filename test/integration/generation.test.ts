import { beforeAll, describe, expect, test } from 'vitest';
import type { Batch } from '../../src/queue/batches.js';
import type { ScriptName } from '../../src/queue/connection.js';
import type { Lease } from '../../src/queue/leases.js';
import { close } from '../../src/queue/look.js';
import type { Member } from '../../src/roles/common/member.js';
import { Unavailable } from '../../src/support/errors.js';
import { at, openLine, proposing, queue, rebuildLine, seenIn, travelling } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

/** A search in which each script has something to do: a point in main_Q, one leased, one in a batch and one waiting. */
async function busy() {
  const opened = await openLine(server);
  const { member, session } = opened;
  await queue(opened, 1, 2);
  const [lease] = (await member.leases.lease(1)) as [Lease];
  await member.leases.propose(proposing(5, 6));
  const batch = (await member.batches.take('main_sql_Q', 1)) as Batch;
  return { ...opened, lease, batch, generation: await session.generation() };
}

type Busy = Awaited<ReturnType<typeof busy>>;

test.each<[ScriptName, (busy: Busy) => Promise<unknown>]>([
  [
    'admit',
    ({ member, batch }) => member.batches.admit(batch, [{ hash: at(5).hash, element: batch.elements[0] ?? null }], []),
  ],
  ['announce', ({ member, lease }) => member.leases.announce([lease])],
  ['close', ({ session }) => close(session, '0')],
  ['expired', ({ member }) => member.leases.expired(5000, 10)],
  [
    'finish',
    ({ member, lease, generation }) => member.leases.finish([{ ...lease, arrival: 'main_Q' }], [], generation),
  ],
  ['lease', ({ member }) => member.leases.lease(1)],
  ['propose', ({ member }) => member.leases.propose(proposing(7))],
  ['renew', ({ member, lease }) => member.leases.renew([lease.token])],
  ['requeue', ({ member, generation }) => member.leases.requeue([travelling(8)], generation)],
  [
    'strays',
    ({ session, keys }) =>
      session.script('strays', [keys.search, keys.list('processing_Q'), keys.leased, keys.strays], []),
  ],
  ['take', ({ member }) => member.batches.take('main_sql_Q', 1)],
])('the script %s does nothing for a generation that does not stand any more', async (_, call) => {
  const search = await busy();
  const { session, redis, keys } = search;
  await redis.hset(keys.search, 'generation', 'another');
  const before = await seenIn(session);
  await expect(call(search)).rejects.toThrow(/GENERATION changed/);
  expect(await seenIn(session)).toEqual(before);
});

describe('a call that relies on an earlier generation is refused, also when the new one is known:', () => {
  test.each<[string, (busy: Busy) => Promise<unknown>]>([
    ['the end of a lease', ({ member, lease, generation }) => end(member, lease, generation)],
    ['queueing again', ({ member, generation }) => member.leases.requeue([travelling(8)], generation)],
  ])('%s', async (_, call) => {
    const search = await busy();
    const { member, session } = search;
    await rebuildLine(search);
    await member.insist(() => member.leases.renew([]));
    const before = await seenIn(session);
    await expect(call(search)).rejects.toThrow(Unavailable);
    expect(await seenIn(session)).toEqual(before);
  });

  const end = (member: Member, lease: Lease, generation: string) =>
    member.leases.finish([{ ...lease, arrival: 'complete0_sql_Q' }], [], generation);
});

describe('a Redis that was restarted with what it had', () => {
  async function restarted() {
    const durable = await startRedis({ persistence: 'aof' });
    const opened = await openLine(durable);
    await queue(opened, 4);
    const [lease] = await opened.member.leases.lease(1);
    const generation = await opened.session.generation();
    await durable.restart({ keepData: true });
    const { connection } = opened.session;
    await until(async () => (await connection.ask((redis) => redis.ping())) === 'PONG', 'the connection is back');
    return { ...opened, generation, token: lease?.token as string };
  }

  test('is left alone until a master has checked it', async () => {
    const { session, redis, keys, generation } = await restarted();
    expect(await redis.hget(keys.search, 'generation')).toBe(generation);
    await expect(session.generation()).rejects.toThrow(/Redis restarted/);
  });

  test('gets no call that relies on what held before', async () => {
    const { member, generation, token } = await restarted();
    await expect(member.leases.finish([{ token, arrival: 'complete0_sql_Q' }], [], generation)).rejects.toThrow(
      Unavailable,
    );
  });
});
