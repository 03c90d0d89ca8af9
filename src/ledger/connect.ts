import knex, { type Knex } from 'knex';
import mysql from 'mysql2';
import { pause } from '../support/bell.js';
import { messageOf, Unavailable, UsageError } from '../support/errors.js';
import { inTime } from '../support/patience.js';
import { type CloudSqlInstance, cloudSqlConnector, cloudSqlStream } from './cloudSql.js';
import { sqliteClient } from './sqlite.js';

/** Milliseconds that one statement may take; passes over the whole table are read in pages. */
const statementMs = 60_000;
const closeMs = 300;

/** Conditions of MySQL, MariaDB, SQLite and their connections that pass: the same statement may succeed later. */
const passingCodes = new Set([
  'ER_LOCK_DEADLOCK',
  'ER_LOCK_WAIT_TIMEOUT',
  'ER_CON_COUNT_ERROR',
  'ER_TOO_MANY_USER_CONNECTIONS',
  'ER_USER_LIMIT_REACHED',
  'ER_SERVER_SHUTDOWN',
  'ER_SHUTDOWN_COMPLETE',
  'ER_QUERY_INTERRUPTED',
  'ER_QUERY_TIMEOUT',
  'ER_STATEMENT_TIMEOUT',
  'ER_CONNECTION_KILLED',
  'ER_NEW_ABORTING_CONNECTION',
  'ER_OPTION_PREVENTS_STATEMENT',
  'ER_READ_ONLY_MODE',
  'ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION',
  'ER_DISK_FULL',
  'ER_RECORD_FILE_FULL',
  'ER_ERROR_ON_WRITE',
  'ER_ERROR_ON_READ',
  'ER_GET_ERRNO',
  'ER_OUT_OF_RESOURCES',
  'ER_OUTOFMEMORY',
  'ER_ACCESS_DENIED_ERROR',
  'ER_HOST_NOT_PRIVILEGED',
  'ER_HOST_IS_BLOCKED',
  'ER_DBACCESS_DENIED_ERROR',
  'ER_BAD_DB_ERROR',
  'ER_NO_SUCH_TABLE',
  'ER_ERROR_DURING_COMMIT',
  'ER_CHECKREAD',
  'ER_LOCK_TABLE_FULL',
  'ER_UNKNOWN_COM_ERROR', // what a node of a Galera cluster says while it has no part in it
  'ER_NET_READ_ERROR',
  'ER_NET_READ_INTERRUPTED',
  'ER_NET_ERROR_ON_WRITE',
  'ER_NET_WRITE_INTERRUPTED',
  'ER_NET_FCNTL_ERROR',
  'SQLITE_BUSY',
  'SQLITE_LOCKED',
  'SQLITE_FULL',
  'SQLITE_IOERR',
  'SQLITE_READONLY',
  'SQLITE_CANTOPEN',
]);
const passingNumbers = new Set([
  1927, 1040, 1053, 1077, 1152, 1184, 1205, 1213, 1290, 1792, 1836, 2006, 2013, 3024, 1969,
]);
const broken =
  /ECONN|EPIPE|ENOENT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|PROTOCOL_|closed state|Connection lost|acquiring a connection|[Tt]imeout|no such table|shutdown|unable to open database|directory does not exist/;

/** knex writes to standard output, which is for results; what it warns of is thrown as well, and told in the log once. */
const silent = { warn: () => {}, error: () => {}, deprecate: () => {}, debug: () => {} };

/** A handle on MySQL, MariaDB or SQLite. Nothing is connected before the first statement. */
export function connectDatabase(url: string, connector = cloudSqlConnector): Knex {
  if (url.startsWith('sqlite:')) {
    return knex({
      client: sqliteClient(),
      log: silent,
      connection: { filename: url.slice('sqlite:'.length) },
      useNullAsDefault: true,
      pool: { min: 0, max: 1, afterCreate: prepareSqlite },
    });
  }
  if (!/^(mysql|mariadb):/.test(url)) throw new UsageError(`database.url: wants mysql:, mariadb: or sqlite:`);
  const instance = instanceIn(url);
  return knex({
    client: 'mysql2',
    log: silent,
    connection: instance ? throughCloudSql(url, instance, connector) : mysqlSettings(url),
    pool: { min: 0, max: 4 },
    acquireConnectionTimeout: 10_000,
  });
}

