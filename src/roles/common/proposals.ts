import type { Ledger, PointRow } from '../../ledger/ledger.js';
import type { Proposal } from '../../queue/leases.js';
import { encode, type Travel } from '../../queue/messages.js';
import { NotAPoint, type Point, type Space } from '../../space/space.js';
import type { Member } from './member.js';

const hashesAtOnce = 5000;

/** A stable point that proposes its neighbours. */
export interface Parent {
  point: Point;
  depth: number;
  /** Where its files are, for the warm starts of its neighbours. */
  outPath: string | null;
}

/** The element by which a stable point proposes a neighbour. */
export function proposalOf({ point, depth, outPath }: Parent, neighbour: Point): Proposal {
  const travel: Travel = { previous_hash: point.hash, previous_path: outPath ?? undefined, depth: depth + 1 };
  return { hash: neighbour.hash, element: encode(neighbour.code, travel) };
}

/** The rows whose code decodes to their hash; the others, written by foreign hands, are named in the log and passed over. */
export function legible(rows: readonly PointRow[], { search, log }: Pick<Member, 'search' | 'log'>): PointRow[] {
  return rows.filter(({ code, hash }) => {
    try {
      if (search.space.decode(code).hash === hash) return true;
      log.warn({ hash, code }, 'passed over a row: its code has another hash');
    } catch (error) {
      if (!(error instanceof NotAPoint)) throw error;
      log.warn({ hash, code }, `passed over a row: ${error.message}`);
    }
    return false;
  });
}

/**
 * What the stable rows of one page of SQL propose that Redis has not seen. `known` answers, hash by hash, whether it has;
 * nearly all are known, so the rest is made only for those that are not.
 */
export async function missingProposals(
  rows: readonly PointRow[],
  space: Space,
  known: (hashes: string[]) => Promise<boolean[]>,
): Promise<Proposal[]> {
  const found = new Map<string, { parent: Parent; neighbour: Point }>();
  for (const row of rows) {
    const parent = { point: space.decode(row.code), depth: row.depth, outPath: row.out_path };
    for (const neighbour of space.neighbours(parent.point)) {
      if (!found.has(neighbour.code)) found.set(neighbour.code, { parent, neighbour });
    }
  }
  const candidates = [...found.values()];
  const missing: Proposal[] = [];
  for (let from = 0; from < candidates.length; from += hashesAtOnce) {
    const some = candidates.slice(from, from + hashesAtOnce);
    const met = await known(some.map(({ neighbour }) => neighbour.hash));
    for (const [index, { parent, neighbour }] of some.entries()) {
      if (!met[index]) missing.push(proposalOf(parent, neighbour));
    }
  }
  return missing;
}

/** The elements by which live rows go back to main_Q, by hash: each knows where its parent's files are. */
export async function elementsOf(ledger: Ledger, rows: readonly PointRow[]): Promise<Map<string, string>> {
  const parents = await ledger.find([...new Set(rows.flatMap(({ previous_hash }) => previous_hash ?? []))]);
  const paths = new Map(parents.map(({ hash, out_path }) => [hash, out_path]));
  return new Map(rows.map((row) => [row.hash, elementOf(row, paths.get(row.previous_hash ?? '') ?? null)]));
}

/** Its allowance of attempts is fresh. */
function elementOf(row: PointRow, parentPath: string | null): string {
  const attempt = Math.max(1, row.attempts);
  return encode(row.code, {
    previous_hash: row.previous_hash ?? undefined,
    previous_path: parentPath ?? undefined,
    depth: row.depth,
    ...(attempt > 1 ? { attempt, spent: attempt - 1 } : {}),
  });
}
