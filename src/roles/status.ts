import type { Ledger, State } from '../ledger/ledger.js';
import { type RoleSighting, sightings } from '../queue/fleet.js';
import type { ListName } from '../queue/keys.js';
import { look } from '../queue/look.js';
import type { OneShot } from './oneShot.js';
import { refuseOther } from './table.js';

/** Roles silent for longer are forgotten; those silent for longer than a lease count as gone. */
const forgetMs = 600_000;

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
  /** What Redis lost, if anything: a master mends it. */
  damage: string[];
  killed: boolean;
  done: boolean;
}

export async function status(command: OneShot, ledger: Ledger): Promise<Status> {
  const { session, search } = command;
  refuseOther(search, await command.insist(() => ledger.open()));
  const [counts, seen, roles] = await Promise.all([
    command.insist(() => ledger.counts()),
    command.insist(() => look(session)),
    command.insist(() => sightings(session, forgetMs)),
  ]);
  const { states, stable, unstable } = counts;
  const rows = states.queue + states.running + states.error + states.completed;
  const alive = ({ role, silentMs }: RoleSighting) => role === 'worker' && silentMs <= search.leaseMs;
  return {
    name: search.name,
    states,
    stable,
    unstable,
    lists: seen.lists,
    leases: seen.leases,
    batches: Object.values(seen.batches).reduce((total, size) => total + size, 0),
    workers: roles.filter(alive).length,
    roles,
    dropped: seen.dropped,
    damage: seen.damage,
    killed: seen.lists.kill > 0,
    done: rows > 0 && states.queue + states.running === 0 && seen.closed,
  };
}
