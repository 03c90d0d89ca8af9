import type { Ledger } from '../ledger/ledger.js';
import { type RoleSighting, sightings } from '../queue/fleet.js';
import { foreignElements, look } from '../queue/look.js';
import type { OneShot } from '../roles/common/oneShot.js';
import { refuseOther } from '../roles/common/table.js';
import { type Status, standingOf } from './standing.js';

export type { Status } from './standing.js';

/** Roles silent for longer are forgotten; those silent for longer than a lease count as gone. */
const forgetMs = 600_000;

export async function status(command: OneShot, ledger: Ledger): Promise<Status> {
  const { session, search } = command;
  refuseOther(search, await command.insist(() => ledger.open()));
  const [counts, seen, roles, foreign] = await Promise.all([
    command.insist(() => ledger.counts()),
    command.insist(() => look(session)),
    command.insist(() => sightings(session, forgetMs)),
    command.insist(() => foreignElements(session)),
  ]);
  const { states, stable, unstable } = counts;
  const rows = states.queue + states.running + states.error + states.completed;
  const alive = ({ role, silentMs }: RoleSighting) => role === 'worker' && silentMs <= search.leaseMs;
  const now = {
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
    foreign,
    damage: seen.damage,
    killed: seen.lists.kill > 0,
    done: rows > 0 && states.queue + states.running === 0 && seen.closed,
  };
  return { ...now, standing: standingOf(now, search.leaseMs) };
}
