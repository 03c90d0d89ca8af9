import { Unavailable } from '../support/errors.js';
import { maxBatchBytes, sourceOf } from './batches.js';
import { proposalLists, type SourceList } from './keys.js';
import type { Proposal } from './leases.js';
import type { Session } from './session.js';

/** A master that dies in a rebuild holds others up for a lease, for this long at least, ms. */
const shortestLockMs = 2000;
const page = 1000;

/**
 * The Redis side of a rebuild: suspends the search, takes up what waits there, fills successors of the queue and the seen
 * set, and publishes them under a new generation. One at a time: a lock with a token, prolonged while it goes on.
 */
export class Rebuilding {
  private constructor(
    private readonly session: Session,
    private readonly token: string,
    private readonly prolonging: NodeJS.Timeout,
  ) {}

  /** Takes the lock; undefined when another holds it. */
  static async begin(session: Session, leaseMs: number): Promise<Rebuilding | undefined> {
    const { connection, keys, owner } = session;
    const lockMs = Math.max(leaseMs, shortestLockMs);
    const token = `${owner}/${Date.now()}`;
    const taken = await connection.ask((redis) => redis.set(keys.lock, token, 'PX', lockMs, 'NX'));
    if (taken !== 'OK') {
      // Set back, Redis's clock would let the lock of a dead master live longer.
      await connection.ask(async (redis) => (await redis.pttl(keys.lock)) > lockMs && redis.pexpire(keys.lock, lockMs));
      return undefined;
    }
    // A failure to prolong shows at the next step: each checks the token.
    const prolong = () =>
      connection.ask(async (redis) => (await redis.get(keys.lock)) === token && redis.pexpire(keys.lock, lockMs));
    const prolonging = setInterval(() => prolong().catch(() => undefined), lockMs / 3);
    return new Rebuilding(session, token, prolonging);
  }

  /** The generation that stands, before it is suspended. */
  async standing(): Promise<string | undefined> {
    const { keys, connection } = this.session;
    return (await connection.ask((redis) => redis.hget(keys.search, 'generation'))) ?? undefined;
  }

  /** No generation stands from here on; what waits to be admitted or run is set aside. */
  async suspend(): Promise<void> {
    const { keys, connection } = this.session;
    const parts = ['seen', 'waiting', 'main_Q', 'main_sql_Q'] as const;
    const setAside = async (lists: readonly string[], batches: readonly string[]) => {
      const scriptKeys = [keys.search, keys.lock, keys.aside, keys.batches, keys.taken, ...lists];
      const cleared = parts.map((part) => keys.rebuilt(part));
      const args = [this.token, lists.length, ...batches];
      this.held(await this.session.unguarded<number>('suspend', [...scriptKeys, ...cleared], args));
    };
    const waiting = [keys.list('main_sql_Q'), keys.strays, keys.list('processing_Q'), keys.list('main_Q')];
    await setAside(waiting, []);
    // Only now, as masters take no more batches while no generation stands.
    const ids = await connection.ask((redis) => redis.zrange(keys.batches, 0, '-1'));
    const proposals = ids.filter((id) => (proposalLists as readonly SourceList[]).includes(sourceOf(id)));
    await setAside(
      proposals.map((id) => keys.batch(id)),
      proposals,
    );
  }

  /** Every standing lease: token → element. */
  leased(): Promise<Record<string, string>> {
    return this.session.connection.ask((redis) => redis.hgetall(this.session.keys.leased));
  }

  markSeen(hashes: readonly string[]): Promise<void> {
    return this.fill('seen', 'SADD', hashes);
  }

  /** Whether these hashes are marked. */
  async known(hashes: readonly string[]): Promise<boolean[]> {
    const { keys, connection } = this.session;
    return (await connection.ask((redis) => redis.smismember(keys.rebuilt('seen'), ...hashes))).map(Boolean);
  }

  enqueue(elements: readonly string[]): Promise<void> {
    return this.fill('main_Q', 'LPUSH', elements);
  }

  /** What was set aside when the search was suspended, oldest first. */
  async *aside(): AsyncGenerator<string[]> {
    for (let read = 0; ; ) {
      const args = [read, page, maxBatchBytes];
      const elements = await this.session.unguarded<string[]>('read', [this.session.keys.aside], args);
      if (elements.length === 0) return;
      yield elements;
      read += elements.length;
    }
  }

  /** Keeps roots that were meant for another table for people. */
  keepForeign(elements: readonly string[]): Promise<void> {
    return this.add(this.session.keys.foreign('main_sql_Q'), 'LPUSH', elements);
  }

  /** Keeps an element that does not decode for the admission to report. */
  returnRaw(elements: readonly string[]): Promise<void> {
    return this.fill('main_sql_Q', 'LPUSH', elements);
  }

  /** Proposes points into the rebuilt search; answers how many were new. */
  async propose(proposals: readonly Proposal[], maxPoints: number | null): Promise<number> {
    if (proposals.length === 0) return 0;
    const { keys } = this.session;
    const pairs = proposals.flatMap(({ hash, element }) => [hash, element]);
    const [entered] = await this.session.unguarded<[number, number]>(
      'propose',
      [keys.search, keys.rebuilt('seen'), keys.rebuilt('waiting'), keys.rebuilt('main_sql_Q'), keys.lock],
      [this.token, maxPoints ?? -1, ...pairs],
    );
    this.held(entered < 0 ? 0 : 1);
    return entered;
  }

  /** Makes the rebuilt search the standing one. */
  async publish(generation: string, definition: string, leaseMs: number, forget: readonly string[]): Promise<void> {
    const { keys } = this.session;
    this.held(
      await this.session.unguarded<number>(
        'publish',
        [
          keys.search,
          keys.lock,
          keys.aside,
          keys.list('main_Q'),
          keys.list('main_sql_Q'),
          keys.seen,
          keys.waiting,
          keys.list('processing_Q'),
          keys.leases,
          keys.leased,
          keys.rebuilt('main_Q'),
          keys.rebuilt('main_sql_Q'),
          keys.rebuilt('seen'),
          keys.rebuilt('waiting'),
        ],
        [this.token, generation, definition, leaseMs, ...forget],
      ),
    );
  }

  /** Gives the lock back, whatever became of the rebuild. */
  async end(): Promise<void> {
    clearInterval(this.prolonging);
    const { keys, connection } = this.session;
    await connection.ask(async (redis) => {
      if ((await redis.get(keys.lock)) === this.token) await redis.del(keys.lock);
    });
  }

  private fill(part: 'seen' | 'main_Q' | 'main_sql_Q', how: 'SADD' | 'LPUSH', values: readonly string[]) {
    return this.add(this.session.keys.rebuilt(part), how, values);
  }

  private async add(key: string, how: 'SADD' | 'LPUSH', values: readonly string[]): Promise<void> {
    if (values.length === 0) return;
    const { keys } = this.session;
    this.held(await this.session.unguarded<number>('fill', [keys.lock, key], [this.token, how, ...values]));
  }

  private held(answer: number): void {
    if (answer !== 1) throw new Unavailable('another master rebuilds the search');
  }
}
