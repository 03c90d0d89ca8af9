import type { Ledger } from '../ledger/ledger.js';
import { type Look, look } from '../queue/look.js';
import { unsavedReports } from '../roles/commands/kill.js';
import type { OneShot } from '../roles/common/oneShot.js';
import { complain } from './terminal.js';

/** What Redis holds of a search, for whoever is about to delete it; undefined: nothing. */
export function describeHeld(seen: Look): string | undefined {
  const { lists, leases } = seen;
  const unsaved = unsavedReports(seen);
  const parts = [
    [unsaved, 'results that SQL has not got'],
    [lists.main_Q, 'points to run'],
    [leases, 'points that run now'],
    [lists.main_sql_Q, 'proposals'],
    [seen.seen, 'points known'],
  ] as const;
  const named = parts.filter(([count]) => count > 0).map(([count, what]) => `${count.toLocaleString('en')} ${what}`);
  return named.length === 0 ? undefined : named.join(', ');
}

/** What a reset destroys; undefined: nothing. A table that cannot be read has rows that nobody knows. */
export async function describeReset(command: OneShot, ledger: Ledger, table: string): Promise<string | undefined> {
  const held = describeHeld(await command.insist(() => look(command.session)));
  const rows = await rowsOf(ledger);
  if (rows === 0 && held === undefined) return undefined;
  const loss = `table ${table} with ${rows === undefined ? 'all its rows, if it is there' : `its ${rows.toLocaleString('en')} rows`}`;
  return held === undefined ? loss : `${loss}, and what Redis holds: ${held}`;
}

async function rowsOf(ledger: Ledger): Promise<number | undefined> {
  try {
    const { states } = await ledger.counts();
    return Object.values(states).reduce((total, count) => total + count, 0);
  } catch {
    return undefined;
  }
}

/** Whoever was asked did not agree. */
export function refuseUnconfirmed(): void {
  complain('nothing is deleted');
  process.exitCode = 1;
}
