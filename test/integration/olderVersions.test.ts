import type { Redis } from 'ioredis';
import { beforeAll, describe, expect, test } from 'vitest';
import { firstLists, inDatabase, leaveLists, leaveTable } from '../support/firstVersion.js';
import { Fleet, type Row } from '../support/fleet.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { planeFleet, planeRowsFrom } from '../support/plane.js';
import { type RedisServer, startRedis } from '../support/redis.js';

let server: RedisServer;
let redis: Redis;
let mariadb: MariadbServer;

beforeAll(async () => {
  [server, mariadb] = await Promise.all([startRedis(), startMariadb()]);
  redis = server.connect();
});

const rebuilt = /^making Redis whole from SQL/;
const databases = ['MariaDB', 'SQLite'] as const;
const urlOf = (database: (typeof databases)[number]) =>
  database === 'MariaDB' ? mariadb.createDatabase() : Fleet.sqliteUrl();

/** The fleet of a search that the first version left in the midst of everything. */
async function leftBehind(name: string, database: (typeof databases)[number], write = (element: string) => element) {
  const fleet = planeFleet(server, name, { lease: { seconds: 1 }, database: { url: await urlOf(database) } });
  await leaveTable(fleet, redis);
  await leaveLists(fleet, redis, write);
  return fleet;
}

const verdictOf = ({ hash, state, stable }: Row) => [hash, state === 'completed' ? stable === 1 : state];

/** The closure, but for the point whose run failed in the first version's time; without the root that was not admitted yet, or with it. */
function closure({ failed, root = true }: { failed: boolean; root?: boolean }) {
  const roots = root ? ['2.5,-2.25'] : [];
  return planeRowsFrom(...roots, '3.0,3.0', '-3.0,3.0').map(({ code, hash, stable }) => [
    hash,
    failed && code === '-3.0,3.0' ? 'error' : stable,
  ]);
}

const versionIs = (version: number) =>
  `update parameterspace_meta set value = '${version}' where name = 'schema_version'`;

async function malformed(fleet: Fleet): Promise<string[]> {
  const keys = await redis.keys(`${fleet.key('')}*:malformed`);
  return (await Promise.all(keys.map((key) => redis.lrange(key, 0, -1)))).flat();
}

describe('a search that the first version left', () => {
  test.each(databases)('is taken up as it stands, and ends with the exact closure: %s', async (database) => {
    const fleet = await leftBehind(`left-${database}`, database);
    const [before] = (await fleet.rows()).filter(({ code }) => code === '0.0,0.0');
    await fleet.crew({ masters: 2, clients: 2, workers: 2 });
    await fleet.done();

    const rows = await fleet.rows();
    expect(rows.map(verdictOf)).toEqual(closure({ failed: true }));
    const row = (code: string) => rows.find((one) => one.code === code);
    expect(row('0.0,0.0')).toEqual(before);
    for (const code of ['0.5,0.0', '0.0,-0.5'])
      expect(JSON.stringify(row(code)?.outputs), code).toMatch('as_version_1_told');
    expect(row('3.0,3.0')).toMatchObject({ complete_msg: 'as version 1 told', temperature: 500.5, attempts: 1 });
    expect(row('-3.0,3.0')).toMatchObject({ error_msg: 'as version 1 told', error_kind: 'timeout', attempts: 3 });
    expect(fleet.masters.flatMap(({ log }) => log).filter(({ message }) => rebuilt.test(message))).toEqual([]);
    expect(await malformed(fleet)).toEqual([]);
    const text = /\ncomplete, but 1 point is an error: what lies beyond it was not explored\n$/;
    expect(await fleet.run('verify')).toMatchObject({ status: 1, stdout: expect.stringMatching(text) });
    await fleet.stop();
  });

  test('is taken up by a Redis of another life too, from SQL and what the lists still say', async () => {
    const fleet = await leftBehind('left-restarted', 'SQLite');
    const generation = 'of@another-life';
    await redis.hset(fleet.key('search'), { generation });
    await inDatabase(fleet, `update parameterspace_meta set value = '${generation}' where name = 'generation'`);
    await fleet.crew();
    await fleet.done();
    expect((await fleet.rows()).map(verdictOf)).toEqual(closure({ failed: true }));
    await fleet.stop();
  });

  test('is taken up without its reports where nothing proves that Redis is of its table', async () => {
    const fleet = await leftBehind('left-restored', 'SQLite');
    await redis.hset(fleet.key('search'), 'generation', 'of@another-life');
    await fleet.crew();
    await fleet.done();
    expect((await fleet.rows()).map(verdictOf)).toEqual(closure({ failed: false, root: false }));
    expect((await fleet.status()).foreign).toEqual({
      [fleet.key('complete0_sql_Q:foreign')]: 2,
      [fleet.key('complete1_sql_Q:foreign')]: 1,
      [fleet.key('error_sql_Q:foreign')]: 1,
      [fleet.key('running_sql_Q:foreign')]: 1,
      [fleet.key('main_sql_Q:foreign')]: 1,
    });
    await fleet.stop();
  });

  test.each<[string, (element: string) => string]>([
    ['without a version', (element) => element.replace('"v":1,', '')],
    ['with what nobody knows any more', (element) => element.replace('"v":1,', '"v":0,"once_told":{"x":[1]},')],
    ['as bare codes, as the system of 2018 wrote them', (element) => element.split(';', 1)[0] as string],
  ])('is taken up where its messages are %s', async (_, write) => {
    const fleet = await leftBehind('left-older', 'SQLite', write);
    await fleet.crew();
    await fleet.done();
    expect((await fleet.rows()).map(verdictOf)).toEqual(closure({ failed: true }));
    expect(await malformed(fleet)).toEqual([]);
    await fleet.stop();
    expect(await fleet.run('kill', '-r')).toMatchObject({ status: 0 });
  });
});

