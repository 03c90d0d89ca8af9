import { messageOf } from '../support/errors.js';
import { bug, connectionFailure, type Failure, outage, permanent } from '../support/failures.js';

const busy = outage('others use the database; the same statement may succeed later');
const restarting = outage('the server or the connection ended');
const unwell = outage('the server cannot read or write its data now');
const login = permanent('check the user and the password in DATABASE_URL');
const right = permanent('the database user lacks a right: the README lists the rights of each role');
const tls = permanent('check ssl-mode and the ssl- files in database.url');

/** What a database says: its name for the error, MySQL's number (0: it has none), and what it means. A number is compared first. */
const failures: readonly (readonly [code: string, errno: number, failure: Failure])[] = [
  ['ER_GET_ERRNO', 1030, unwell],
  ['ER_CHECKREAD', 1020, busy],
  ['ER_DISK_FULL', 1021, unwell],
  ['ER_ERROR_ON_READ', 1024, unwell],
  ['ER_ERROR_ON_WRITE', 1026, unwell],
  ['ER_OUTOFMEMORY', 1037, unwell],
  ['ER_CON_COUNT_ERROR', 1040, busy],
  ['ER_OUT_OF_RESOURCES', 1041, unwell],
  ['ER_DBACCESS_DENIED_ERROR', 1044, permanent('this user may not use that database, or it does not exist')],
  ['ER_ACCESS_DENIED_ERROR', 1045, login],
  ['ER_UNKNOWN_COM_ERROR', 1047, outage('a node of a Galera cluster has no part in it now')],
  ['ER_BAD_DB_ERROR', 1049, permanent('create the database first, or name another in database.url')],
  ['ER_SERVER_SHUTDOWN', 1053, restarting],
  ['ER_SHUTDOWN_COMPLETE', 1079, restarting],
  ['ER_RECORD_FILE_FULL', 1114, unwell],
  ['ER_HOST_IS_BLOCKED', 1129, permanent('the server blocks this host: run FLUSH HOSTS there')],
  ['ER_HOST_NOT_PRIVILEGED', 1130, permanent('the server takes no connections from this host')],
  ['ER_TABLEACCESS_DENIED_ERROR', 1142, right],
  ['ER_COLUMNACCESS_DENIED_ERROR', 1143, right],
  ['ER_NO_SUCH_TABLE', 1146, outage('sql-client -c creates the table')],
  ['ER_NEW_ABORTING_CONNECTION', 1184, restarting],
  ['ER_ABORTING_CONNECTION', 1152, restarting],
  ['ER_NET_READ_ERROR', 1158, restarting],
  ['ER_NET_READ_INTERRUPTED', 1159, restarting],
  ['ER_NET_ERROR_ON_WRITE', 1160, restarting],
  ['ER_NET_WRITE_INTERRUPTED', 1161, restarting],
  ['ER_NET_FCNTL_ERROR', 1155, restarting],
  ['ER_ERROR_DURING_COMMIT', 1180, unwell],
  ['ER_TOO_MANY_USER_CONNECTIONS', 1203, busy],
  ['ER_LOCK_WAIT_TIMEOUT', 1205, busy],
  ['ER_LOCK_TABLE_FULL', 1206, busy],
  ['ER_LOCK_DEADLOCK', 1213, busy],
  ['ER_USER_LIMIT_REACHED', 1226, busy],
  ['ER_SPECIFIC_ACCESS_DENIED_ERROR', 1227, right],
  ['ER_NOT_SUPPORTED_AUTH_MODE', 1251, login],
  ['ER_OPTION_PREVENTS_STATEMENT', 1290, outage('the server is read-only: a failover is under way')],
  ['ER_QUERY_INTERRUPTED', 1317, restarting],
  ['ER_PLUGIN_IS_NOT_LOADED', 1524, login],
  ['ER_ACCESS_DENIED_NO_PASSWORD_ERROR', 1698, login],
  ['ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION', 1792, outage('the server is read-only: a failover is under way')],
  ['ER_MUST_CHANGE_PASSWORD', 1820, login],
  ['ER_READ_ONLY_MODE', 1836, outage('the server is read-only: a failover is under way')],
  ['ER_MUST_CHANGE_PASSWORD_LOGIN', 1862, login],
  ['ER_CONNECTION_KILLED', 1927, restarting],
  ['ER_STATEMENT_TIMEOUT', 1969, busy],
  ['CR_SERVER_GONE_ERROR', 2006, restarting],
  ['CR_SERVER_LOST', 2013, restarting],
  ['ER_QUERY_TIMEOUT', 3024, busy],
  ['ER_ACCOUNT_HAS_BEEN_LOCKED', 3118, login],
  ['ER_SECURE_TRANSPORT_REQUIRED', 3159, permanent('the server wants TLS: set ssl-mode=REQUIRED in database.url')],
  ['ER_ACCOUNT_HAS_BEEN_LOCKED', 4151, login],
  ['HANDSHAKE_NO_SSL_SUPPORT', 0, permanent('the server offers no TLS, but ssl-mode in database.url demands it')],
  ['HANDSHAKE_SSL_ERROR', 0, tls],
  ['AUTH_SWITCH_PLUGIN_ERROR', 0, login],
  ['PROTOCOL_CONNECTION_LOST', 0, restarting],
  ['PROTOCOL_SEQUENCE_TIMEOUT', 0, restarting],
  ['PROTOCOL_PACKETS_OUT_OF_ORDER', 0, restarting],
  ['PROTOCOL_INCORRECT_PACKET_SEQUENCE', 0, restarting],
  ['SQLITE_BUSY', 0, busy],
  ['SQLITE_LOCKED', 0, busy],
  ['SQLITE_FULL', 0, unwell],
  ['SQLITE_IOERR', 0, unwell],
  ['SQLITE_READONLY_DBMOVED', 0, outage('the file was moved or deleted')],
  ['SQLITE_READONLY', 0, permanent('this user may not write the file, or its folder')],
  ['SQLITE_CANTOPEN', 0, permanent('this user may not open the file, or its folder')],
  ['SQLITE_PERM', 0, permanent('this user may not open the file, or its folder')],
  ['SQLITE_NOTADB', 0, permanent('the file holds something else than a SQLite database')],
  ['SQLITE_CORRUPT', 0, permanent('the file is damaged: restore it from a backup')],
];
const byNumber = new Map(failures.flatMap(([, errno, failure]) => (errno === 0 ? [] : [[errno, failure]])));
const byCode = new Map(failures.map(([code, , failure]) => [code, failure]));

