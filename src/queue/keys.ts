/** The lists that points travel through; outside programs know them by these names. Producers push left, consumers pop right. */
export const lists = [
  'main_sql_Q',
  'main_Q',
  'processing_Q',
  'running_sql_Q',
  'error_sql_Q',
  'complete0_sql_Q',
  'complete1_sql_Q',
  'kill',
] as const;

export type ListName = (typeof lists)[number];

/** The lists that SQL clients mirror into SQL, the most telling first. */
export const reportLists = ['complete0_sql_Q', 'complete1_sql_Q', 'error_sql_Q', 'running_sql_Q'] as const;

export type ReportList = (typeof reportLists)[number];

/** Where masters take proposals from: the list, and what was found in processing_Q without a lease. */
export const proposalLists = ['main_sql_Q', 'processing_Q:strays'] as const;

export type SourceList = ReportList | (typeof proposalLists)[number];

/** Every key of one search. The braces keep them in one slot of a Redis Cluster. */
export class Keys {
  readonly prefix: string;

  constructor(name: string) {
    this.prefix = `{${name}}:`;
  }

  list(name: ListName): string {
    return this.prefix + name;
  }

  /** Elements that do not decode, kept for people. */
  malformed(source: SourceList | 'main_Q'): string {
    return `${this.prefix}${source.replace(':strays', '')}:malformed`;
  }

  /** Elements that were meant for another table, kept for people. */
  foreign(source: SourceList): string {
    return `${this.prefix}${source.replace(':strays', '')}:foreign`;
  }

  /** Elements of processing_Q that no lease stands for. */
  get strays(): string {
    return `${this.prefix}processing_Q:strays`;
  }

  /** Hash: generation, definition, and counts that must agree with the lists. */
  get search(): string {
    return `${this.prefix}search`;
  }

  /** Sorted set: lease token → expiry on Redis's clock, ms. */
  get leases(): string {
    return `${this.prefix}leases`;
  }

  /** Hash: lease token → the element as it stands in processing_Q. */
  get leased(): string {
    return `${this.prefix}leased`;
  }

  /** Set: hashes proposed or admitted in this generation. */
  get seen(): string {
    return `${this.prefix}seen`;
  }

  /** Set: hashes proposed and not yet admitted. */
  get waiting(): string {
    return `${this.prefix}waiting`;
  }

  /** Sorted set: batch id → when it may be taken over, on Redis's clock, ms. */
  get batches(): string {
    return `${this.prefix}batches`;
  }

  /** Hash: batch id → how many elements it holds. */
  get taken(): string {
    return `${this.prefix}taken`;
  }

  /** List: one taken batch. Its id names its source, its owner and a number. */
  batch(id: string): string {
    return `${this.prefix}batch:${id}`;
  }

  /** Hash: role id → time of its last sign of life; what it says of itself. */
  get roles(): string {
    return `${this.prefix}roles`;
  }

  /** List: the recent past of the counts, newest first, for rates. */
  get history(): string {
    return `${this.prefix}history`;
  }

  /** Who rebuilds or closes the search now. */
  get lock(): string {
    return `${this.prefix}lock`;
  }

  /** Proposals set aside while a rebuild goes on. */
  get aside(): string {
    return `${this.prefix}rebuild:aside`;
  }

  /** A key's successor, made by a rebuild. */
  rebuilt(part: 'seen' | 'waiting' | 'main_Q' | 'main_sql_Q'): string {
    return `${this.prefix}rebuild:${part}`;
  }
}
