import type { Ledger } from '../../ledger/ledger.js';
import { pause } from '../../support/bell.js';
import type { Member } from '../common/member.js';
import { readyLedger } from '../common/table.js';
import { admissionSize, admit } from './admission.js';
import { draining, Keeper } from './keeper.js';

/** Two batches at once: while SQL commits one, the other is read and decoded. */
const lanes = 2;
const lookMs = 500;

/**
 * Lets new points in, and keeps the search whole. Its duties:
 * 1. open the search, and rebuild Redis from SQL when Redis lost something;
 * 2. admit proposals: a row each in SQL, then main_Q, each point once;
 * 3. return the leases of dead workers, and quarantine points whose workers keep vanishing;
 * 4. take over the batches of masters that died;
 * 5. close the search when a pass over SQL finds nothing left to do.
 */
export async function sqlClientMaster(member: Member, ledger: Ledger, options: { rebuild: boolean }): Promise<void> {
  if (!(await member.join())) return;
  await readyLedger(member, ledger);
  const keeper = new Keeper(member, ledger, options.rebuild);
  await keeper.checkUntilOpen();
  member.serves('new points go to SQL and main_Q');
  await Promise.all([keeper.keep(), ...Array.from({ length: lanes }, () => admitAll(member, ledger))]);
}

async function admitAll(member: Member, ledger: Ledger): Promise<void> {
  const { stop } = member;
  while (!stop.quiet.aborted || (await draining(member))) {
    const table = ledger.incarnation;
    const batch = await member.insist(() => member.batches.take('main_sql_Q', admissionSize));
    if (batch) await admit(member, ledger, batch, table);
    else if (stop.quiet.aborted) await pause(lookMs, stop.abort);
    else await member.awaitWork('main_sql_Q');
  }
}
