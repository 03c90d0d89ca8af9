import { type Ledger, Replaced } from '../ledger/ledger.js';
import type { Batch } from '../queue/batches.js';
import { look } from '../queue/look.js';
import { Unavailable, UsageError } from '../support/errors.js';
import type { Member } from './member.js';
import type { Search } from './search.js';

/** Waits for the table, and checks that it is of the search that this role is configured for. */
export async function readyLedger(member: Member, ledger: Ledger): Promise<void> {
  const fingerprint = await member.insist(() => ledger.open(), member.stop.quiet);
  refuseOther(member.search, fingerprint);
}

/** Waits until a master has opened the search, and from this very table: what workers report to another is not for it. */
export async function openedFrom(member: Member, ledger: Ledger): Promise<void> {
  await member.opened();
  await member.insist(async () => {
    const [{ generation }, recorded] = await Promise.all([look(member.session), ledger.generation()]);
    if (generation !== recorded)
      throw new Unavailable(
        'the search on this Redis was not opened from this table: is database.url that of the sql-client-master?',
      );
  }, member.stop.quiet);
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
    await readyLedger(member, ledger);
    return false;
  }
}

/** Refuses the table of a search that is defined otherwise. */
export function refuseOther(search: Search, fingerprint: string): void {
  const difference = search.differs(fingerprint);
  if (difference) throw new UsageError(`the table is of another search: ${difference}`);
}
