import { beforeAll, describe, expect, test } from 'vitest';
import type { Fleet, FleetConfig } from '../support/fleet.js';
import { temporaryFolder } from '../support/folder.js';
import { startMariadb } from '../support/mariadb.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { freePort } from '../support/port.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let server: RedisServer;

beforeAll(async () => {
  server = await startRedis();
});

const done = { status: 0, signal: null };

/** What a command says on its way out. */
const said = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('{'));

/** The commands give up with status 1 and one sentence. */
async function expectGivenUp(fleet: Fleet, commands: readonly string[][], sentence: RegExp): Promise<void> {
  const answers = await Promise.all(commands.map(([role = '', ...args]) => fleet.run(role, ...args)));
  for (const [index, { status, stdout, stderr }] of answers.entries()) {
    expect(stdout, 'standard output is for results').not.toMatch(/error/i);
    expect([commands[index], status, said(stderr)]).toEqual([commands[index], 1, [expect.stringMatching(sentence)]]);
    expect(stderr).not.toMatch(/^\s+at /m);
  }
}

describe('a command that comes and goes gives up', () => {
  const ofRedis = [['kill', '-k'], ['kill', '-r'], ['kill', '--clear'], ['starter'], ['starter', '--retry', 'errors']];
  const ofDatabase = [['status', '--json'], ['verify'], ['starter']];

  // All at once: each takes its 10 s.
  test('on a Redis or a database that is not there, or does not answer', async () => {
    const frozen = await startRedis();
    await frozen.kill('SIGSTOP');
    const folder = temporaryFolder();
    const refused = `127.0.0.1:${await freePort()}`;
    const onRedis = (name: string, url: string) => planeFleet(server, name, { redis: { url } });
    const onDatabase = (name: string, url: string) => planeFleet(server, name, { database: { url } });
    const noSocket = `mysql://root@localhost/test?socketPath=${folder}/none.sock`;
    await Promise.all([
      expectGivenUp(onRedis('socket', `unix:${folder}/none.sock`), ofRedis, /^Redis \(unix:\S+\): connect ENOENT/),
      expectGivenUp(
        onRedis('port', `redis://${refused}`),
        [['kill', '-k']],
        /^Redis \(redis:\S+\): connect ECONNREFUSED/,
      ),
      expectGivenUp(planeFleet(frozen, 'frozen'), [['kill', '-k'], ['starter']], /^Redis \(unix:\S+\): /),
      expectGivenUp(onDatabase('socket', noSocket), ofDatabase, /^the database: connect ENOENT/),
      expectGivenUp(
        onDatabase('port', `mysql://root@${refused}/test`),
        [['status']],
        /^the database: connect ECONNREFUSED/,
      ),
      expectGivenUp(
        onDatabase('file', `sqlite:${folder}/none/fleet.db`),
        [['status']],
        /^the database \S+: there is no folder \S+none$/,
      ),
    ]);
  });

  test('on a table that is not there, and on a fleet without a master', async () => {
    const fleet = planeFleet(server, 'no-table');
    await expectGivenUp(fleet, ofDatabase, /^the database \S+fleet\.db is not there yet; sql-client -c creates it$/);
    const client = await fleet.start('sql-client', '-c');
    await client.line(/^serving/);
    await expectGivenUp(fleet, [['starter']], /main_sql_Q, but has no row after 10 s: does a sql-client-master run\?$/);
    // What it pushed is not lost: a master that comes lets it in.
    await fleet.crew({ clients: 0 });
    await fleet.over();
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    client.kill('SIGTERM');
    expect(await client.exited).toEqual(done);
    await fleet.stop();
  });
});

describe('roles wait with one clear line and go on', () => {
  test('when Redis, the database and the table appear', async () => {
    const [redis, mariadb] = await Promise.all([startRedis(), startMariadb()]);
    const database = { url: await mariadb.createDatabase() };
    await Promise.all([redis.kill(), mariadb.kill()]);
    const fleet = planeFleet(redis, 'patient', { database });
    const roles = await Promise.all([
      fleet.start('sql-client'),
      fleet.start('sql-client-master'),
      fleet.start('worker'),
    ]);
    fleet.masters.push(roles[1]);
    for (const role of roles) await role.line(/^waiting: Redis/);
    await redis.restart({ keepData: false });
    for (const role of roles.slice(0, 2)) await role.line(/^waiting: the database/);
    await roles[2].line(/^waiting: search {patient}: is not open/);
    await mariadb.restart();
    for (const role of roles.slice(0, 2)) await role.line(/^waiting: table parameterspace is not there yet/);
    const creator = await fleet.start('sql-client', '-c');
    for (const role of roles) await role.line(/^serving/);
    expect(await fleet.run('starter')).toMatchObject(done);
    await fleet.over();
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    for (const role of roles) {
      const waits = role.log.filter(({ message }) => message.startsWith('waiting: ')).map(({ message }) => message);
      expect(waits).toEqual([...new Set(waits)]);
    }
    for (const role of [...roles, creator]) role.kill('SIGTERM');
    for (const role of [...roles, creator]) expect(await role.exited, role.stderr).toEqual(done);
  });

  test.each(['Redis', 'the database'])('when %s goes away for a while, and nothing is lost', async (service) => {
    const [redis, mariadb] = await Promise.all([startRedis({ persistence: 'aof' }), startMariadb({ durable: true })]);
    const more: Partial<FleetConfig> = {
      database: { url: await mariadb.createDatabase() },
      simulator: { kind: 'reference', delayMs: 100 },
    };
    const fleet = planeFleet(redis, 'away', more);
    await fleet.crew({ masters: 2, clients: 2, workers: 2 });
    expect(await fleet.run('starter')).toMatchObject(done);
    await (service === 'Redis' ? redis : mariadb).kill();
    const waiting = [...fleet.masters, ...(service === 'Redis' ? fleet.workers : [])];
    for (const role of waiting) await role.line(service === 'Redis' ? /Redis/ : /the database/);
    if (service === 'Redis') await redis.restart({ keepData: true });
    else await mariadb.restart();
    await fleet.over();
    expect((await fleet.rows()).map(({ hash, stable }) => [hash, stable === 1])).toEqual(
      planeRows.map(({ hash, stable }) => [hash, stable]),
    );
    await fleet.stop();
  });
});
