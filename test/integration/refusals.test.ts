import { describe, expect, test } from 'vitest';
import { planeFleet } from '../support/plane.js';
import { runRole, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { expectRefused, killConnections, startDatabase } from '../support/refusals.js';

describe('what a service refuses for good ends at once', () => {
  test('a database: a wrong password, another database, a missing right', async () => {
    const [redis, { root, urlOf }] = await Promise.all([startRedis(), startDatabase()]);
    await root.query("create user reader@localhost identified by 'a-secret'");
    await root.query('grant select on fleet.* to reader@localhost');
    const fleet = planeFleet(redis, 'refused');
    const run = (url: string, role: string, ...args: string[]) =>
      runRole(role, args, { config: fleet.config, env: { DATABASE_URL: url } });
    const denied = /^the database: Access denied for user 'fleet'@'localhost'.*; check the user and the password/;
    const wrong = urlOf('fleet:a-secret-of-old');
    for (const command of [['status'], ['verify'], ['starter'], ['sql-client', '-c'], ['sql-client-master']]) {
      const [role = '', ...args] = command;
      expectRefused(await run(wrong, role, ...args), denied);
    }
    expectRefused(await run(urlOf('root', 'none'), 'sql-client', '-c'), /^the database: Unknown database 'none'/);
    expectRefused(
      await run(urlOf('reader:a-secret'), 'sql-client', '-c'),
      /^the database: CREATE command denied to user 'reader'@'localhost'.*lacks a right/,
    );
  });

  test('Redis: a wrong password, a missing right, a command that is switched off', async () => {
    const renamed = ['--rename-command', 'EVALSHA', ''];
    const [redis, crippled] = await Promise.all([startRedis({ tcp: true }), startRedis({ options: renamed })]);
    const root = redis.connect();
    await root.call('ACL', 'SETUSER', 'fleet', 'on', '>a-secret', '~*', '&*', '+@read', '+info', '+@connection');
    const fleet = planeFleet(redis, 'refused');
    const run = (url: string, role: string, ...args: string[]) =>
      runRole(role, args, { config: fleet.config, env: { REDIS_URL: url } });
    const urlOf = (password: string) => `redis://fleet:${password}@127.0.0.1:${redis.port}`;
    for (const command of [['kill', '-k'], ['starter'], ['worker'], ['sql-client', '-c'], ['sql-client-master']]) {
      const [role = '', ...args] = command;
      expectRefused(
        await run(urlOf('a-secret-of-old'), role, ...args),
        /^Redis \(redis:\S+\): WRONGPASS .*; check the/,
      );
    }
    for (const role of ['worker', 'sql-client-master']) {
      expectRefused(
        await run(urlOf('a-secret'), role),
        /^Redis \(redis:\S+\): NOPERM .*'evalsha' command.*; the Redis user lacks/,
      );
    }
    await root.call('ACL', 'SETUSER', 'fleet', '+@scripting', '+@write', '-hset', '-sadd');
    for (const role of ['worker', 'sql-client']) {
      expectRefused(
        await run(urlOf('a-secret'), role),
        /: this user may not run TIME, HSET, SADD: grant it \+time \+hset \+sadd$/,
      );
    }
    expect(await root.keys('*')).toEqual([]);
    expectRefused(
      await run(crippled.url, 'worker'),
      /^Redis \(unix:\S+\): ERR unknown command .?EVALSHA.*switched off/i,
    );
  });
});

test('a role that has served waits for a password that is wrong now, and goes on', async () => {
  const [redis, { root, urlOf }] = await Promise.all([startRedis(), startDatabase()]);
  const fleet = planeFleet(redis, 'rotated');
  const env = { DATABASE_URL: urlOf('fleet:a-secret') };
  const client = await startRole('sql-client', ['-c'], { config: fleet.config, env });
  const master = await startRole('sql-client-master', [], { config: fleet.config, env });
  for (const role of [client, master]) await role.line(/^serving/);
  await root.query("alter user fleet@localhost identified by 'another'");
  await killConnections(root);
  await redis.connect().lpush('{rotated}:main_sql_Q', '0.0,0.0');
  await master.line(/^waiting: the database: Access denied/);
  await root.query("alter user fleet@localhost identified by 'a-secret'");
  await master.line(/^goes on after: the database: Access denied/);
  for (const role of [client, master]) {
    role.kill('SIGTERM');
    expect(await role.exited, role.stderr).toEqual({ status: 0, signal: null });
  }
});

test.each([
  [
    'REDIS_URL',
    '127.0.0.1:6379',
    /^REDIS_URL: expected redis:\/\/host:port, got 127\.0\.0\.1:6379; other forms: redis\+sentinel:\S+, redis/,
  ],
  ['REDIS_URL', 'redis://:a-secret%@127.0.0.1', /^REDIS_URL: the password has a % that is not an escape: write %25$/],
  [
    'DATABASE_URL',
    'mysql://u:a-secret%@127.0.0.1/db',
    /^DATABASE_URL: the password has a % that is not an escape: write %25$/,
  ],
  ['DATABASE_URL', 'mysql://u:a-secret@h/db?tls=1', /^DATABASE_URL: unknown option tls: known are ssl-mode, /],
])('%s=%s is wrong usage, in one sentence', async (variable, url, sentence) => {
  const { config } = planeFleet(await startRedis(), 'usage');
  const { status, stderr } = await runRole('status', [], { config, env: { [variable]: url } });
  expect([status, stderr.trimEnd()]).toEqual([2, expect.stringMatching(sentence)]);
  expect(stderr).not.toContain('a-secret');
});
