import { clearKill, type Kill, pullKill } from '../queue/fleet.js';
import { type Look, look } from '../queue/look.js';
import type { OneShot } from './oneShot.js';

const scanned = 1000;

export async function kill({ session, patience }: OneShot, how: Kill): Promise<void> {
  await patience.insist(() => pullKill(session, how));
}

export async function lift({ session, patience }: OneShot): Promise<void> {
  await patience.insist(() => clearKill(session));
}

/** Pulls the switch once every list, lease and batch was empty in so many looks in a row. */
export async function killWhenIdle(
  { session, patience }: OneShot,
  looks: number,
  between: () => Promise<void>,
  onLook: (seen: Look, emptyInRow: number) => void,
): Promise<void> {
  for (let inRow = 0; inRow < looks; ) {
    const seen = await patience.insist(() => look(session));
    inRow = seen.empty ? inRow + 1 : 0;
    onLook(seen, inRow);
    if (inRow < looks) await between();
  }
  await patience.insist(() => pullKill(session, 'now'));
}

/**
 * Deletes every key of this search, and no other; `keepRoots`: but the list that new roots wait in. Answers how many, and what
 * it held last.
 */
export async function deleteKeys(
  { session, patience }: OneShot,
  { keepRoots } = { keepRoots: false },
): Promise<{ keys: number; held: Look }> {
  const { keys, connection } = session;
  const held = await patience.insist(() => look(session));
  const pattern = `${keys.prefix.replaceAll(/[\\*?[\]]/g, '\\$&')}*`;
  let deleted = 0;
  for (let cursor = '0'; ; ) {
    const [next, found] = await patience.insist(() =>
      connection.ask((redis) => redis.scan(cursor, 'MATCH', pattern, 'COUNT', scanned)),
    );
    const kept = keepRoots ? keys.list('main_sql_Q') : undefined;
    const ours = found.filter((key) => key.startsWith(keys.prefix) && key !== kept);
    if (ours.length > 0) deleted += await patience.insist(() => connection.ask((redis) => redis.unlink(...ours)));
    if (next === '0') return { keys: deleted, held };
    cursor = next;
  }
}

/** Results that no row tells of yet: reports in lists and in batches. */
export function unsavedReports({ lists, batches }: Look): number {
  const names = ['complete0_sql_Q', 'complete1_sql_Q', 'error_sql_Q'] as const;
  return names.reduce((total, name) => total + lists[name] + (batches[name] ?? 0), 0);
}
