import { type Ledger, Replaced } from '../../ledger/ledger.js';
import { writersRights } from '../../ledger/rights.js';
import type { Batch } from '../../queue/batches.js';
import { look } from '../../queue/look.js';
import { pause } from '../../support/bell.js';
import { Unavailable, UsageError } from '../../support/errors.js';
import { Stopped } from '../../support/stop.js';
import type { Member } from './member.js';
import type { Search } from './search.js';

const replacedPauseMs = 300;

/** Waits for the table, and checks that it is of the search that this role is configured for, and that it may be written. */
export async function readyLedger(member: Member, ledger: Ledger): Promise<void> {
  const fingerprint = await member.insist(() => ledger.open(), member.stop.quiet);
  refuseOther(member.search, fingerprint);
  await member.insist(() => ledger.rights.demand(writersRights), member.stop.quiet);
}

/**
 * Waits while the search on this Redis is open, but from another table: what workers report to that is not for this one.
 * False: told to stop before.
 */
export async function openedFrom(member: Member, ledger: Ledger): Promise<boolean> {
  const { stop } = member;
  const check = async () => {
    // In this order: a master writes a new generation into its table before it stands in Redis.
    const { generation } = await look(member.session);
    if (generation === undefined || generation === (await ledger.generation())) return true;
    throw new Unavailable(
      'the search on this Redis was not opened from this table: is database.url that of the sql-client-master?',
    );
  };
  return member.insist(check, stop.drains ? stop.abort : stop.quiet).catch((error: unknown) => {
    if (error instanceof Stopped) return false;
    throw error;
  });
}

/**
 * Writes what a batch tells. False: the table that stood when it was taken was dropped and made anew. Then the batch is let go
 * of: a reset took it off Redis, or it is of the new search and found again by the next look.
 */
export async function written(member: Member, ledger: Ledger, batch: Batch, write: () => Promise<void>) {
  try {
    await member.insist(write);
    return true;
  } catch (error) {
    if (!(error instanceof Replaced)) throw error;
    member.log.warn(`${error.message}: what was under way for the old one is dropped`);
    member.batches.forget(batch);
    await pause(replacedPauseMs, member.stop.quiet);
    await readyLedger(member, ledger);
    return false;
  }
}

/** Refuses the table of a search that is defined otherwise. */
export function refuseOther(search: Search, fingerprint: string): void {
  const difference = search.differs(fingerprint);
  if (difference) throw new UsageError(`the table is of another search: ${difference}`);
}
