import { type Ledger, type PointRow, Replaced } from '../../ledger/ledger.js';
import type { Admission, Batch } from '../../queue/batches.js';
import { type Decoded, decodeTravel, encode, type Travel } from '../../queue/messages.js';
import { sort } from '../client/settling.js';
import type { Member } from '../common/member.js';
import { originOf } from '../common/origin.js';
import { elementsOf } from '../common/proposals.js';
import { written } from '../common/table.js';

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
  let allNew = false;
  const insert = async () => {
    if ((await originOf(member.session, ledger)) === 'another') throw new Replaced('Redis went back to another table');
    allNew = await ledger.insertQueued(rows, table);
  };
  if (!(await written(member, ledger, batch, insert))) return;
  const elements = allNew
    ? new Map<string, string | null>()
    : await member.insist(() => elementsOfRows(ledger, decoded));
  const admissions = decoded.map(({ point, facts }): Admission => {
    const element = elements.get(point.hash);
    return { hash: point.hash, element: element === undefined ? encode(point.code, facts) : element };
  });
  // Should a rebuild come between, it has set this batch aside, or it counts in the new generation: each point enters once.
  await member.insist(() => member.batches.admit(batch, admissions, malformed));
}

/**
 * By hash, what points travel as whose rows others made: a root pushed again once it was settled not at all; one that two points
 * proposed as its row says, as that is what its own proposals are held against.
 */
async function elementsOfRows(
  ledger: Ledger,
  decoded: readonly Decoded<Travel>[],
): Promise<Map<string, string | null>> {
  const rows = new Map((await ledger.find(decoded.map(({ point }) => point.hash))).map((row) => [row.hash, row]));
  const elements = new Map<string, string | null>();
  const others: PointRow[] = [];
  for (const { point, facts } of decoded) {
    const row = rows.get(point.hash);
    if (!row) continue;
    if (row.state === 'completed' || row.state === 'error') elements.set(row.hash, null);
    else if (row.depth !== facts.depth || row.previous_hash !== (facts.previous_hash ?? null)) others.push(row);
  }
  for (const [hash, element] of await elementsOf(ledger, others)) elements.set(hash, element);
  return elements;
}
