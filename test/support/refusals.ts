import { type Connection, createConnection } from 'mysql2/promise';
import { expect } from 'vitest';
import { startMariadb } from './mariadb.js';
import { atEnd } from './scope.js';

/** What a command writes besides its log. */
export const said = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .filter((line) => !line.startsWith('{'));

interface Ended {
  status: number | null;
  stderr: string;
}

/** It ended with one sentence, and had not waited. */
export function expectRefused({ status, stderr }: Ended, sentence: RegExp): void {
  expect([status, said(stderr)]).toEqual([1, [expect.stringMatching(sentence)]]);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(stderr).not.toMatch(/waiting: (?:Redis|the database:)|a-secret/);
}

/** A MariaDB with a database `fleet`, and a user of it with a password. */
export async function startDatabase() {
  const mariadb = await startMariadb();
  const root = await createConnection(mariadb.url);
  atEnd(() => root.destroy());
  await root.query("create user fleet@localhost identified by 'a-secret'");
  // Not `test`, which a fresh MariaDB opens to everybody.
  await root.query('create database fleet');
  await root.query('grant all on fleet.* to fleet@localhost');
  const urlOf = (login: string, database = 'fleet') => mariadb.urlOf(database).replace('root@', `${login}@`);
  return { root, urlOf };
}

/** Ends what the fleet has connected. */
export async function killConnections(root: Connection): Promise<void> {
  const [found] = await root.query("select id from information_schema.processlist where user = 'fleet'");
  for (const { id } of found as { id: number }[]) await root.query(`kill ${id}`).catch(() => undefined);
}
