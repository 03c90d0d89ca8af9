import type { State } from '../ledger/ledger.js';
import type { RoleSighting } from '../queue/fleet.js';
import type { ListName } from '../queue/keys.js';

/** What is known of a search now, from SQL and Redis. */
export interface Status {
  name: string;
  states: Record<State, number>;
  stable: number;
  unstable: number;
  lists: Record<ListName, number>;
  /** Points leased to workers. */
  leases: number;
  /** Elements in batches that SQL clients and masters hold. */
  batches: number;
  /** Workers that gave a sign of life within a lease. */
  workers: number;
  /** All roles seen lately. */
  roles: RoleSighting[];
  /** Points kept out by maxPoints in this generation. */
  dropped: number;
  /** Elements that were meant for another table, by the key of the list where they were set aside for people. */
  foreign: Record<string, number>;
  /** What Redis lost, if anything: a master mends it. */
  damage: string[];
  killed: boolean;
  done: boolean;
  /** Where the search is, in a sentence. */
  standing: string;
}

export const goesOn = 'the search goes on';

type Seen = Omit<Status, 'standing'>;

/** Where a search is, in one sentence that is true: what waits, and which role is missing that it waits for. */
export function standingOf(seen: Seen, leaseMs: number): string {
  const { states, killed, done } = seen;
  const alive = seen.roles.filter(({ silentMs }) => silentMs <= leaseMs);
  if (done) return killed ? 'the search is over; the kill switch is on' : 'the search is over';
  if (killed) {
    const ending = alive.length === 0 ? 'no role runs' : `${counted(alive.length, 'role')} still to end`;
    return `the kill switch is on, ${ending}; atmos-fleet kill --clear lifts it`;
  }
  const open = states.queue + states.running;
  const settled = states.completed + states.error;
  const owned = ownedIn(seen);
  if (open + settled + owned === 0) return `nothing is pushed yet: atmos-fleet starter pushes the first point`;
  const hasMaster = alive.some(({ role }) => role === 'sql-client-master');
  if (open + owned === 0) {
    const next = hasMaster
      ? 'the sql-client-master checks that none is missing'
      : 'no sql-client-master runs to confirm the end';
    return `all ${counted(settled, 'point')} are settled; ${next}`;
  }
  const missing = missingRoles(seen, leaseMs);
  if (missing.length === 0) return goesOn;
  return `the search ${seen.leases > 0 && seen.workers > 0 ? 'goes on, but' : 'does not go on:'} ${missing.join('; ')}`;
}

/** What is on its way through Redis. */
function ownedIn({ lists, leases, batches }: Seen): number {
  return lists.main_sql_Q + lists.main_Q + reportsIn(lists) + leases + batches;
}

function reportsIn({ complete0_sql_Q, complete1_sql_Q, error_sql_Q }: Seen['lists']): number {
  return complete0_sql_Q + complete1_sql_Q + error_sql_Q;
}

/** The roles without which something waits, each with what waits for it. */
function missingRoles({ states, lists, roles, leases }: Seen, leaseMs: number): string[] {
  const alive = (name: string) => roles.filter(({ role, silentMs }) => role === name && silentMs <= leaseMs);
  const workers = alive('worker');
  const [toRun, toAdmit, toWrite] = [Math.max(lists.main_Q, states.queue), lists.main_sql_Q, reportsIn(lists)];
  const missing: string[] = [];
  if (workers.length === 0) missing.push(`no worker runs${toRun > 0 ? ` (${counted(toRun, 'point')} to run)` : ''}`);
  else if (leases === 0 && workers.every(({ benched }) => benched !== undefined)) {
    missing.push(`every worker has paused itself (${counted(toRun, 'point')} to run)`);
  }
  if (alive('sql-client').length === 0) {
    missing.push(`no sql-client runs${toWrite > 0 ? ` (${counted(toWrite, 'result')} to write)` : ''}`);
  }
  if (alive('sql-client-master').length === 0) {
    missing.push(`no sql-client-master runs${toAdmit > 0 ? ` (${counted(toAdmit, 'proposal')} to admit)` : ''}`);
  }
  return missing;
}

function counted(count: number, thing: string): string {
  return `${count.toLocaleString('en')} ${thing}${count === 1 ? '' : 's'}`;
}
