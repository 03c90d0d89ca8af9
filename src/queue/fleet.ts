import type { Session } from './session.js';

/** How the fleet is asked to stop. `drain`: running points finish first. */
export type Kill = 'now' | 'drain';

/** What a role says of itself with every sign of life. */
export interface RoleFacts {
  role: string;
  host: string;
  pid: number;
  /** Worker slots, how many of them are busy, and the codes of some points that run in them. */
  slots?: number;
  busy?: number;
  running?: string[];
  /** Points that it ended since it started. */
  ended?: number;
  /** Why a worker takes no points now. */
  benched?: string;
  version?: string;
}

export interface RoleSighting extends RoleFacts {
  id: string;
  /** Milliseconds since its last sign of life, on Redis's clock. */
  silentMs: number;
}

/** A role's sign of life; answers what the fleet is told. */
export async function beat(
  session: Session,
  facts: RoleFacts,
  batches: { lifetime: number; held: Iterable<string> },
): Promise<{ kill: Kill | undefined; generation: string; closed: boolean }> {
  const { keys, owner } = session;
  const [kill, generation, closed] = await session.unguarded<[string, string, number]>(
    'beat',
    [keys.search, keys.roles, keys.list('kill'), keys.batches],
    [owner, JSON.stringify(facts), batches.lifetime, ...batches.held],
  );
  return { kill: killOf(kill), generation, closed: closed === 1 };
}

/** The last farewell: the role is gone on purpose. */
export async function farewell(session: Session): Promise<void> {
  await session.connection.ask((redis) => redis.hdel(session.keys.roles, session.owner));
}

/** Every role seen lately; those silent for longer than `forgetMs` are forgotten. */
export async function sightings(session: Session, forgetMs: number): Promise<RoleSighting[]> {
  const { keys, connection } = session;
  const [time, entries] = await Promise.all([
    connection.ask((redis) => redis.time()),
    connection.ask((redis) => redis.hgetall(keys.roles)),
  ]);
  const now = Number(time[0]) * 1000 + Number(time[1]) / 1000;
  const found: RoleSighting[] = [];
  for (const [id, entry] of Object.entries(entries)) {
    const end = entry.indexOf(';');
    // A sign of life from the future is one of before Redis's clock was set back.
    const silentMs = Math.abs(Math.round(now - Number(entry.slice(0, end))));
    if (silentMs > forgetMs) await connection.ask((redis) => redis.hdel(keys.roles, id));
    else found.push({ id, silentMs, ...(JSON.parse(entry.slice(end + 1)) as RoleFacts) });
  }
  return found;
}

/** Reads the kill switch. Anything pushed there by hand means: stop now. */
export async function readKill(session: Session): Promise<Kill | undefined> {
  const first = await session.connection.ask((redis) => redis.lindex(session.keys.list('kill'), 0));
  return killOf(first ?? '');
}

/** Pulls the switch; a drain that is under way becomes a stop when `now` follows. */
export async function pullKill(session: Session, kill: Kill): Promise<void> {
  await session.connection.ask((redis) => redis.lpush(session.keys.list('kill'), kill));
}

export async function clearKill(session: Session): Promise<void> {
  await session.connection.ask((redis) => redis.del(session.keys.list('kill')));
}

function killOf(element: string): Kill | undefined {
  if (element === '') return undefined;
  return element === 'drain' ? 'drain' : 'now';
}
