import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { beforeAll, describe, expect, test } from 'vitest';
import { ask } from '../../src/ledger/connect.js';
import { Refused, Unavailable } from '../../src/support/errors.js';
import type { Fleet } from '../support/fleet.js';
import { startMariadb } from '../support/mariadb.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { startProxy } from '../support/proxy.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { until } from '../support/until.js';

const done = { status: 0, signal: null };
const slowly = { simulator: { kind: 'reference', delayMs: 50 } };
let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});

/** A MariaDB with a user who has no more rights than a fleet needs: what is read-only is read-only to it. */
async function startDatabase(options: readonly string[] = []) {
  const mariadb = await startMariadb({ options });
  const root = await connect(mariadb.url);
  await root.query('create user fleet@localhost');
  await root.query('grant all on test.* to fleet@localhost');
  return { mariadb, root, url: mariadb.url.replace('root@', 'fleet@') };
}

async function connect(url: string): Promise<Connection> {
  const connection = await createConnection(url);
  connection.on('error', () => undefined); // Whoever asks next is told.
  atEnd(() => connection.destroy());
  return connection;
}

async function select<T>(connection: Connection, text: string): Promise<T[]> {
  const [rows] = await connection.query<RowDataPacket[]>(text);
  return rows as T[];
}

/** Ends what the fleet has connected. */
async function killConnections(root: Connection): Promise<void> {
  const found = await select<{ id: number }>(
    root,
    "select id from information_schema.processlist where user = 'fleet'",
  );
  for (const { id } of found) await root.query(`kill ${id}`).catch(() => undefined);
}

async function expectExplored(fleet: Fleet): Promise<void> {
  await fleet.over();
  const rows = (await fleet.rows()).map(({ hash, stable }) => [hash, stable === 1]);
  expect(rows).toEqual(planeRows.map(({ hash, stable }) => [hash, stable]));
  await fleet.stop();
}

interface Trouble {
  name: string;
  told: RegExp;
  options?: string[];
  /** Answers how it ends. */
  begin(root: Connection, url: string): Promise<() => Promise<unknown>>;
}

const troubles: Trouble[] = [
  {
    name: 'read-only, 1290',
    told: /--read-only option/,
    begin: async (root) => {
      await root.query('set global read_only = on');
      return () => root.query('set global read_only = off');
    },
  },
  {
    name: 'too many connections, 1040',
    told: /Too many connections/,
    begin: async (root, url) => {
      const others = await Promise.all(Array.from({ length: 10 }, () => connect(url.replace('fleet@', 'root@'))));
      await root.query('set global max_connections = 10');
      await killConnections(root);
      return async () => {
        for (const other of others) other.destroy();
        await root.query('set global max_connections = 100');
      };
    },
  },
  {
    name: 'rows that another holds, 1205',
    told: /Lock wait timeout exceeded/,
    options: ['--innodb-lock-wait-timeout=1'],
    begin: async (root) => {
      await root.query('start transaction');
      await root.query('select * from parameterspace for update');
      return () => root.query('rollback');
    },
  },
];

describe('results wait, no role dies, and all is written later', () => {
  test.each(troubles)('$name', async ({ name, told, options, begin }) => {
    const { root, url } = await startDatabase(options);
    const fleet = planeFleet(redis, name.replaceAll(/\W+/g, '-'), { database: { url }, ...slowly });
    await fleet.crew();
    expect(await fleet.run('starter')).toMatchObject(done);
    const end = await begin(root, url);
    for (const role of [...fleet.clients, ...fleet.masters]) {
      await role.line(({ message }) => message.startsWith('waiting: the database: ') && told.test(message));
    }
    await end();
    await expectExplored(fleet);
  });

  test('connections that are killed, again and again', async () => {
    const { root, url } = await startDatabase();
    const fleet = planeFleet(redis, 'killed', { database: { url }, ...slowly });
    await fleet.crew();
    expect(await fleet.run('starter')).toMatchObject(done);
    const settled = async () => (await select(root, "select 1 from parameterspace where state = 'completed'")).length;
    for (let kills = 0; kills < 10; kills++) {
      const before = await settled();
      await until(async () => (await settled()) > before, 'results go on being written');
      await killConnections(root);
    }
    await expectExplored(fleet);
  });

  test('a deadlock that the client lost, 1213', async () => {
    const { root, url } = await startDatabase();
    const fleet = await withTwoReports(url, 'deadlock', root);
    const first = await holdSecond(root);
    // Heavier than the client's, so that the other one is the victim.
    await root.query('insert into ballast select seq from seq_1_to_5000');
    await fleet.report();
    await until(async () => (await lockWaits(root)) > 0, 'the client waits for the second row');
    await root.query(`update parameterspace set worker = null where hash = '${first}'`);
    await fleet.roles.clients[0]?.line(/^waiting: the database: Deadlock found/);
    await root.query('commit');
    await fleet.roles.crew({ masters: 0, clients: 0 });
    await expectExplored(fleet.roles);
  });

  test('a connection that is lost after the commit, before its answer', async () => {
    const { mariadb, root } = await startDatabase();
    const proxy = await startProxy(mariadb.socket);
    const fleet = await withTwoReports(`mysql://fleet@127.0.0.1:${proxy.port}/test`, 'mid-commit', root);
    await holdSecond(root);
    await fleet.report();
    await until(async () => (await lockWaits(root)) > 0, "the client's statement is on its way");
    proxy.mode = 'hole';
    await root.query('rollback');
    const settled = "select 1 from parameterspace where state = 'completed'";
    await until(async () => (await select(root, settled)).length === 2, 'it took effect');
    expect(await fleet.batches()).toBe(1);
    proxy.mode = 'pass';
    proxy.cut();
    await until(async () => (await fleet.batches()) === 0, 'the client has written it once more');
    await fleet.roles.crew({ masters: 0, clients: 0 });
    await expectExplored(fleet.roles);
  });
});

