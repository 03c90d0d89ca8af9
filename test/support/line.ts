import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import type { Ledger, NewRow, SettledRow } from '../../src/ledger/ledger.js';
import type { Connection } from '../../src/queue/connection.js';
import type { Keys } from '../../src/queue/keys.js';
import type { Proposal } from '../../src/queue/leases.js';
import { type Look, look } from '../../src/queue/look.js';
import { encode, type Travel } from '../../src/queue/messages.js';
import type { Session } from '../../src/queue/session.js';
import { Member } from '../../src/roles/common/member.js';
import type { Search } from '../../src/roles/common/search.js';
import { rebuild } from '../../src/roles/master/rebuild.js';
import { type Point, Space } from '../../src/space/space.js';
import { Stop } from '../../src/support/stop.js';
import { temporaryFolder } from './folder.js';
import type { RedisServer } from './redis.js';
import { atEnd } from './scope.js';
import { filledLedger } from './searched.js';

/** A search along a line: the whole numbers from 0 to 9, from 4 on; each stable one proposes those beside it. */
export const line = new Space({
  parameters: [{ name: 'x', start: 4, step: [{ below: 1, by: 1 }], min: 0, max: 9 }],
  mode: 'sides',
  reach: 1,
});

export const at = (x: number): Point => line.pointWith({ x });
export const travelling = (x: number, facts: Partial<Travel> = {}): string =>
  encode(at(x).code, { depth: 0, ...facts });
export const proposing = (...xs: number[]): Proposal[] =>
  xs.map((x) => ({ hash: at(x).hash, element: travelling(x, { depth: 1, previous_hash: at(4).hash }) }));
/** The places that elements name. */
export const places = (elements: readonly string[]): number[] => elements.map(Number.parseFloat);

/** A row that waits for its run; a root where no parent is given. */
export function queuedRow(x: number, parent?: number): NewRow {
  const { hash, code } = at(x);
  return {
    hash,
    code,
    previous_hash: parent === undefined ? null : at(parent).hash,
    depth: parent === undefined ? 0 : 1,
  };
}

let searches = 0;

export function lineSearch(server: RedisServer, more: Partial<Search> = {}): Search {
  const name = `line-${++searches}`;
  const same = { definition: '{}', differs: () => null };
  return { name, space: line, maxPoints: null, losses: 3, leaseMs: 30_000, redisUrl: server.url, ...same, ...more };
}

/** A member of the fleet in the test's own process; it leaves when the test ends. */
export function memberOf(search: Search): Member & { said: string[] } {
  const said: string[] = [];
  const log = pino({}, { write: (text) => void said.push(JSON.parse(text).msg) });
  const member = new Member('test', search, log, new Stop());
  atEnd(() => member.leave());
  return Object.assign(member, { said });
}

/** A search that a master opened, with the parts that its roles work with. */
export interface Opened {
  search: Search;
  member: ReturnType<typeof memberOf>;
  ledger: Ledger;
  databaseUrl: string;
  session: Session;
  keys: Keys;
  redis: Redis;
}

/** Opens a search of that name of its own on a Redis, with these rows in a SQLite file. */
export async function openLine(
  server: RedisServer,
  { rows = [], ...more }: Partial<Search> & { rows?: readonly SettledRow[] } = {},
): Promise<Opened> {
  const search = lineSearch(server, more);
  const member = memberOf(search);
  const databaseUrl = `sqlite:${join(temporaryFolder(), 'ledger.db')}`;
  const ledger = await filledLedger(databaseUrl, line, rows);
  await rebuild(member, ledger, 'a new search', undefined);
  const { session } = member;
  return { search, member, ledger, databaseUrl, session, keys: session.keys, redis: session.connection.redis };
}

/** Makes its Redis whole, as a master does that finds it wanting; false: another one is at it. */
export async function rebuildLine({ member, ledger, session }: Opened): Promise<boolean> {
  const { generation } = await look(session);
  return rebuild(member, ledger, 'a test', generation);
}

/** Puts points into main_Q. */
export async function queue({ member, session }: Opened, ...xs: number[]): Promise<void> {
  const elements = xs.map((x) => travelling(x));
  await member.leases.requeue(elements, await session.generation());
}

/** All that a look shows, but the time of day. */
export async function seenIn(session: Session): Promise<Omit<Look, 'now'>> {
  const { now: _, ...seen } = await look(session);
  return seen;
}

/** The next script takes effect, but its caller is told that the connection broke. */
export function loseNextReply({ redis }: Connection): void {
  const { call } = redis;
  redis.call = new Proxy(call, {
    async apply(call, self, args) {
      await Reflect.apply(call, self, args);
      redis.call = call;
      throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
    },
  });
}
