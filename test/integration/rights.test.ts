import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { planeFleet } from '../support/plane.js';
import { freePort } from '../support/port.js';
import { runRole, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { expectRefused, killConnections, startDatabase } from '../support/refusals.js';

test('a database number that Redis does not have is refused, with the number of those that it has', async () => {
  const redis = await startRedis({ tcp: true });
  const { config } = planeFleet(redis, 'numbered');
  const kill = (number: number) => runRole('kill', ['-k'], { config, env: { REDIS_URL: `${redis.tcpUrl}/${number}` } });
  for (const number of [16, 99, 1_000_000_000]) {
    const sentence = `^Redis \\(\\S+\\): no database ${number}: this Redis has 16, numbered from 0$`;
    expectRefused(await kill(number), new RegExp(sentence));
  }
  expect((await kill(15)).status).toBe(0);
  const root = redis.connect();
  expect(await root.keys('*')).toEqual([]);
  await root.select(15);
  expect(await root.keys('*')).toEqual(['{numbered}:kill']);
});

test('the rights that the README names are enough for a whole search', async () => {
  const [redis, { root, urlOf }] = await Promise.all([startRedis({ tcp: true }), startDatabase()]);
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const acl = /ACL SETUSER (fleet .*)$/m.exec(readme)?.[1]?.replace('{pyatmos}', '{rights}').split(' ') ?? [];
  await redis.connect().call('ACL', 'SETUSER', ...acl);
  for (const [name, grants] of [
    ['client', 'SELECT, INSERT, UPDATE'],
    ['creator', 'SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP'],
    ['reader', 'SELECT'],
  ] as const) {
    expect(readme).toContain(`\`${grants}\``);
    await root.query(`create user ${name}@localhost identified by 'a-secret'`);
    await root.query(`grant ${grants} on fleet.* to ${name}@localhost`);
  }
  const { config } = planeFleet(redis, 'rights');
  const as = (user: string) => ({
    config,
    env: {
      REDIS_URL: `redis://fleet:password@127.0.0.1:${redis.port}`,
      DATABASE_URL: urlOf(`${user}:a-secret`),
    },
  });
  const creator = await startRole('sql-client', ['-c'], as('creator'));
  await creator.line(/^serving/);
  creator.kill('SIGTERM');
  await creator.exited;
  const [client, master, worker] = await Promise.all([
    startRole('sql-client', [], as('client')),
    startRole('sql-client-master', ['--rebuild'], as('client')),
    startRole('worker', [], as('reader')),
  ]);
  expect(await runRole('starter', [], as('reader'))).toMatchObject({ status: 0 });
  await master.line(/^the search is over/);
  for (const command of ['verify', 'status', 'export']) {
    const args = command === 'export' ? ['--format', 'csv'] : [];
    expect(await runRole(command, args, as('reader')), command).toMatchObject({ status: 0 });
  }
  for (const role of [client, master, worker]) {
    role.kill('SIGTERM');
    expect(await role.exited, role.stderr).toEqual({ status: 0, signal: null });
    expect(role.stderr).not.toMatch(/NOPERM|denied/);
  }
  for (const role of ['sql-client', 'sql-client-master']) {
    expectRefused(await runRole(role, [], as('reader')), /this user may not INSERT, UPDATE in table parameterspace/);
  }
  const again = await startRole('sql-client', ['-r', '1'], as('creator'));
  await again.line(/^serving/);
});

test('a Redis user without dangerous commands is told the one that is needed; a dashboard ends too', async () => {
  const redis = await startRedis({ tcp: true });
  const root = redis.connect();
  await root.call('ACL', 'SETUSER', 'usual', 'on', '>a-secret', '~*', '&*', '+@all', '-@dangerous', '-@admin');
  const { config } = planeFleet(redis, 'usual');
  const run = (role: string, login: string, ...args: string[]) =>
    runRole(role, args, { config, env: { REDIS_URL: `redis://${login}@127.0.0.1:${redis.port}` } });
  for (const role of ['worker', 'sql-client-master']) {
    expectRefused(await run(role, 'usual:a-secret'), /: this user may not run INFO: grant it \+info$/);
  }
  const dashboard = await run('dashboard', 'usual:a-secret-of-old', '--port', String(await freePort()));
  expect([dashboard.status, dashboard.stderr]).toEqual([1, expect.stringMatching(/^Redis \(\S+\): WRONGPASS /m)]);
  await root.call('ACL', 'SETUSER', 'usual', '+info');
  const worker = await startRole('worker', [], {
    config,
    env: { REDIS_URL: `redis://usual:a-secret@127.0.0.1:${redis.port}` },
  });
  await worker.line(/^waiting: search .* is not open/);
});

test('a password that was rotated is read again from its file, and used', async () => {
  const [redis, { root, urlOf }] = await Promise.all([startRedis({ tcp: true }), startDatabase()]);
  const admin = redis.connect();
  await admin.call('ACL', 'SETUSER', 'fleet', 'on', '>a-secret-1', '~*', '&*', '+@all');
  const folder = temporaryFolder();
  const [redisFile, databaseFile] = [join(folder, 'redis'), join(folder, 'database')];
  const write = (number: number) => {
    writeFileSync(redisFile, `redis://fleet:a-secret-${number}@127.0.0.1:${redis.port}\n`);
    writeFileSync(databaseFile, `${urlOf(`fleet:a-secret-${number}`)}\n`);
  };
  await root.query("alter user fleet@localhost identified by 'a-secret-1'");
  write(1);
  const { config } = planeFleet(redis, 'file');
  const options = { config, env: { REDIS_URL_FILE: redisFile, DATABASE_URL_FILE: databaseFile } };
  const roles = await Promise.all([
    startRole('sql-client', ['-c'], options),
    startRole('sql-client-master', ['-c'], options),
    startRole('worker', [], options),
  ]);
  for (const role of roles) await role.line(/^serving/);

  // The servers change before the files: roles name what they wait for.
  await admin.call('ACL', 'SETUSER', 'fleet', 'resetpass', '>a-secret-2');
  await admin.call('CLIENT', 'KILL', 'USER', 'fleet');
  for (const role of roles) await role.line(/^waiting: Redis \(\S+\): WRONGPASS .*; check the user and the password/);
  await root.query("alter user fleet@localhost identified by 'a-secret-2'");
  await killConnections(root);
  write(2);
  for (const role of roles) await role.line(/^goes on after: Redis \(\S+\): WRONGPASS /);
  expect(await runRole('starter', [], options)).toMatchObject({ status: 0 });
  await roles[1].line(/^the search is over/);
  for (const role of roles) {
    role.kill('SIGTERM');
    expect(await role.exited, role.stderr).toEqual({ status: 0, signal: null });
    expect(role.stderr).not.toContain('a-secret');
  }
});

test('doctor asks for the rights that are needed, names what is missing, and leaves nothing behind', async () => {
  const renamed = ['--rename-command', 'EVALSHA', ''];
  const [redis, crippled, { root, urlOf }] = await Promise.all([
    startRedis({ tcp: true }),
    startRedis({ options: renamed }),
    startDatabase(),
  ]);
  for (const [name, grants] of [
    ['client', 'SELECT, INSERT, UPDATE'],
    ['creator', 'SELECT, INSERT, UPDATE, CREATE'],
    ['reader', 'SELECT'],
  ] as const) {
    await root.query(`create user ${name}@localhost identified by 'a-secret'`);
    await root.query(`grant ${grants} on fleet.* to ${name}@localhost`);
  }
  await redis.connect().call('ACL', 'SETUSER', 'reader', 'on', '>a-secret', '~*', '+@all', '-@write', '-@dangerous');
  const { config } = planeFleet(redis, 'doctor');
  const doctor = async (user: string, redisUrl = redis.url) => {
    const env = { DATABASE_URL: urlOf(`${user}:a-secret`), REDIS_URL: redisUrl };
    const { status, stdout, stderr } = await runRole('doctor', [], { config, env });
    expect(stdout + stderr).not.toMatch(/^\s+at /m);
    return { status, stdout };
  };
  const tables = async () => {
    const [rows] = await root.query('show tables in fleet');
    return (rows as object[]).flatMap((row) => Object.values(row));
  };
  // Before the first run.
  expect((await doctor('client')).stdout).toMatch(/WRONG +database\n +the database: this user may not CREATE in/);
  expect(await doctor('creator')).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('may not DELETE, ALTER, DROP'),
  });
  expect((await doctor('fleet')).stdout).toContain('a row that was written was read over another connection');
  expect(await tables()).toEqual([]);

  const creator = await startRole('sql-client', ['-c'], { config, env: { DATABASE_URL: urlOf('fleet:a-secret') } });
  await creator.line(/^serving/);
  creator.kill('SIGTERM');
  await creator.exited;
  expect(await doctor('client')).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('may not DELETE, CREATE'),
  });
  expect((await doctor('fleet')).status).toBe(0);
  const reader = await doctor('reader', `redis://reader:a-secret@127.0.0.1:${redis.port}`);
  expect(reader).toMatchObject({
    status: 1,
    stdout: expect.stringMatching(/WRONG +database\n.* may not INSERT, UPDATE in/),
  });
  expect(reader.stdout).toMatch(/WRONG +Redis\n.*this user may not run DEL, UNLINK: grant it \+del \+unlink/);
  expect((await doctor('client', crippled.url)).stdout).toMatch(/WRONG +Redis\n.*unknown command .?EVALSHA/);
  expect(await tables()).toEqual(['parameterspace', 'parameterspace_meta']);
  expect(await redis.connect().keys('*rights*')).toEqual([]);
});

test('doctor does not create the SQLite file of a mistyped path, and says what the path is for others', async () => {
  const redis = await startRedis();
  const folder = temporaryFolder();
  const { config } = planeFleet(redis, 'mistyped', { database: { url: 'sqlite:./mistyped.db' } });
  writeFileSync(join(folder, 'search.yaml'), JSON.stringify(config));
  const doctor = () => runRole('doctor', [], { config: join(folder, 'search.yaml') });
  const { status, stdout } = await doctor();
  expect([status, stdout]).toEqual([
    0,
    expect.stringContaining(`${folder}/mistyped.db is not there yet; sql-client -c creates it`),
  ]);
  expect(stdout).toContain(`(in SQLAlchemy: sqlite:///${folder}/mistyped.db)`);
  expect(existsSync(join(folder, 'mistyped.db'))).toBe(false);
  writeFileSync(
    join(folder, 'mistyped.db'),
    'something else than a database, and long enough for a header of SQLite, of 100 bytes and more',
  );
  const other = await doctor();
  expect([other.status, other.stdout]).toEqual([
    1,
    expect.stringMatching(/WRONG +database\n.*not a database.*something else than a SQLite/),
  ]);
});
