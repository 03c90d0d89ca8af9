import type { TestSearch } from './search.js';

/** Everything that owns points, read in one transaction. */
interface Snapshot {
  generation: string | null;
  moves: string | null;
  mainQ: string[];
  processing: string[];
  leased: Record<string, string>;
  leases: string[];
  /** Elsewhere: in proposal and report lists, and in batches. */
  others: string[];
}

/** Looks at a search again and again while it runs, and says which invariants it breaks. */
export class Invariants {
  /** Looks that could be held against SQL too: nothing moved while both were read. */
  conserved = 0;
  looks = 0;
  readonly broken: string[] = [];
  private settled = new Map<string, string>();

  constructor(
    private readonly search: TestSearch,
    /** Nothing that Redis held is lost on purpose: what it holds and what SQL tells must agree at every look. */
    private readonly strict: boolean,
  ) {}

  /** One look. Services that are away are no offence. */
  async look(): Promise<void> {
    const before = await this.snapshot().catch(() => undefined);
    if (before?.generation === undefined) return;
    const rows = await this.search
      .query<{ code: string; state: string; stable: number | null }>(
        `select code, state, stable from ${this.search.table}`,
      )
      .catch(() => undefined);
    if (!rows) return;
    this.looks++;
    this.checkSettled(rows);
    if (before.generation === null || !this.strict) return;
    this.checkRedis(before);
    const after = await this.snapshot().catch(() => undefined);
    if (!after || after.generation !== before.generation || after.moves !== before.moves) return;
    this.conserved++;
    this.checkConservation(before, rows);
  }

  /** 2. Once: a settled row stays as it is, and stays. */
  private checkSettled(rows: { code: string; state: string; stable: number | null }[]): void {
    const now = new Map(rows.map(({ code, state, stable }) => [code, `${state} ${stable}`]));
    if (now.size !== rows.length) this.broken.push('two rows have one code');
    for (const [code, was] of this.settled) {
      if (now.get(code) !== was) this.broken.push(`${code} was ${was}, became ${now.get(code)}`);
    }
    for (const [code, is] of now) if (/^(completed|error)/.test(is)) this.settled.set(code, is);
  }

  /** 3. Owned: a point stands in one place; what is leased stands in processing_Q, and nothing else does. */
  private checkRedis({ mainQ, processing, leased, leases }: Snapshot): void {
    const elements = Object.values(leased);
    if (elements.toSorted().join('\n') !== processing.toSorted().join('\n')) {
      this.broken.push(`processing_Q has ${processing.length} elements, ${elements.length} are leased`);
    }
    if (leases.toSorted().join() !== Object.keys(leased).toSorted().join()) {
      this.broken.push('leases and leased elements are of different tokens');
    }
    const owned = [...mainQ, ...elements].map(codeOf);
    if (new Set(owned).size !== owned.length) this.broken.push('a point is queued or leased twice');
  }

  /** 6. Conservation: each live row is somewhere in Redis, and what is queued or leased is live. */
  private checkConservation({ mainQ, leased, others }: Snapshot, rows: { code: string; state: string }[]): void {
    const live = new Set(rows.filter(({ state }) => state === 'queue' || state === 'running').map(({ code }) => code));
    const queued = [...mainQ, ...Object.values(leased)].map(codeOf);
    const held = new Set([...queued, ...others.map(codeOf)]);
    for (const code of live) if (!held.has(code)) this.broken.push(`${code} is live, but nobody has it`);
    for (const code of queued) if (!live.has(code)) this.broken.push(`${code} is queued or leased, but not live`);
  }

  private async snapshot(): Promise<Snapshot> {
    const { redis, key } = this.search;
    if (redis.status !== 'ready') throw new Error('away');
    const batches = await redis.zrange(key('batches'), 0, '-1');
    const lists = ['main_sql_Q', 'complete0_sql_Q', 'complete1_sql_Q', 'error_sql_Q', 'processing_Q:strays'];
    const transaction = redis
      .multi()
      .hmget(key('search'), 'generation', 'moves')
      .lrange(key('main_Q'), 0, -1)
      .lrange(key('processing_Q'), 0, -1)
      .hgetall(key('leased'))
      .zrange(key('leases'), 0, '-1')
      .zrange(key('batches'), 0, '-1');
    for (const name of [...lists, ...batches.map((id) => `batch:${id}`)]) transaction.lrange(key(name), 0, -1);
    const replies = (await transaction.exec())?.map(([error, reply]) => {
      if (error) throw error;
      return reply;
    });
    if (!replies) throw new Error('no reply');
    const [fields, mainQ, processing, leased, leases, batchesThen, ...others] = replies;
    if (String(batchesThen) !== String(batches)) return this.snapshot();
    const [generation, moves] = fields as [string | null, string | null];
    return {
      generation,
      moves,
      mainQ: mainQ as string[],
      processing: processing as string[],
      leased: leased as Record<string, string>,
      leases: leases as string[],
      others: (others as string[][]).flat(),
    };
  }
}

function codeOf(element: string): string {
  return element.split(';', 1)[0] as string;
}
