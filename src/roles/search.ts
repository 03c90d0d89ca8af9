import type { Space } from '../space/space.js';

/** What every role knows of the search that it works for. */
export interface Search {
  /** Prefix of its Redis keys and artifact paths. */
  name: string;
  space: Space;
  /** The points that are never exceeded by proposals; null: no limit. */
  maxPoints: number | null;
  /** Workers in a row that may vanish with a point before it is quarantined. */
  losses: number;
  /** Milliseconds after its last sign of life when a role counts as dead. */
  leaseMs: number;
  redisUrl: string;
  /** What defines the search, as canonical JSON. */
  definition: string;
  /** Names the first difference of another definition; null where it is the same search. */
  differs(definition: string): string | null;
}
