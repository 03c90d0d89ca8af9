import knex, { type Knex } from 'knex';
import { pause } from '../support/bell.js';
import { type DatabaseAddress, parseDatabaseUrl } from '../support/databaseAddress.js';
import { messageOf, Refused, Unavailable, UsageError } from '../support/errors.js';
import { inTime } from '../support/patience.js';
import { cloudSqlConnector } from './cloudSql.js';
import { databaseFailure, databaseText } from './failures.js';
import { mysqlClient } from './mysql.js';
import { createFile, sqliteClient } from './sqlite.js';

/** Milliseconds that one statement may take; passes over the whole table are read in pages. */
const statementMs = 60_000;
const closeMs = 300;

/** knex writes to standard output, which is for results; what it warns of is thrown as well, and told in the log once. */
const silent = { warn: () => {}, error: () => {}, deprecate: () => {}, debug: () => {} };

/** A handle on MySQL, MariaDB or SQLite. Nothing is connected before the first statement. */
export function connectDatabase(url: string, connector = cloudSqlConnector): Knex {
  const address = addressOf(url);
  if (address.kind === 'sqlite') {
    return knex({
      client: sqliteClient(),
      log: silent,
      connection: { filename: address.file },
      useNullAsDefault: true,
      pool: { min: 0, max: 1, afterCreate: prepareSqlite },
    });
  }
  return knex({
    client: mysqlClient(address, connector),
    log: silent,
    connection: { database: address.database }, // Each new connection has settings of its own.
    pool: { min: 0, max: 4 },
    acquireConnectionTimeout: 10_000,
  });
}

function addressOf(url: string): DatabaseAddress {
  try {
    return parseDatabaseUrl(url);
  } catch (error) {
    throw new UsageError(`database.url: ${messageOf(error)}`);
  }
}

/** Creates SQLite's file where it is absent; a database of MySQL's has to be there. */
export function createDatabase(db: Knex): void {
  if (!isMysql(db)) createFile((db.client.config.connection as Knex.Sqlite3ConnectionConfig).filename);
}

/** MySQL or MariaDB, not SQLite. */
export function isMysql(db: Knex): boolean {
  return db.client.driverName === 'mysql2';
}

/** The name of a table or column as it stands in a statement. */
export function quoted(db: Knex, name: string): string {
  return isMysql(db) ? `\`${name}\`` : `"${name}"`;
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
