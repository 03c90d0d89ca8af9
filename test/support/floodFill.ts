import type { Point, Space } from '../../src/space/space.js';

/** What the ledger must say of a point at the end; `stable` is null where the run failed. */
export interface ExpectedRow {
  code: string;
  hash: string;
  stable: boolean | null;
}

/** The oracle: the rows that a search without `maxPoints` must end with, sorted by hash, found by a plain loop. */
export function floodFill(
  space: Space,
  verdict: (point: Point) => boolean | null,
  roots: readonly Point[] = [space.start],
): ExpectedRow[] {
  const rows = new Map<string, ExpectedRow>();
  const frontier = [...roots];
  for (let point = frontier.pop(); point; point = frontier.pop()) {
    if (rows.has(point.code)) continue;
    const stable = verdict(point);
    rows.set(point.code, { code: point.code, hash: point.hash, stable });
    if (stable) frontier.push(...space.neighbours(point));
  }
  return [...rows.values()].sort((one, other) => (one.hash < other.hash ? -1 : 1));
}