/** A fleet without workers, and reports of two points that have rows, told by one batch. */
async function withTwoReports(url: string, name: string, root: Connection) {
  const roles = planeFleet(redis, name, { database: { url } });
  const client = redis.connect();
  await roles.crew({ workers: 0 });
  const codes = ['0.0,0.0', '0.5,0.0'];
  expect(await roles.run('starter')).toMatchObject(done);
  expect(await roles.run('starter', '--point', 'a=0.5')).toMatchObject(done);
  await root.query('create table ballast (n int primary key)');
  return {
    roles,
    report: () =>
      client.lpush(roles.key('complete0_sql_Q'), ...codes.map((code) => `${code};{"v":1,"depth":0,"attempt":1}`)),
    batches: () => client.zcard(roles.key('batches')),
  };
}

/** Holds the second of the two rows in a transaction; answers the hash of the first: rows are written in the order of their hashes. */
async function holdSecond(root: Connection): Promise<string> {
  const rows = await select<{ hash: string }>(root, 'select hash from parameterspace order by hash');
  const [first, second] = rows.map(({ hash }) => hash) as [string, string];
  await root.query('start transaction');
  await root.query(`update parameterspace set worker = 'test' where hash = '${second}'`);
  return first;
}

async function lockWaits(root: Connection): Promise<number> {
  // Not from innodb_trx: who reads that again and again within 100 ms is shown the past.
  const [status] = await select<{ Value: string }>(root, "show global status like 'Innodb_row_lock_current_waits'");
  return Number(status?.Value);
}

describe('what a database says', () => {
  const says = (code: string, errno: number) =>
    ask(Promise.reject(Object.assign(new Error('refused'), { code, errno })));

  test.each([
    ['ER_CHECKREAD', 1020],
    ['ER_DISK_FULL', 1021],
    ['ER_CON_COUNT_ERROR', 1040],
    ['ER_UNKNOWN_COM_ERROR', 1047],
    ['ER_SERVER_SHUTDOWN', 1053],
    ['ER_RECORD_FILE_FULL', 1114],
    ['ER_NO_SUCH_TABLE', 1146],
    ['ER_NET_READ_INTERRUPTED', 1159],
    ['ER_ERROR_DURING_COMMIT', 1180],
    ['ER_LOCK_WAIT_TIMEOUT', 1205],
    ['ER_LOCK_TABLE_FULL', 1206],
    ['ER_LOCK_DEADLOCK', 1213],
    ['ER_OPTION_PREVENTS_STATEMENT', 1290],
    ['ER_QUERY_INTERRUPTED', 1317],
    ['ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION', 1792],
    ['ER_READ_ONLY_MODE', 1836],
    ['PROTOCOL_CONNECTION_LOST', 0],
    ['SQLITE_BUSY_SNAPSHOT', 0],
    ['SQLITE_FULL', 0],
    ['SQLITE_IOERR_FSYNC', 0],
    ['SQLITE_READONLY_DBMOVED', 0],
  ])('may pass: %s', async (code, errno) => {
    await expect(says(code, errno)).rejects.toThrow(Unavailable);
  });

  test.each([
    ['ER_DBACCESS_DENIED_ERROR', 1044],
    ['ER_ACCESS_DENIED_ERROR', 1045],
    ['ER_BAD_DB_ERROR', 1049],
    ['ER_HOST_NOT_PRIVILEGED', 1130],
    ['ER_TABLEACCESS_DENIED_ERROR', 1142],
    ['UNKNOWN_CODE_PLEASE_REPORT', 3118],
    ['HANDSHAKE_NO_SSL_SUPPORT', 0],
    ['SQLITE_READONLY_DIRECTORY', 0],
    ['SQLITE_NOTADB', 0],
    ['SQLITE_CORRUPT', 0],
  ])('is a refusal: %s', async (code, errno) => {
    await expect(says(code, errno)).rejects.toThrow(Refused);
  });

  test.each([
    ['ER_BAD_NULL_ERROR', 1048],
    ['ER_BAD_FIELD_ERROR', 1054],
    ['ER_DUP_ENTRY', 1062],
    ['ER_PARSE_ERROR', 1064],
    ['ER_DATA_TOO_LONG', 1406],
    ['SQLITE_CONSTRAINT_NOTNULL', 0],
  ])('stays: %s', async (code, errno) => {
    await expect(says(code, errno)).rejects.not.toThrow(Unavailable);
    await expect(says(code, errno)).rejects.toThrow('refused');
  });
});
