import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { describe, expect, test } from 'vitest';
import { Child } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { startMariadb } from '../support/mariadb.js';
import { Role } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

async function startScript(script: string): Promise<Role> {
  const mark = join(temporaryFolder(), 'tmp');
  mkdirSync(mark);
  const env = { ...process.env, TMPDIR: mark };
  return new Role('script', await Child.start(process.execPath, ['--eval', script], { env }), mark);
}

describe('a private Redis', () => {
  test('keeps acknowledged writes over a kill when it is asked to', async () => {
    const server = await startRedis({ persistence: 'aof', tcp: true });
    const redis = server.connect('tcp');
    await redis.set('a', '1');
    await server.kill('SIGKILL');
    await server.restart({ keepData: true });
    expect(await redis.get('a')).toBe('1');
    await server.restart({ keepData: false });
    expect(await redis.get('a')).toBeNull();
  });

  test('is another one each time', async () => {
    const [one, other] = await Promise.all([startRedis(), startRedis()]);
    await one.connect().set('a', '1');
    expect(await other.connect().get('a')).toBeNull();
  });
});

describe.each([{ durable: false }, { durable: true, tcp: true }])('a private MariaDB (%o)', (options) => {
  test('keeps committed rows over a kill, in databases of their own', async () => {
    const server = await startMariadb(options);
    const url = await server.createDatabase();
    expect(await server.createDatabase()).not.toBe(url);
    const before = await createConnection(url);
    before.on('error', () => {}); // It is killed on purpose.
    await before.query('create table t (a int)');
    await before.query('insert into t values (1)');
    await server.kill('SIGKILL');
    await server.restart();
    const after = await createConnection(options.tcp ? server.tcpUrlOf('test_1') : url);
    expect((await after.query('select a from t'))[0]).toEqual([{ a: 1 }]);
    await after.end();
  });
});

describe('a role under test', () => {
  const log = (msg: string) => `console.error(JSON.stringify({ severity: 'INFO', message: '${msg}' }));`;
  const idle = 'setInterval(() => {}, 1000);';
  const orphan = `require('child_process').spawn(process.execPath, ['--eval', '${idle}'], { detached: true, stdio: 'inherit' });`;

  test('is waited for by its log lines and its end', async () => {
    const role = await startScript(`process.on('SIGTERM', () => process.exit(7)); ${log('ready to go')} ${idle}`);
    expect(await role.line(/ready/)).toMatchObject({ message: 'ready to go' });
    role.kill('SIGTERM');
    expect(await role.exited).toEqual({ status: 7, signal: null });
    await expect(role.line(/never/)).rejects.toThrow('ready to go');
    await role.close();
  });

  test('fails its test by leaving a process behind', async () => {
    const role = await startScript(`${orphan} process.exit(0);`);
    await role.exited;
    await expect(role.close()).rejects.toThrow('left behind');
  });

  test('takes its processes along without complaint when it was killed', async () => {
    const role = await startScript(`${orphan} ${log('up')} ${idle}`);
    await role.line(/up/);
    role.kill('SIGKILL');
    await role.close();
  });
});

test('what never becomes true is told with what was last seen', async () => {
  await expect(until(() => 0, 'there is one', 0)).rejects.toThrow(
    'waited 0 s in vain until there is one; last seen: 0',
  );
});