test('messages of a newer version are set aside byte for byte, with a word of what to do, and cost no point', async () => {
  const newer = (element: string) => element.replace('"v":1,', '"v":2,');
  const fleet = await leftBehind('left-newer', 'SQLite', newer);
  await fleet.crew();
  await fleet.done();
  expect((await fleet.rows()).map(verdictOf)).toEqual(closure({ failed: false }));
  const set = Object.values(firstLists).flat().map(newer);
  expect(new Set(await malformed(fleet))).toEqual(new Set(set.filter((element) => element.includes(';'))));
  const warnings = [...fleet.masters, ...fleet.clients, ...fleet.workers].flatMap(({ log }) =>
    log.filter(({ severity }) => severity === 'WARNING').map(({ message }) => message),
  );
  expect(warnings).toContainEqual(
    expect.stringMatching(/malformed: message version 2, this program knows 1: update it/),
  );
  await fleet.stop();
});

test.each(databases)(
  'a table of an older version is waited for, until sql-client -c brings it up to date with its rows: %s',
  async (database) => {
    const fleet = planeFleet(server, `older-table-${database}`, { database: { url: await urlOf(database) } });
    await leaveTable(fleet, redis);
    await inDatabase(
      fleet,
      ...['error_kind', 'complete_msg', 'outputs'].map((column) => `alter table parameterspace drop column ${column}`),
      versionIs(0),
    );
    const before = await fleet.rows();
    const waiting = await fleet.start('sql-client-master');
    await waiting.line(/schema version 0, this program wants 1; sql-client -c brings it up to date/);
    // Two at once: each column is added once.
    for (const client of await Promise.all([1, 2].map(() => fleet.start('sql-client', '-c')))) {
      await client.line(/^serving/);
    }
    await waiting.line(/^serving/);
    expect(await fleet.rows()).toMatchObject(before);

    await fleet.start('worker');
    await fleet.done();
    expect(await fleet.run('verify')).toMatchObject({ status: 0 });
    expect((await fleet.rows()).find(({ code }) => code === '0.5,0.0')?.complete_msg).toMatch(/^stable, /);
  },
);

test('a table of an older version and another search is left alone', async () => {
  const fleet = planeFleet(server, 'not-ours', { search: { mode: 'sides', reach: 2 } });
  await leaveTable(fleet, redis);
  await inDatabase(fleet, versionIs(0));
  expect(await fleet.run('sql-client', '-c')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/table parameterspace is of another search/),
  });
});

test('a table of a newer version is refused by every role and left as it is', async () => {
  const fleet = planeFleet(server, 'newer-table');
  await leaveTable(fleet, redis);
  await inDatabase(fleet, versionIs(2));
  const before = await fleet.rows();
  for (const line of ['sql-client', 'sql-client -c', 'sql-client-master', 'starter', 'status', 'verify']) {
    const [role, ...args] = line.split(' ') as [string, ...string[]];
    expect(await fleet.run(role, ...args), line).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/table parameterspace has schema version 2, this program knows 1: update it/),
    });
  }
  expect(await fleet.rows()).toEqual(before);
});
