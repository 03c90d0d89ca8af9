import { beforeAll, expect, test } from 'vitest';
import type { Lease } from '../../src/queue/leases.js';
import { type Answer, Finisher, type RunEnding } from '../../src/roles/worker/finisher.js';
import { at, loseNextReply, type Opened, openLine, places, queue, rebuildLine } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

/** A stable end of the run at a place. */
function stable({ token }: Lease, x: number): RunEnding {
  return { token, arrival: 'complete0_sql_Q', parent: { point: at(x), depth: 0, outPath: null } };
}

function finisherOf({ member }: Opened) {
  const over: string[] = [];
  const answers: Answer[] = [];
  const note = (tokens: string[], answer: Answer) => {
    over.push(...tokens);
    answers.push(answer);
  };
  const finisher = new Finisher(member, note, member.stop.abort);
  const sending = finisher.run();
  const closed = () => {
    finisher.close();
    return sending;
  };
  return { finisher, over, answers, closed };
}

const proposed = async ({ redis, keys }: Opened) => places(await redis.lrange(keys.list('main_sql_Q'), 0, -1)).sort();

test('what was proposed with a refused lease is proposed again with those that stand', async () => {
  const opened = await openLine(server);
  const { member, session } = opened;
  await queue(opened, 4, 6);
  const [late, standing] = (await member.leases.lease(2)) as [Lease, Lease];
  await member.leases.finish([{ token: late.token, arrival: 'main_Q' }], [], await session.generation());
  const { finisher, closed } = finisherOf(opened);
  finisher.add(stable(late, 4));
  finisher.add(stable(standing, 6));
  await closed();
  expect(await proposed(opened)).toEqual([5, 7]);
});

test('what was proposed in an earlier generation is proposed again in a new one', async () => {
  const opened = await openLine(server);
  const { member, redis } = opened;
  const { finisher, over, closed } = finisherOf(opened);
  await queue(opened, 4);
  const [first] = (await member.leases.lease(1)) as [Lease];
  finisher.add(stable(first, 4));
  await until(() => over.includes(first.token), 'the first is told');
  expect(await proposed(opened)).toEqual([3, 5]);

  // Of all this SQL knows nothing.
  await redis.flushall();
  await rebuildLine(opened);
  // The first call finds that the generation is another.
  await member.insist(() => queue(opened, 4));
  const [second] = (await member.leases.lease(1)) as [Lease];
  finisher.add(stable(second, 4));
  await closed();
  expect(await proposed(opened)).toEqual([3, 5]);
});

test('what Redis took, but told in a reply that was lost, is not taken for lost to others', async () => {
  const opened = await openLine(server);
  const { member, session, redis, keys } = opened;
  await queue(opened, 4);
  const [lease] = (await member.leases.lease(1)) as [Lease];
  const { finisher, over, answers, closed } = finisherOf(opened);
  loseNextReply(session.connection);
  finisher.add(stable(lease, 4));
  expect(finisher.ends(lease.token)).toBe(true);
  await closed();
  expect([over, answers]).toEqual([[lease.token], ['unknown']]);
  expect(finisher.ends(lease.token)).toBe(false);
  expect(await redis.llen(keys.list('complete0_sql_Q'))).toBe(1);
});
