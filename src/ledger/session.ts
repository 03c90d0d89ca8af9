import type { Connection } from 'mysql2';
import { Refused } from '../support/errors.js';

/**
 * What the statements of this program were written for. A server's own defaults, and its init_connect, may say otherwise: without
 * autocommit nothing would ever be kept, other modes read quotes and backslashes otherwise, a limit would cut off rows.
 */
const settings: Readonly<Record<string, string>> = {
  autocommit: 'ON',
  completion_type: 'NO_CHAIN',
  sql_mode: 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',
  sql_select_limit: '18446744073709551615',
  time_zone: '+00:00',
  character_set_client: 'utf8mb4',
  character_set_connection: 'utf8mb4',
  character_set_results: 'utf8mb4',
};
const isolation = 'REPEATABLE-READ';

const assignments = Object.entries(settings).map(([name, value]) => {
  return `session ${name} = ${/^(?:\d+|ON)$/.test(value) ? value : `'${value}'`}`;
});
/** MariaDB before 11.1 calls the isolation level `tx_isolation`, MySQL 8 has no such name. */
const names = [...Object.keys(settings), 'transaction_isolation', 'tx_isolation'];
const statementMs = 10_000;

/** Sets a new connection's session completely, and checks it: a proxy in between may take part of it back. */
export async function setSession(connection: Connection): Promise<void> {
  await query(connection, `set names utf8mb4, ${assignments.join(', ')}`);
  await query(connection, 'set session transaction isolation level repeatable read, read write');
  const inWords = names.map((name) => `'${name}'`).join(', ');
  const rows = await query(connection, `show session variables where variable_name in (${inWords})`);
  for (const { Variable_name: name, Value: value } of rows as { Variable_name: string; Value: string }[]) {
    const expected = settings[name] ?? isolation;
    if (value === expected) continue;
    throw new Refused(
      `the database: its session's ${name} is ${value} after it was set to ${expected}: does a proxy or pool in between change it?`,
    );
  }
}

function query(connection: Connection, sql: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.query({ sql, timeout: statementMs }, (error, rows) => (error ? reject(error) : resolve(rows)));
  });
}
