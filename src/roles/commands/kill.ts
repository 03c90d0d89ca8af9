import { clearKill, type Kill, pullKill, readKill } from '../../queue/fleet.js';
import { reportLists } from '../../queue/keys.js';
import { type Look, look } from '../../queue/look.js';
import type { OneShot } from '../common/oneShot.js';

const scanned = 1000;

export async function kill(command: OneShot, how: Kill): Promise<void> {
  await command.insist(() => pullKill(command.session, how));
}

export async function lift(command: OneShot): Promise<void> {
  await command.insist(() => clearKill(command.session));
}

/** Whether the switch is on. */
export async function killed(command: OneShot): Promise<boolean> {
  return (await command.insist(() => readKill(command.session))) !== undefined;
}

/** Pulls the switch once every list, lease and batch was empty in so many looks in a row. */
export async function killWhenIdle(
  command: OneShot,
  looks: number,
  between: () => Promise<void>,
  onLook: (seen: Look, emptyInRow: number) => void,
): Promise<void> {
  for (let inRow = 0; inRow < looks; ) {
    const seen = await command.insist(() => look(command.session));
    inRow = seen.empty ? inRow + 1 : 0;
    onLook(seen, inRow);
    if (inRow < looks) await between();
  }
  await command.insist(() => pullKill(command.session, 'now'));
}

/** Deletes every key of this search but those kept, and no other's. Answers how many, and what it held last. */
export async function deleteKeys(
  command: OneShot,
  kept: readonly string[] = [],
): Promise<{ keys: number; held: Look }> {
  const { keys, connection } = command.session;
  const held = await command.insist(() => look(command.session));
  const pattern = `${keys.prefix.replaceAll(/[\\*?[\]]/g, '\\$&')}*`;
  // First, in one step, the generation and the reports: nobody reports into what is being deleted, nor takes of it.
  const reports = [keys.search, keys.batches, keys.taken, ...reportLists.map((list) => keys.list(list))];
  let deleted = await command.insist(() => connection.ask((redis) => redis.unlink(...reports)));
  for (let cursor = '0'; ; ) {
    const [next, found] = await command.insist(() =>
      connection.ask((redis) => redis.scan(cursor, 'MATCH', pattern, 'COUNT', scanned)),
    );
    const ours = found.filter((key) => key.startsWith(keys.prefix) && !kept.includes(key));
    if (ours.length > 0) deleted += await command.insist(() => connection.ask((redis) => redis.unlink(...ours)));
    if (next === '0') return { keys: deleted, held };
    cursor = next;
  }
}

/** Results that no row tells of yet: reports in lists and in batches. */
export function unsavedReports({ lists, batches }: Look): number {
  const names = ['complete0_sql_Q', 'complete1_sql_Q', 'error_sql_Q'] as const;
  return names.reduce((total, name) => total + lists[name] + (batches[name] ?? 0), 0);
}
