import type { Ledger } from '../../ledger/ledger.js';
import { look } from '../../queue/look.js';
import { pause } from '../../support/bell.js';
import type { Member } from '../common/member.js';
import { openedFrom, readyLedger } from '../common/table.js';
import { nextReports, settle } from './settling.js';

const batchSize = 500;
/** Two batches at once: while SQL commits one, the other is read and decoded. */
const lanes = 2;
const shortestPauseMs = 10;
const longestPauseMs = 400;

/**
 * Mirrors what workers report into SQL. Its duties:
 * 1. take batches of reports off their lists, each onto a list of its own;
 * 2. write each batch in one statement, then end it;
 * 3. take over the batches of clients that died.
 */
export async function sqlClient(member: Member, ledger: Ledger): Promise<void> {
  if (!(await member.join())) return;
  await readyLedger(member, ledger);
  member.serves('reports go to SQL');
  await Promise.all(Array.from({ length: lanes }, () => lane(member, ledger)));
}

async function lane(member: Member, ledger: Ledger): Promise<void> {
  const { stop } = member;
  let wait = shortestPauseMs;
  let generation: string | undefined;
  while (!stop.quiet.aborted || (await draining(member))) {
    if (member.generation !== generation) {
      if (!(await openedFrom(member, ledger))) return;
      generation = member.generation;
    }
    const table = ledger.incarnation;
    const batches = await member.insist(() => nextReports(member, batchSize));
    for (const batch of batches) await settle(member, ledger, batch, table);
    wait = batches.length > 0 ? shortestPauseMs : Math.min(wait * 2, longestPauseMs);
    if (batches.length === 0) await pause(wait, stop.drains ? stop.abort : stop.quiet);
  }
}

/** In a drain the reports of runs that still finish are waited for. */
async function draining(member: Member): Promise<boolean> {
  const { stop, session } = member;
  if (!stop.drains || stop.abort.aborted) return false;
  const { leases, lists, batches } = await member.insist(() => look(session));
  const reports = lists.complete0_sql_Q + lists.complete1_sql_Q + lists.error_sql_Q + lists.running_sql_Q;
  return (
    leases + reports > 0 ||
    Object.keys(batches).some((source) => source.startsWith('complete') || source.startsWith('error'))
  );
}
