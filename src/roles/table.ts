import type { Ledger } from '../ledger/ledger.js';
import { UsageError } from '../support/errors.js';
import type { Member } from './member.js';
import type { Search } from './search.js';

/** Waits for the table, and checks that it is of the search that this role is configured for. */
export async function readyLedger(member: Member, ledger: Ledger): Promise<void> {
  const fingerprint = await member.insist(() => ledger.fingerprint(), member.stop.quiet);
  refuseOther(member.search, fingerprint);
}

/** Refuses the table of a search that is defined otherwise. */
export function refuseOther(search: Search, fingerprint: string): void {
  const difference = search.differs(fingerprint);
  if (difference) throw new UsageError(`the table is of another search: ${difference}`);
}
