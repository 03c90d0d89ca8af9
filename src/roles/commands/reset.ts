import type { Ledger } from '../../ledger/ledger.js';
import { Rebuilding } from '../../queue/rebuilding.js';
import { pause } from '../../support/bell.js';
import type { OneShot } from '../common/oneShot.js';
import { deleteKeys } from './kill.js';

const lockPauseMs = 100;

/**
 * Begins a search anew, also while other roles run: what SQL and Redis hold of it goes, but the list that new roots wait in.
 * Under the lock of rebuilds, so that no master makes Redis whole from the old table meanwhile. Answers how many keys went.
 */
export async function reset(command: OneShot, ledger: Ledger): Promise<number> {
  const { session, search } = command;
  const take = () => command.insist(() => Rebuilding.begin(session, search.leaseMs));
  let lock = await take();
  for (; !lock; lock = await take()) await pause(lockPauseMs);
  try {
    const { keys } = await deleteKeys(command, [session.keys.list('main_sql_Q'), session.keys.lock]);
    await command.insist(() => ledger.recreate(search.definition));
    return keys;
  } finally {
    await lock.end();
  }
}