/** MySQL or MariaDB, not SQLite. */
export function isMysql(db: Knex): boolean {
  return db.client.config.client === 'mysql2';
}

/** Waits for writers of other processes; commits are safe on disk. */
function prepareSqlite(
  connection: { pragma(text: string): unknown },
  done: (error: Error | null, connection: unknown) => void,
): void {
  try {
    connection.pragma('busy_timeout = 10000');
    connection.pragma('journal_mode = WAL');
    connection.pragma('synchronous = FULL');
    done(null, connection);
  } catch (error) {
    done(error as Error, connection);
  }
}

function instanceIn(url: string): CloudSqlInstance | undefined {
  const { searchParams, password } = new URL(url);
  const name = searchParams.get('cloudSql');
  return name ? { name, ipType: searchParams.get('ipType') ?? 'PUBLIC', byIam: password === '' } : undefined;
}

/** Settings that each new connection asks for. */
function throughCloudSql(url: string, instance: CloudSqlInstance, connect: typeof cloudSqlConnector) {
  let connector: ReturnType<typeof cloudSqlConnector> | undefined;
  return async () => {
    connector ??= connect();
    const { stream } = await cloudSqlStream(instance, await connector);
    return { ...mysqlSettings(url), stream } as Knex.MySql2ConnectionConfig;
  };
}

function mysqlSettings(url: string): Knex.MySql2ConnectionConfig {
  const { hostname, port, username, password, pathname, searchParams } = new URL(url);
  const socketPath = searchParams.get('socketPath');
  return {
    ...(socketPath ? { socketPath } : { host: hostname, port: Number(port || 3306) }),
    user: decodeURIComponent(username),
    password: decodeURIComponent(password),
    database: decodeURIComponent(pathname.slice(1)),
    ...(searchParams.get('ssl') ? { ssl: { rejectUnauthorized: searchParams.get('ssl') !== 'unverified' } } : {}),
    charset: 'utf8mb4',
    timezone: 'Z',
    dateStrings: true,
    flags: '-FOUND_ROWS', // rows that a statement leaves as they are do not count as changed
    connectTimeout: 10_000,
    // Statements that carry their values are not searched for placeholders.
    queryFormat: (sql: string, values: Parameters<typeof mysql.format>[1][] = []) =>
      values.length === 0 ? sql : mysql.format(sql, values),
  } as Knex.MySql2ConnectionConfig;
}

/** Statements that hang are not waited for. */
export async function disconnect(db: Knex): Promise<void> {
  const closed = new AbortController();
  await Promise.race([db.destroy().finally(() => closed.abort()), pause(closeMs, closed.signal)]);
}

export function hasTable(db: Knex, name: string): Promise<boolean> {
  return askInTime(db.schema.hasTable(name));
}

/** As `ask`, for what cannot be given a limit of time itself. */
export function askInTime<T>(query: PromiseLike<T>): Promise<T> {
  const late = () => new Unavailable(`the database: no answer within ${statementMs / 1000} s`);
  return inTime(ask(query), statementMs, late);
}

/** Runs statements; what may pass becomes `Unavailable`. */
export async function ask<T>(query: PromiseLike<T> | Knex.Raw<T> | Knex.QueryBuilder): Promise<T> {
  try {
    const limited = 'timeout' in query ? (query as Knex.QueryBuilder).timeout(statementMs) : query;
    return (await limited) as T;
  } catch (error) {
    throw isPassing(error) ? new Unavailable(`the database: ${reason(error)}`, { cause: error }) : error;
  }
}

function isPassing(error: unknown): boolean {
  const { code = '', errno = 0, name = '' } = error as { code?: string; errno?: number; name?: string };
  if (passingCodes.has(code) || passingNumbers.has(errno) || name === 'KnexTimeoutError') return true;
  return [...passingCodes].some((known) => code.startsWith(`${known}_`)) || broken.test(`${code} ${messageOf(error)}`);
}

/** What the database said, without the statement that knex puts before it. */
function reason(error: unknown): string {
  const { sqlMessage, code } = error as { sqlMessage?: string; code?: string };
  const text = sqlMessage ?? messageOf(error).replace(/^[\s\S]* - (?=\S)/, '');
  return code && !text.includes(code) ? `${text} (${code})` : text;
}
