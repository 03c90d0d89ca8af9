import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, test } from 'vitest';
import { connectDatabase, createDatabase } from '../../src/ledger/connect.js';
import { Fleet, type FleetConfig } from '../support/fleet.js';
import { temporaryFolder } from '../support/folder.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { runRole } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let server: RedisServer;
let mariadb: MariadbServer;
let redis: Redis;

beforeAll(async () => {
  [server, mariadb] = await Promise.all([startRedis(), startMariadb()]);
  redis = server.connect();
});

const done = { status: 0, signal: null };
const roles = ['starter', 'sql-client', 'sql-client-master', 'worker', 'kill', 'status', 'verify'];
const gases = {
  O2: { start: 0.21, step: 0.01, max: 0.3 },
  N2: { start: 0.79, filler: true },
};

/** What a role says on its way out, the path of the configuration left out. */
const said = (text: string) => text.replace(/^\S*atmos-fleet\.yaml: /gm, '').trimEnd();

describe('a configuration that cannot be', () => {
  test('is refused by every role in one sentence', async () => {
    const fleet = planeFleet(server, 'refused', { lease: { second: 3 } });
    const answers = await Promise.all(roles.map((role) => fleet.run(role, ...(role === 'kill' ? ['-k'] : []))));
    const sentence = 'lease.second: is no known key: did you mean seconds?';
    for (const { status, stdout, stderr } of answers) {
      expect([status, stdout, said(stderr)]).toEqual([2, '', sentence]);
    }
    expect(await redis.keys('{refused}:*')).toEqual([]);
  });

  test.each<[string, object, string]>([
    ['a wrong type', { run: { attempts: 'many' } }, 'run.attempts: found "many", wants a whole number from 1 to 1000'],
    [
      'a concentration over 1',
      { parameters: { ...gases, H2: { start: 1.2 } } },
      'parameters.H2.start: found 1.2, wants a concentration from 0 to 1',
    ],
    [
      'two fillers',
      { parameters: { ...gases, Ar: { filler: true } } },
      'parameters.Ar.filler: found a second filler, wants one at most: N2 is the filler already',
    ],
    [
      'a start that differs from what the others leave',
      { parameters: { ...gases, N2: { start: 0.78, filler: true } } },
      'parameters.N2.start: found 0.78, wants 0.79, which the other starts leave of 1 (or no start)',
    ],
  ])('is refused: %s', async (_, wrong, sentence) => {
    const fleet = planeFleet(server, 'refused', wrong as Partial<FleetConfig>);
    const { status, stdout, stderr } = await fleet.run('worker');
    expect([status, stdout, said(stderr)]).toEqual([2, '', sentence]);
  });

  test('tells all that is wrong, a line each', async () => {
    const fleet = planeFleet(server, 'refused', { lease: { seconds: 0 }, run: { losses: -1 }, speed: 9 });
    const { status, stderr } = await fleet.run('worker');
    expect(status).toBe(2);
    expect(
      said(stderr)
        .split('\n')
        .map((line) => line.split(':')[0])
        .sort(),
    ).toEqual(['lease.seconds', 'run.losses', 'speed']);
  });

  test.each([
    ['that is not there', undefined, /^nowhere\.yaml: no such file/],
    ['that is no YAML', 'name: [', /^nowhere\.yaml:\d+:\d+: no valid YAML/],
    [
      'that holds a password',
      'name: x\nparameters: { a: { start: 0 } }\nredis: { url: "redis://:hunter2@127.0.0.1" }',
      /found a password in redis:\/\/:\*\*\*@127\.0\.0\.1, wants none here/,
    ],
  ])('is refused when it is a file %s', async (_, text, sentence) => {
    const cwd = temporaryFolder();
    if (text !== undefined) writeFileSync(join(cwd, 'nowhere.yaml'), text);
    const { status, stdout, stderr } = await runRole('worker', ['--config', 'nowhere.yaml'], { cwd });
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toContain('hunter2');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('a point that cannot be', () => {
  test.each([
    ['XeF2=0.1', 'XeF2 is no parameter: there are O2, N2'],
    ['N2=0.1', 'N2 is the filler: it takes what the others leave'],
    ['O2=1.1', 'O2 is 1.1, wants a mixing ratio from 0 to 1'],
    ['O2=lots', "found 'O2=lots', wants NAME=NUMBER"],
    ['O2=1e999', "found 'O2=1e999', wants NAME=NUMBER"],
  ])('is refused by starter: %s', async (point, sentence) => {
    const fleet = planeFleet(server, 'point', { parameters: gases });
    const answer = await fleet.run('starter', '--point', point);
    expect(answer).toMatchObject({
      status: 2,
      stdout: '',
      stderr: `'${point}' names no point (a hash, a code or NAME=VALUE,…): ${sentence}\n`,
    });
    expect(await redis.keys('{point}:*')).toEqual([]);
  });
});

describe('another search', () => {
  const finer = { start: 0, step: [{ below: 1, by: 0.25 }], min: -3, max: 3 };
  const wider = {
    parameters: { a: { ...finer, step: 0.5, max: 4 }, b: { ...finer, step: 0.5 } },
    search: { mode: 'sides', reach: 1, maxPoints: 99 },
  };
  const others: [string, object, string][] = [
    [
      'a step',
      { parameters: { a: finer, b: finer } },
      'parameters.a.step[0].by: this configuration says 0.25, the running search 0.5',
    ],
    [
      'the reach',
      { search: { mode: 'sides', reach: 2 } },
      'search.reach: this configuration says 2, the running search 1',
    ],
    [
      'the names',
      { parameters: { a: finer, c: finer } },
      'parameters: this configuration says a, c, the running search a, b',
    ],
  ];

  test.each(others.slice(0, 2))(
    'in the table is refused by every role that touches it, and its rows stay: %s',
    async (_, differing, sentence) => {
      const fleet = planeFleet(server, 'table', { database: { url: await mariadb.createDatabase() } });
      await fleet.crew();
      await fleet.run('starter');
      await fleet.over();
      await fleet.stop();
      const rows = await fleet.rows();
      // Its own Redis is that of another search, or fresh: the table alone can tell.
      const other = planeFleet(server, 'table-of-another', { database: fleet.config.database, ...differing });
      const answers = await Promise.all([
        other.run('starter'),
        other.run('starter', '--retry', 'errors'),
        other.run('sql-client'),
        other.run('sql-client', '-c'),
        other.run('sql-client-master'),
        other.run('status', '--json'),
        other.run('verify'),
      ]);
      for (const { status, stderr } of answers) {
        expect([status, lastLine(stderr)]).toEqual([2, `the table is of another search: ${sentence}`]);
      }
      expect(await fleet.rows()).toEqual(rows);
      await fleet.run('kill', '-r');
    },
  );

  test.each(others.slice(1))('that runs is left alone by every role: %s', async (name, differing, sentence) => {
    const fleet = planeFleet(server, 'runs');
    await fleet.crew({ workers: 0 });
    await fleet.masters[0]?.line(/^serving/);
    const sharing = { database: fleet.config.database, ...differing };
    const other = planeFleet(server, 'runs', sharing);
    // With a database of its own, Redis alone can tell.
    const apart = planeFleet(server, 'runs', differing);
    const created = await apart.start('sql-client', '-c');
    const answers = await Promise.all([
      other.run('worker'),
      other.run('starter'),
      other.run('sql-client'),
      other.run('sql-client', '-m', '1'),
      apart.run('sql-client-master', '-c'),
      apart.run('starter', '--no-wait'),
    ]);
    for (const { status, stderr } of answers)
      expect([status, lastLine(stderr)]).toEqual([2, expect.stringContaining(sentence)]);
    expect(await created.exited, name).toEqual({ status: 2, signal: null });

    await fleet.crew({ masters: 0, clients: 0, workers: 1 });
    await fleet.run('starter');
    await fleet.over();
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    await fleet.stop();
    await fleet.run('kill', '-r');
  });

  test('that was there first, before any master, is refused once another has opened the search', async () => {
    const [[, finer, sentence]] = others as [(typeof others)[0]];
    const early = planeFleet(server, 'early', finer);
    const [client, worker] = [await early.start('sql-client', '-c'), await early.start('worker')];
    await client.line(/^serving/);
    await worker.line(/^waiting: search {early}: is not open/);
    const fleet = planeFleet(server, 'early');
    await fleet.crew();
    await fleet.run('starter');
    await fleet.over();
    for (const role of [client, worker]) {
      expect(await role.exited, role.stderr).toEqual({ status: 2, signal: null });
      expect(lastLine(role.stderr)).toContain(sentence);
    }
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    await fleet.stop();
  });

  test('is refused by roles that served while the one before it was deleted', async () => {
    const [[, finer]] = others as [(typeof others)[0]];
    const fleet = planeFleet(server, 'usurped', { lease: { seconds: 1 } });
    await fleet.crew();
    const masters = fleet.masters.splice(0);
    await fleet.clients[0]?.line(/^serving/);
    await masters[0]?.line(/^serving/);
    for (const role of [...fleet.workers, ...fleet.clients, ...masters]) role.kill('SIGSTOP');
    await fleet.run('kill', '-r');
    const other = planeFleet(server, 'usurped', finer);
    await other.crew({ workers: 0 });
    await other.masters[0]?.line(/^serving/);
    for (const role of [...fleet.workers, ...fleet.clients]) role.kill('SIGCONT');
    for (const role of [...fleet.workers, ...fleet.clients]) {
      expect(await role.exited, role.stderr).toEqual({ status: 2, signal: null });
      expect(lastLine(role.stderr)).toMatch(/^another search named usurped is on this Redis: parameters.a.step/);
    }
    await other.stop();
  });

  test('the same in another database gets no reports', async () => {
    const fleet = planeFleet(server, 'elsewhere');
    const apart = planeFleet(server, 'elsewhere');
    const client = await apart.start('sql-client', '-c');
    await fleet.crew();
    await client.line(/^waiting: the search on this Redis was not opened from this table/);
    await fleet.run('starter');
    await fleet.over();
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    expect(await apart.rows()).toEqual([]);
    client.kill('SIGTERM');
    expect(await client.exited).toEqual(done);
    await fleet.stop();
  });

  test('is none to an SQL client that is alone: what is in the report lists goes to its table', async () => {
    const fleet = planeFleet(server, 'alone');
    const client = await fleet.start('sql-client', '-c');
    await client.line(/^serving/);
    const [row] = planeRows;
    await redis.lpush(fleet.key('complete0_sql_Q'), String(row?.code));
    await until(async () => (await fleet.rows()).length === 1, 'the row is there');
    client.kill('SIGTERM');
    expect(await client.exited).toEqual(done);
  });

  test('is no search whose bounds or maxPoints alone differ', async () => {
    const fleet = planeFleet(server, 'wider');
    await fleet.crew();
    const other = planeFleet(server, 'wider', { database: fleet.config.database, ...wider });
    const more = [await other.start('worker'), await other.start('sql-client'), await other.start('sql-client-master')];
    for (const role of more) await role.line(/^serving/);
    expect(await other.run('starter')).toMatchObject(done);
    for (const role of more) role.kill('SIGTERM');
    for (const role of more) expect(await role.exited, role.stderr).toEqual(done);
    await fleet.stop();
  });
});

describe('a table of somebody else', () => {
  test.each(['MariaDB', 'SQLite'])('is neither used nor dropped: %s', async (kind) => {
    const url = kind === 'MariaDB' ? await mariadb.createDatabase() : Fleet.sqliteUrl();
    const database = connectDatabase(url);
    createDatabase(database);
    await database.schema.createTable('parameterspace', (table) => void table.integer('id'));
    await database('parameterspace').insert({ id: 7 });
    const fleet = planeFleet(server, 'foreign', { database: { url } });
    const answers = await Promise.all([
      fleet.run('sql-client'),
      fleet.run('sql-client', '-c'),
      fleet.run('sql-client', '-r'),
      fleet.run('sql-client-master'),
      fleet.run('starter'),
      fleet.run('status'),
      fleet.run('verify'),
    ]);
    const sentence =
      "table parameterspace is there, but not of atmos-fleet's making (no parameterspace_meta): name another in database.table";
    for (const { status, stderr } of answers) expect([status, lastLine(stderr)]).toEqual([2, sentence]);
    expect(await database('parameterspace').select('*')).toEqual([{ id: 7 }]);
    await database.destroy();
  });

  test('or a name that SQL has a meaning for, does not confuse', async () => {
    const url = await mariadb.createDatabase();
    const fleet = planeFleet(server, 'reserved', { database: { url, table: 'order' } });
    await fleet.crew();
    await fleet.run('starter');
    await fleet.over();
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    const connection = await createConnection(url);
    const [tables] = await connection.query({ sql: 'show tables', rowsAsArray: true });
    expect((tables as string[][]).flat().sort()).toEqual(['order', 'order_meta']);
    await connection.end();
    await fleet.stop();
  });
});

describe('a Redis that may forget', () => {
  test.each(['allkeys-lru', 'allkeys-random'])('is refused where it may evict any key: %s', async (policy) => {
    const evicting = await startRedis({ options: ['--maxmemory', '64mb', '--maxmemory-policy', policy] });
    const fleet = planeFleet(evicting, 'evicted');
    const answers = await Promise.all([
      fleet.run('worker'),
      fleet.run('sql-client', '-c'),
      fleet.run('sql-client-master'),
    ]);
    const sentence = `Redis may evict any key (maxmemory-policy ${policy}) and so lose points: set it to noeviction`;
    for (const { status, stderr } of answers) expect([status, lastLine(stderr)]).toEqual([2, sentence]);
  });

  test('is warned of where it keeps no append-only file, and not where it does', async () => {
    const keeping = await startRedis({ persistence: 'aof' });
    const [forgetful, safe] = await Promise.all([
      planeFleet(server, 'forgets').start('sql-client', '-c'),
      planeFleet(keeping, 'keeps').start('sql-client', '-c'),
    ]);
    const warning = /append-only file/;
    for (const role of [forgetful, safe]) await role.line(/^serving/);
    expect(forgetful.log.filter(({ message }) => warning.test(message))).toMatchObject([{ severity: 'WARNING' }]);
    expect(safe.log.filter(({ message }) => warning.test(message))).toEqual([]);
  });
});

function lastLine(text: string): string {
  const lines = text
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('{'));
  return lines.join('\n');
}
