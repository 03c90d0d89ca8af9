import { sqliteDriver } from '../../src/ledger/sqlite.js';

/** A handle of the test's own on a database file. */
export function openSqlite(file: string) {
  const Database = sqliteDriver();
  return new Database(file);
}
