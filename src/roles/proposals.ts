import type { PointRow } from '../ledger/ledger.js';
import type { Proposal } from '../queue/leases.js';
import { encode, type Travel } from '../queue/messages.js';
import { NotAPoint, type Point, type Space } from '../space/space.js';
import type { Member } from './member.js';

/** A stable point that proposes its neighbours. */
export interface Parent {
  point: Point;
  depth: number;
  /** Where its files are, for the warm starts of its neighbours. */
  outPath: string | null;
}

/** The element by which a stable point proposes a neighbour. */
export function proposalOf({ point, depth, outPath }: Parent, neighbour: Point): Proposal {
  const travel: Travel = {
    previous_hash: point.hash,
    ...(outPath === null ? {} : { previous_path: outPath }),
    depth: depth + 1,
  };
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

/** What the stable rows of one page of SQL propose, each neighbour once. */
export function proposalsOf(rows: readonly PointRow[], space: Space): Proposal[] {
  const found = new Map<string, Proposal>();
  for (const row of rows) {
    const parent = { point: space.decode(row.code), depth: row.depth, outPath: row.out_path };
    for (const neighbour of space.neighbours(parent.point)) {
      if (!found.has(neighbour.code)) found.set(neighbour.code, proposalOf(parent, neighbour));
    }
  }
  return [...found.values()];
}

/** The element by which a live row goes back to main_Q. Its allowance of attempts is fresh. */
export function elementOf(row: PointRow, parentPath: string | null): string {
  const attempt = Math.max(1, row.attempts);
  return encode(row.code, {
    ...(row.previous_hash === null ? {} : { previous_hash: row.previous_hash }),
    ...(parentPath === null ? {} : { previous_path: parentPath }),
    depth: row.depth,
    ...(attempt > 1 ? { attempt, spent: attempt - 1 } : {}),
  });
}
