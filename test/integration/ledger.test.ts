import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { connectDatabase, createDatabase } from '../../src/ledger/connect.js';
import { Ledger, Replaced } from '../../src/ledger/ledger.js';
import { UsageError } from '../../src/support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { at, line, queuedRow } from '../support/line.js';
import { startMariadb } from '../support/mariadb.js';
import { atEnd } from '../support/scope.js';
import { filledLedger, settledRow } from '../support/searched.js';

const { hash } = at(4);
const root = settledRow(at(4), true, null);
const running = (attempts: number) => ({ hash, attempts, worker: 'w', start_time: null });

describe.each(['SQLite', 'MariaDB'])('a row in %s', (kind) => {
  let databaseUrl: () => Promise<string>;
  beforeAll(async () => {
    if (kind === 'SQLite') {
      databaseUrl = async () => `sqlite:${join(temporaryFolder(), 'ledger.db')}`;
    } else {
      const server = await startMariadb();
      databaseUrl = () => server.createDatabase();
    }
  });

  const emptyLedger = async () => filledLedger(await databaseUrl(), line, []);
  const rowIn = async (ledger: Ledger) => (await ledger.find([hash]))[0];

  test('is one, however often its point enters', async () => {
    const ledger = await emptyLedger();
    expect(await ledger.insertQueued([queuedRow(4)])).toBe(true);
    expect(await ledger.insertQueued([queuedRow(4), queuedRow(5, 4)])).toBe(false);
    expect(await ledger.find([hash, at(5).hash])).toHaveLength(2);
    expect((await ledger.counts()).states).toEqual({ queue: 2, running: 0, error: 0, completed: 0 });
  });

  test('that is there stays as it is when its point enters again', async () => {
    const ledger = await emptyLedger();
    await ledger.settle([root]);
    const before = await rowIn(ledger);
    await ledger.insertQueued([queuedRow(4, 3)]);
    expect(await rowIn(ledger)).toEqual(before);
  });

  test('that is live takes on all that a report tells', async () => {
    const ledger = await emptyLedger();
    await ledger.insertQueued([queuedRow(4)]);
    await ledger.settle([{ ...root, attempts: 2, out_path: 'a path' }]);
    expect(await rowIn(ledger)).toMatchObject({ state: 'completed', stable: true, attempts: 2, out_path: 'a path' });
  });

  test('that is settled stays as it is, whatever else is reported', async () => {
    const ledger = await emptyLedger();
    await ledger.settle([root]);
    const before = await rowIn(ledger);
    await ledger.settle([{ ...settledRow(at(4), null, null), attempts: 2, out_path: 'another' }]);
    expect(await rowIn(ledger)).toEqual(before);
  });

  test('that is settled does not run any more when late news say so', async () => {
    const ledger = await emptyLedger();
    await ledger.settle([root]);
    await ledger.markRunning([running(1)]);
    expect(await rowIn(ledger)).toMatchObject({ state: 'completed', stable: true });
  });

  test('knows nothing of older attempts, neither their ends nor that they began', async () => {
    const ledger = await emptyLedger();
    await ledger.insertQueued([queuedRow(4)]);
    await ledger.markRunning([running(3)]);
    await ledger.settle([{ ...root, attempts: 2 }]);
    expect(await rowIn(ledger)).toMatchObject({ state: 'running', stable: null, attempts: 3 });
    await ledger.markRunning([running(2)]);
    expect(await rowIn(ledger)).toMatchObject({ state: 'running', attempts: 3 });
  });

  test('that is put back after an error counts its attempts on, so that a late report of the old one is told apart', async () => {
    const ledger = await emptyLedger();
    await ledger.settle([settledRow(at(4), null, null), settledRow(at(5), true, root)]);
    expect(await ledger.requeueErrors({}, hash, 10)).toEqual([]);
    expect((await ledger.requeueErrors({}, '', 10)).map((row) => row.hash)).toEqual([hash]);
    await ledger.settle([root]);
    expect(await rowIn(ledger)).toMatchObject({ state: 'queue', stable: null, attempts: 2 });
  });

  test('is not written into a table of somebody else, nor is that dropped', async () => {
    const url = await databaseUrl();
    const db = connectDatabase(url);
    createDatabase(db);
    const ledger = new Ledger(url, 'points', line.names);
    atEnd(() => Promise.all([db.destroy(), ledger.close()]));
    await db.schema.createTable('points', (table) => table.string('hash'));
    await db('points').insert({ hash: 'kept' });
    for (const act of [() => ledger.create('test'), () => ledger.recreate('test'), () => ledger.open()]) {
      await expect(act()).rejects.toThrow(UsageError);
    }
    expect(await db('points').select()).toEqual([{ hash: 'kept' }]);
  });

  test('is not written into a table that was made anew since', async () => {
    const url = await databaseUrl();
    const ledger = await filledLedger(url, line, []);
    const another = await filledLedger(url, line, []);
    await another.recreate('test');
    await another.insertQueued([queuedRow(6)]);
    const six = { ...running(1), hash: at(6).hash };
    for (const act of [() => ledger.insertQueued([queuedRow(4)]), () => ledger.settle([root])]) {
      await expect(act()).rejects.toThrow(Replaced);
    }
    await expect(ledger.markRunning([six])).rejects.toThrow(Replaced);
    expect((await another.counts()).states).toEqual({ queue: 1, running: 0, error: 0, completed: 0 });
  });
});

test('a SQLite file that is not there is created by whoever creates the table, and by nobody else', async () => {
  const file = join(temporaryFolder(), 'mistyped.db');
  const ledger = new Ledger(`sqlite:${file}`, 'points', line.names);
  atEnd(() => ledger.close());
  await expect(ledger.open()).rejects.toThrow(`the database ${file} is not there yet; sql-client -c creates it`);
  expect(existsSync(file)).toBe(false);
  await ledger.create('{}');
  expect(existsSync(file)).toBe(true);
});
