import type { Session } from '../../queue/session.js';
import type { Space } from '../../space/space.js';
import { UsageError } from '../../support/errors.js';

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

/** Refuses a Redis that holds a search of this name, but defined otherwise. */
export async function refuseOtherInRedis(search: Search, { connection, keys }: Session): Promise<void> {
  const definition = await connection.ask((redis) => redis.hget(keys.search, 'definition'));
  const difference = definition ? search.differs(definition) : null;
  if (difference)
    throw new UsageError(
      `another search named ${search.name} is on this Redis: ${difference}. Name this one otherwise, or delete that one with kill -r`,
    );
}