/** What the failure of a statement means. */
export function databaseFailure(error: unknown): Failure {
  const { code = '', errno = 0, fatal = false, name = '' } = error as DatabaseError;
  if (isBrokenHandshake(error)) return restarting;
  const known = byNumber.get(errno) ?? byCode.get(code) ?? ofSqlite(code) ?? connectionFailure(error);
  if (known) return known;
  if (code === 'SQLITE_ERROR' && databaseText(error).startsWith('no such table')) return outage('no such table');
  // mysql2 calls fatal what ends its connection; knex has one class for all that takes too long.
  return fatal || name === 'KnexTimeoutError' ? restarting : bug;
}

/** The user or the password is wrong. */
export function isLoginRefused(error: unknown): boolean {
  return databaseFailure(error) === login;
}

/** What Google's interfaces answer with a status of HTTP, and its connector with a code; all else is an outage. */
const cloudSqlFailures: Readonly<Record<string, Failure>> = {
  400: permanent('check database.cloudSql: project:region:instance'),
  401: permanent("Google does not accept this machine's account"),
  403: permanent('the account lacks the role Cloud SQL Client, or the Cloud SQL Admin API is switched off'),
  404: permanent('there is no such instance: check database.cloudSql'),
  EBADCONNECTIONNAME: permanent('check database.cloudSql: project:region:instance'),
  EBADSQLADMINREGION: permanent('the instance is in another region: check database.cloudSql'),
  ENOPUBLICSQLADMINIPADDRESS: permanent('the instance has no public address: name its ipType'),
  ENOPRIVATESQLADMINIPADDRESS: permanent('the instance has no private address: name its ipType'),
  ENOPSCSQLADMINIPADDRESS: permanent('the instance has no Private Service Connect: name its ipType'),
};

export function cloudSqlFailure(error: unknown): Failure {
  const { code, status = code } = error as { code?: string | number; status?: number | string };
  return cloudSqlFailures[String(status)] ?? cloudSqlFailures[String(code)] ?? outage('Google does not answer');
}

interface DatabaseError {
  code?: string;
  errno?: number;
  fatal?: boolean;
  name?: string;
  sqlMessage?: string;
}

/** SQLite's extended codes begin with the plain one: SQLITE_BUSY_SNAPSHOT. */
function ofSqlite(code: string): Failure | undefined {
  return byCode.get(code.split('_').slice(0, 2).join('_'));
}

/** A connection that ended within the TLS handshake: mysql2 gives it the code of all handshakes that fail. */
function isBrokenHandshake(error: unknown): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException;
  return code === 'HANDSHAKE_SSL_ERROR' && (syscall !== undefined || 'localAddress' in (error as object));
}

/** What the database said, without the statement that knex puts before it. */
export function databaseText(error: unknown): string {
  const { sqlMessage, code } = error as DatabaseError;
  const text = sqlMessage ?? messageOf(error).replace(/^[\s\S]* - (?=\S)/, '');
  return code && !text.includes(code) ? `${text} (${code})` : text;
}
