import { join } from 'node:path';
import { Ledger, type SettledRow } from '../../src/ledger/ledger.js';
import type { Point, Space } from '../../src/space/space.js';
import { temporaryFolder } from './folder.js';
import { atEnd } from './scope.js';
import { openSqlite } from './sqlite.js';

/** The simulator's word: stable, unstable, or (null) an error. */
export type VerdictOf = (point: Point) => boolean | null;

/** The rows that a search leaves, in the order of their discovery: the flood fill, with parents and depths. */
export function searchedRows(
  space: Space,
  verdict: VerdictOf,
  {
    roots = [space.start],
    maxPoints = Number.POSITIVE_INFINITY,
  }: { roots?: readonly Point[]; maxPoints?: number } = {},
): SettledRow[] {
  const rows = new Map<string, SettledRow>();
  const frontier = roots.map((point) => ({ point, parent: null as SettledRow | null }));
  for (const { point, parent } of frontier) {
    if (rows.has(point.code) || (parent && rows.size >= maxPoints)) continue;
    const row = settledRow(point, verdict(point), parent);
    rows.set(point.code, row);
    if (row.stable) for (const neighbour of space.neighbours(point)) frontier.push({ point: neighbour, parent: row });
  }
  return [...rows.values()];
}

/** A row of a point that ended. */
export function settledRow(point: Point, stable: boolean | null, parent: Pick<SettledRow, 'hash' | 'depth'> | null) {
  const { hash, code } = point;
  const known = { hash, code, previous_hash: parent?.hash ?? null, depth: parent ? parent.depth + 1 : 0 };
  const run = { attempts: 1, worker: 'test', start_time: null, end_time: null, run_time: 1, out_path: null };
  const message = { error_kind: stable === null ? 'program' : null, error_msg: null, complete_msg: null };
  const numbers = { temperature: null, pressure: null, outputs: null };
  const state: SettledRow['state'] = stable === null ? 'error' : 'completed';
  return { ...known, state, stable, ...run, ...message, ...numbers } satisfies SettledRow;
}

/** A ledger with these rows in a SQLite file, and a handle on the file that obeys no rule of the table. */
export async function sqliteLedger(space: Space, rows: readonly SettledRow[]) {
  const file = join(temporaryFolder(), 'ledger.db');
  const ledger = await filledLedger(`sqlite:${file}`, space, rows);
  const db = openSqlite(file);
  db.pragma('ignore_check_constraints = on');
  atEnd(() => db.close());
  return { ledger, db };
}

/** A ledger with these rows, in the table `points` of a database. */
export async function filledLedger(url: string, space: Space, rows: readonly SettledRow[]): Promise<Ledger> {
  const ledger = new Ledger(url, 'points', space.names);
  atEnd(() => ledger.close());
  await ledger.create('test');
  for (let from = 0; from < rows.length; from += 500) await ledger.settle(rows.slice(from, from + 500));
  return ledger;
}
