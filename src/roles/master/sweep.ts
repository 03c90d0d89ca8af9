import type { Ending, Lease } from '../../queue/leases.js';
import { decodeTravel, Malformed } from '../../queue/messages.js';
import { afterLoss } from '../common/blame.js';
import type { Member } from '../common/member.js';

const mostAtOnce = 200;

/** Returns points whose leases expired, quarantines those whose workers keep vanishing, and collects strays of processing_Q. */
export async function sweep(member: Member, intervalMs: number): Promise<void> {
  let expired: Lease[];
  do {
    expired = await member.leases.expired(intervalMs, mostAtOnce);
    if (expired.length > 0) await reclaim(member, expired);
  } while (expired.length === mostAtOnce);
  const { keys } = member.session;
  const scriptKeys = [keys.search, keys.list('processing_Q'), keys.leased, keys.strays];
  const strays = await member.session.script<number>('strays', scriptKeys, []);
  if (strays > 0) member.log.warn(`${strays} elements stood in processing_Q without a lease: they are admitted anew`);
}

async function reclaim(member: Member, expired: readonly Lease[]): Promise<void> {
  const endings = expired.map((lease) => endingOf(member, lease));
  const renewed = await member.leases.reclaim(endings);
  const still = endings.filter(({ token }) => !renewed.includes(token));
  if (renewed.length > 0 && still.length > 0) await member.leases.reclaim(still);
  member.meters?.lostLeases.inc(still.length);
  const workers = [...new Set(still.map(({ token }) => workerOf(token)))];
  if (still.length > 0) member.log.warn({ workers }, `${still.length} leases expired: their points run again`);
}

function endingOf(member: Member, lease: Lease): Ending {
  const { token, element } = lease;
  const { space, losses } = member.search;
  try {
    const { point, facts, byHand } = decodeTravel(element, space);
    if (byHand) return { token, arrival: 'main_sql_Q' };
    return afterLoss(point, facts, lease, { worker: workerOf(token) }, losses);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { token, arrival: 'main_Q:malformed' };
  }
}

function workerOf(token: string): string {
  return token.slice(0, token.lastIndexOf('-'));
}
