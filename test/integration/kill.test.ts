import { beforeAll, expect, test } from 'vitest';
import { readKill } from '../../src/queue/fleet.js';
import { killWhenIdle } from '../../src/roles/commands/kill.js';
import { reset } from '../../src/roles/commands/reset.js';
import { OneShot } from '../../src/roles/common/oneShot.js';
import { at, type Opened, openLine, travelling } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { settledRow } from '../support/searched.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

function commandIn({ search, member }: Opened): OneShot {
  const command = new OneShot(search, member.log);
  atEnd(() => command.close());
  return command;
}

test('the switch is pulled after so many empty looks in a row, not in all', async () => {
  const opened = await openLine(server);
  const { session, redis, keys } = opened;
  const list = keys.list('main_sql_Q');
  const betweenLooks = [() => redis.lpush(list, travelling(4)), () => redis.del(list)];
  const emptyInRow: number[] = [];
  await killWhenIdle(
    commandIn(opened),
    2,
    async () => void (await betweenLooks.shift()?.()),
    (_, inRow) => emptyInRow.push(inRow),
  );
  expect(emptyInRow).toEqual([1, 0, 1, 2]);
  expect(await readKill(session)).toBe('now');
});

test('a search that begins anew keeps the roots that wait, and nothing else', async () => {
  const opened = await openLine(server, { rows: [settledRow(at(4), false, null)] });
  const { ledger, keys, redis } = opened;
  await redis.lpush(keys.list('main_sql_Q'), travelling(5));
  await reset(commandIn(opened), ledger);
  expect(await redis.keys(`${keys.prefix}*`)).toEqual([keys.list('main_sql_Q')]);
  expect((await ledger.counts()).states.completed).toBe(0);
});
