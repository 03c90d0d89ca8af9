import type { Ledger } from '../../ledger/ledger.js';
import { markOf, tableOf } from '../../queue/generation.js';
import type { Session } from '../../queue/session.js';

/** What Redis holds was meant for the table that the ledger opened last, or for another one, or nothing tells. */
export type Origin = 'this' | 'another' | 'unknown';

/**
 * Read off the generation that stands, or that a rebuild suspended. One of version 0.1 names no table: it is this table's where
 * the table has the same on record.
 */
export async function originOf({ connection, keys }: Session, ledger: Ledger): Promise<Origin> {
  const [standing, suspended] = await connection.ask((redis) => redis.hmget(keys.search, 'generation', 'suspended'));
  const generation = standing ?? suspended;
  if (!generation) return 'unknown';
  const table = tableOf(generation);
  const same = table === undefined ? generation === (await ledger.generation()) : table === markOf(ledger.incarnation);
  return same ? 'this' : 'another';
}

/** Whether a report that names no table (of version 0.1, or pushed by hand) may be for this one. */
export async function takesUnmarked(session: Session, ledger: Ledger): Promise<boolean> {
  const origin = await originOf(session, ledger);
  // A search that was never opened has only what people pushed.
  return origin === 'this' || (origin === 'unknown' && (await ledger.generation()) === undefined);
}
