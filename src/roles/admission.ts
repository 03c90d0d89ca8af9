import type { Ledger } from '../ledger/ledger.js';
import type { Admission, Batch } from '../queue/batches.js';
import { type Decoded, decodeTravel, encode, type Travel } from '../queue/messages.js';
import type { Member } from './member.js';
import { sort } from './settling.js';
import { written } from './table.js';

/** Proposals in a batch. */
export const admissionSize = 500;

/**
 * Gives each point of a batch its row, then its place in main_Q. May be repeated: its effect comes once. `table` is the incarnation
 * of the table that was known before the batch was taken.
 */
export async function admit(member: Member, ledger: Ledger, batch: Batch, table: string): Promise<void> {
  const { decoded, malformed } = sort(member, batch, decodeTravel);
  const ordered = decoded.toSorted((a, b) => (a.point.hash < b.point.hash ? -1 : 1));
  const rows = ordered.map(({ point, facts }) => ({
    hash: point.hash,
    code: point.code,
    previous_hash: facts.previous_hash ?? null,
    depth: facts.depth,
  }));
  if (!(await written(member, ledger, batch, () => ledger.insertQueued(rows, table)))) return;
  const settled = await member.insist(() => settledRoots(ledger, decoded));
  const admissions = decoded.map(({ point, facts }): Admission => {
    const element = settled.has(point.hash) ? null : encode(point.code, facts);
    return { hash: point.hash, element };
  });
  // Should a rebuild come between, it has set this batch aside, or it counts in the new generation: each point enters once.
  await member.insist(() => member.batches.admit(batch, admissions, malformed));
}

/** Roots may be pushed again after they were settled; what a stable point proposes was never seen. */
async function settledRoots(ledger: Ledger, decoded: readonly Decoded<Travel>[]): Promise<Set<string>> {
  const roots = decoded.filter(({ facts }) => facts.previous_hash === undefined).map(({ point }) => point.hash);
  const rows = await ledger.find(roots);
  return new Set(rows.filter(({ state }) => state === 'completed' || state === 'error').map(({ hash }) => hash));
}
