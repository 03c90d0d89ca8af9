import { sourceOf } from './batches.js';
import { type ListName, lists, reportLists } from './keys.js';
import type { Session } from './session.js';

/** One consistent look at everything that owns points. */
export interface Look {
  /** Undefined: no master has opened the search, or a rebuild goes on. */
  generation: string | undefined;
  /** The definition of the search, as JSON. */
  definition: string | undefined;
  lists: Record<ListName, number>;
  leases: number;
  /** Elements in taken batches, by the list they came from. */
  batches: Record<string, number>;
  /** Points proposed and not yet admitted. */
  waiting: number;
  /** Points met in this generation. */
  seen: number;
  /** Points that completed or failed in this generation. */
  ended: number;
  /** Proposals that maxPoints kept out. */
  dropped: number;
  /** Rises with every move of a point. */
  moves: string;
  /** Nothing in any list, lease or batch, and no rebuild goes on. */
  empty: boolean;
  /** A pass over SQL found nothing to add, and nothing moved since. */
  closed: boolean;
  /** What disagrees: something in Redis was lost. Empty: all is conserved. */
  damage: string[];
  /** Redis's clock, ms. */
  now: number;
}

type Raw = [string[], string[], ...number[]];

export async function look(session: Session): Promise<Look> {
  const { keys } = session;
  const [fields, taken, ...counts] = await session.unguarded<Raw>(
    'look',
    [
      keys.search,
      keys.leases,
      keys.leased,
      keys.batches,
      keys.taken,
      keys.seen,
      keys.waiting,
      keys.strays,
      keys.aside,
      keys.lock,
      ...lists.map((list) => keys.list(list)),
    ],
    [],
  );
  const [leases = 0, leased = 0, seen = 0, waiting = 0, strays = 0, now = 0, registered = 0, ...lengths] = counts;
  const search = pairs(fields);
  const batches = sizesBySource(pairs(taken));
  const length = Object.fromEntries(lists.map((list, index) => [list, lengths[index] ?? 0])) as Record<
    ListName,
    number
  >;
  const owners = lists.filter((list) => list !== 'kill').reduce((total, list) => total + length[list], 0);
  const empty = owners + leases + registered + waiting + strays === 0;
  const moves = search.get('moves') ?? '0';
  const generation = search.get('generation');
  const count = (name: string) => Number(search.get(name) ?? 0);
  const batched = (...sources: string[]) => sources.reduce((total, source) => total + (batches[source] ?? 0), 0);

  const damage: string[] = search.has('damage') ? [search.get('damage') as string] : [];
  const atLeast = (what: string, found: number, wanted: number) => {
    if (found < wanted) damage.push(`${what}: ${found} found, ${wanted} wanted`);
  };
  if (generation !== undefined) {
    atLeast('points in main_Q and leases', length.main_Q + leases, count('admitted') - count('ended'));
    atLeast('points in processing_Q', length.processing_Q, leases);
    atLeast('leased points', Math.min(leases, leased), Math.max(leases, leased));
    atLeast('points seen', seen, count('known'));
    atLeast('points waiting', waiting, count('proposed'));
    atLeast('proposals', length.main_sql_Q + batched('main_sql_Q'), waiting);
    atLeast('batches', registered, taken.length / 2);
    const reports = length.complete0_sql_Q + length.complete1_sql_Q + length.error_sql_Q;
    const inBatches = batched('complete0_sql_Q', 'complete1_sql_Q', 'error_sql_Q');
    atLeast('reports', reports + inBatches, count('ended') - count('settled'));
  }
  return {
    generation,
    definition: search.get('definition'),
    lists: length,
    leases,
    batches,
    waiting,
    seen,
    ended: count('ended'),
    dropped: count('dropped'),
    moves,
    empty,
    closed: generation !== undefined && empty && search.get('closed') === moves,
    damage,
    now,
  };
}

function pairs(flat: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (let i = 0; i < flat.length; i += 2) found.set(flat[i] as string, flat[i + 1] as string);
  return found;
}

function sizesBySource(taken: Map<string, string>): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const [id, size] of taken) sizes[sourceOf(id)] = (sizes[sourceOf(id)] ?? 0) + Number(size);
  return sizes;
}

/** How many elements, by their list, were set aside because they were meant for another table. */
export async function foreignElements({ keys, connection }: Session): Promise<Record<string, number>> {
  const found = await Promise.all(
    [...reportLists, 'main_sql_Q' as const].map(async (list) => {
      const key = keys.foreign(list);
      return [key, await connection.ask((redis) => redis.llen(key))] as const;
    }),
  );
  return Object.fromEntries(found.filter(([, length]) => length > 0));
}

/** Marks the search as closed unless anything moved since that look. */
export async function close(session: Session, moves: string): Promise<boolean> {
  const { keys } = session;
  const owning = lists.filter((list) => list !== 'kill').map((list) => keys.list(list));
  const scriptKeys = [keys.search, ...owning, keys.leases, keys.batches, keys.waiting, keys.strays];
  return (await session.script<number>('close', scriptKeys, [moves])) === 1;
}
