import knex, { type Knex } from 'knex';
import mysql from 'mysql2';
import { pause } from '../support/bell.js';
import { Refused, Unavailable, UsageError } from '../support/errors.js';
import { inTime } from '../support/patience.js';
import { type CloudSqlInstance, cloudSqlConnector, cloudSqlStream } from './cloudSql.js';
import { databaseFailure, databaseText } from './failures.js';
import { createFile, sqliteClient } from './sqlite.js';

/** Milliseconds that one statement may take; passes over the whole table are read in pages. */
const statementMs = 60_000;
const closeMs = 300;

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

/** Creates SQLite's file where it is absent; a database of MySQL's has to be there. */
export function createDatabase(db: Knex): void {
  if (!isMysql(db)) createFile((db.client.config.connection as Knex.Sqlite3ConnectionConfig).filename);
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

/** Runs statements. Outages become `Unavailable`, refusals `Refused`; what else fails is a bug and passes through. */
export async function ask<T>(query: PromiseLike<T> | Knex.Raw<T> | Knex.QueryBuilder): Promise<T> {
  try {
    const limited = 'timeout' in query ? (query as Knex.QueryBuilder).timeout(statementMs) : query;
    return (await limited) as T;
  } catch (error) {
    throw failed(error);
  }
}

function failed(cause: unknown): unknown {
  if (cause instanceof Unavailable || cause instanceof UsageError) return cause;
  const { class: kind, meaning } = databaseFailure(cause);
  if (kind === 'bug') return cause;
  const { code } = cause as { code?: string };
  const options = { cause, ...(code === undefined ? {} : { code }) };
  const text = `the database: ${databaseText(cause)}`;
  return kind === 'outage' ? new Unavailable(text, options) : new Refused(`${text}; ${meaning}`, options);
}
