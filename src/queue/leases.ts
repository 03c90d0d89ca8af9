import { maxBatchBytes } from './batches.js';
import { tableOf } from './generation.js';
import { type Keys, reportLists } from './keys.js';
import type { Session } from './session.js';

/** A point that one worker holds. Whoever ends it must show the token. */
export interface Lease {
  token: string;
  /** The element as it stands in processing_Q. */
  element: string;
  /** The mark of the table that the point is run for, which its report names. */
  table?: string | undefined;
}

/** Where a point goes when its lease ends. */
export type Arrival =
  | 'complete0_sql_Q'
  | 'complete1_sql_Q'
  | 'error_sql_Q'
  | 'main_Q'
  | 'main_sql_Q'
  | 'main_Q:malformed';

const arrivals: readonly Arrival[] = [
  'complete0_sql_Q',
  'complete1_sql_Q',
  'error_sql_Q',
  'main_Q',
  'main_sql_Q',
  'main_Q:malformed',
];

/** The end of one lease. Without an element the point arrives as it was leased. */
export interface Ending {
  token: string;
  arrival: Arrival;
  element?: string;
}

/** A point that a stable one proposes. */
export interface Proposal {
  hash: string;
  element: string;
}

/** Reports that may wait for SQL before leasing pauses. */
const mostReports = 20_000;

/** Leases: what workers hold, for how long, and how it ends. */
export class Leases {
  private number = 0;
  private readonly mostPoints: number;

  constructor(
    private readonly session: Session,
    readonly settings: { leaseMs: number; maxPoints: number | null },
  ) {
    this.mostPoints = settings.maxPoints ?? -1;
  }

  /** Leases up to `most` points; none while nothing is queued, the kill switch is on, or reports pile up. */
  async lease(most: number): Promise<Lease[]> {
    const { keys, owner } = this.session;
    const prefix = `${owner}-`;
    const generation = await this.session.generation();
    const elements = await this.session.script<(string | null)[]>(
      'lease',
      [
        keys.search,
        keys.list('main_Q'),
        keys.list('processing_Q'),
        keys.leases,
        keys.leased,
        keys.list('kill'),
        ...reportLists.slice(0, 3).map((list) => keys.list(list)),
      ],
      [prefix, this.number, most, this.settings.leaseMs, mostReports, maxBatchBytes],
      generation,
    );
    // Only an answer moves the number on: asked again after a lost reply, the script finds these leases by their tokens.
    const first = this.number;
    this.number += elements.length;
    const table = tableOf(generation);
    return elements.flatMap((element, index) =>
      element === null ? [] : { token: `${prefix}${first + index}`, element, table },
    );
  }

  /** Ends leases in a generation, all or none. Answers the stale tokens: where there are any, nothing changed. */
  finish(endings: readonly Ending[], proposals: readonly Proposal[], generation: string): Promise<string[]> {
    return this.end(endings, proposals, false, generation);
  }

  /** Ends leases that have expired, all or none. Answers the tokens that have not. */
  reclaim(endings: readonly Ending[]): Promise<string[]> {
    return this.end(endings, [], true);
  }

  /** Tells SQL that runs began. */
  async announce(news: readonly Lease[]): Promise<void> {
    const { keys } = this.session;
    await this.session.script(
      'announce',
      [keys.search, keys.leased, keys.list('running_sql_Q')],
      news.flatMap(({ token, element }) => [token, element]),
    );
  }

  /** Prolongs leases; answers the tokens that are lost. */
  renew(tokens: readonly string[]): Promise<string[]> {
    const { keys } = this.session;
    return this.session.script('renew', [keys.search, keys.leases], [this.settings.leaseMs, ...tokens]);
  }

  /** Leases that expired, told by whoever sweeps every `intervalMs`. */
  async expired(intervalMs: number, most: number): Promise<Lease[]> {
    const { keys } = this.session;
    const scriptKeys = [keys.search, keys.leases, keys.leased];
    const args = [this.settings.leaseMs, intervalMs, most];
    const generation = await this.session.generation();
    const flat = await this.session.script<string[]>('expired', scriptKeys, args, generation);
    const table = tableOf(generation);
    const found: Lease[] = [];
    for (let i = 0; i < flat.length; i += 2)
      found.push({ token: flat[i] as string, element: flat[i + 1] as string, table });
    return found;
  }

  /** Whether these hashes were met in this generation. */
  async known(hashes: readonly string[]): Promise<boolean[]> {
    const { keys, connection } = this.session;
    return (await connection.ask((redis) => redis.smismember(keys.seen, ...hashes))).map(Boolean);
  }

  /** Proposes points outside a completion: what a pass over SQL found missing. Answers how many were new, how many too many. */
  async propose(proposals: readonly Proposal[]): Promise<{ entered: number; dropped: number }> {
    const { keys } = this.session;
    const scriptKeys = [keys.search, keys.seen, keys.waiting, keys.list('main_sql_Q')];
    const pairs = proposals.flatMap(({ hash, element }) => [hash, element]);
    const [entered, dropped] = await this.session.script<[number, number]>('propose', scriptKeys, [
      this.mostPoints,
      ...pairs,
    ]);
    return { entered, dropped };
  }

  /** Queues points that SQL made live again, in the generation that stood before. */
  async requeue(elements: readonly string[], generation: string): Promise<void> {
    const { keys } = this.session;
    await this.session.script('requeue', [keys.search, keys.list('main_Q')], elements, generation);
  }

  private end(
    endings: readonly Ending[],
    proposals: readonly Proposal[],
    onlyExpired: boolean,
    during?: string,
  ): Promise<string[]> {
    const { keys } = this.session;
    return this.session.script(
      'finish',
      [
        keys.search,
        keys.list('processing_Q'),
        keys.leases,
        keys.leased,
        keys.seen,
        keys.waiting,
        keys.list('main_sql_Q'),
        ...arrivals.map((arrival) => arrivalKey(keys, arrival)),
      ],
      [
        onlyExpired ? 1 : 0,
        this.mostPoints,
        endings.length,
        ...endings.flatMap(({ token, arrival, element }) => [token, arrivals.indexOf(arrival) + 1, element ?? '']),
        ...proposals.flatMap(({ hash, element }) => [hash, element]),
      ],
      during,
    );
  }
}

function arrivalKey(keys: Keys, arrival: Arrival): string {
  return arrival === 'main_Q:malformed' ? keys.malformed('main_Q') : keys.list(arrival);
}
