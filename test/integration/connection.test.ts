import { expect, test } from 'vitest';
import { Connection } from '../../src/queue/connection.js';
import { Unavailable } from '../../src/support/errors.js';
import { startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { until } from '../support/until.js';

test('a call that is under way when Redis dies fails with it', async () => {
  const server = await startRedis();
  const connection = new Connection(server.url, 'test');
  atEnd(() => connection.close());
  await connection.ask((redis) => redis.ping());
  const waiting = connection.ask((redis) => redis.blpop('nothing', 0));
  const failed = expect(waiting).rejects.toThrow(Unavailable);
  await server.kill('SIGKILL');
  await failed;
  await server.restart({ keepData: false });
  await until(async () => (await connection.ask((redis) => redis.ping())) === 'PONG', 'the connection is back');
});
