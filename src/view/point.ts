import type { FullRow, Reader } from '../ledger/reader.js';
import { readPoint } from '../space/pointText.js';
import { NotAPoint, type Point, type Space } from '../space/space.js';
import { UsageError } from '../support/errors.js';
import { shorten } from '../support/text.js';

/** A neighbour that the search may lead to from a point; `kind` undefined: it has no row. */
export interface NeighbourSight {
  hash: string;
  code: string;
  state: FullRow['state'] | undefined;
  stable: boolean | null;
}

/** Where a point stands in the search. */
export interface PointSight {
  hash: string;
  code: string;
  row: FullRow | undefined;
  /** The points that led to it: its parent, the parent's parent, … to a root. */
  chain: FullRow[];
  neighbours: NeighbourSight[];
}

const longestShown = 80;
const longestChain = 100_000;

export function isHash(text: string): boolean {
  return /^[0-9a-f]{32}$/i.test(text);
}

/** The point that a hash (of a row), a code or a list of values names. Throws `UsageError`. */
export async function findPoint(reader: Reader, space: Space, name: string): Promise<{ point: Point; row?: FullRow }> {
  if (!isHash(name)) {
    const point = pointNamed(space, name);
    const [row] = await reader.find([point.hash]);
    return row ? { point, row } : { point };
  }
  const [row] = await reader.find([name.toLowerCase()]);
  if (!row) throw new UsageError(`no row has the hash ${name}`);
  return { point: pointNamed(space, row.code), row };
}

/** A point's row, the chain of points that led to it, and its neighbours. Throws `UsageError` for what names no point. */
export async function lookAtPoint(reader: Reader, space: Space, name: string): Promise<PointSight> {
  const { point, row } = await findPoint(reader, space, name);
  const neighbours = space.neighbours(point);
  const rows = new Map(
    (await reader.findMarks(neighbours.map(({ hash }) => hash))).map((found) => [found.hash, found]),
  );
  return {
    hash: point.hash,
    code: point.code,
    row,
    chain: row ? await chainOf(reader, row) : [],
    neighbours: neighbours.map(({ hash, code }) => {
      const found = rows.get(hash);
      return { hash, code, state: found?.state, stable: found?.stable ?? null };
    }),
  };
}

async function chainOf(reader: Reader, row: FullRow): Promise<FullRow[]> {
  const chain: FullRow[] = [];
  const met = new Set([row.hash]);
  for (let next = row.previous_hash; next !== null && !met.has(next) && chain.length < longestChain; ) {
    const [parent] = await reader.find([next]);
    if (!parent) break;
    met.add(parent.hash);
    chain.push(parent);
    next = parent.previous_hash;
  }
  return chain;
}

/** The point that a code or a list of values names. Throws `UsageError`. */
export function pointNamed(space: Space, text: string): Point {
  try {
    return readPoint(space, text);
  } catch (error) {
    if (!(error instanceof NotAPoint)) throw error;
    throw new UsageError(
      `'${shorten(text, longestShown)}' names no point (a hash, a code or NAME=VALUE,…): ${error.message}`,
    );
  }
}
