import { setImmediate as breathe } from 'node:timers/promises';
import type { Reader } from '../ledger/reader.js';
import { pause } from '../support/bell.js';
import { Unavailable } from '../support/errors.js';
import type { Logger } from '../support/logger.js';
import type { Freshness } from './api.js';
import type { Snapshot } from './snapshot.js';

const pageRows = 4000;
const shortestPauseMs = 500;
/** Rows are stale when no pass ended for so long, or for several times what passes take. */
const staleMs = 10_000;
const stalePasses = 3;
/** The database spends at most a fifth of its time on a dashboard. */
const restPerWork = 4;

/**
 * Keeps a snapshot like the table: passes over the rows' marks in the order of their hashes, and reads those that changed. It
 * needs no clock and no index, and misses nothing, however late a row was written.
 */
export class Follower {
  snapshot: Snapshot;
  /** Every row was read at least once. */
  whole = false;
  /** What keeps it from reading. */
  trouble: string | undefined;
  /** When the last pass that ended began: every row was read since. */
  private readSince: number | undefined;
  private lastPassMs = 0;

  constructor(
    private readonly reader: Reader,
    private readonly fresh: () => Snapshot,
    /** Throws where the table is not there, or of another search. */
    private readonly check: () => Promise<void>,
    private readonly log: Logger,
  ) {
    this.snapshot = fresh();
  }

  get freshness(): Freshness {
    if (this.readSince === undefined) return { ageMs: null, stale: this.trouble !== undefined };
    const ageMs = Math.round(performance.now() - this.readSince);
    const lateMs = Math.max(staleMs, stalePasses * (1 + restPerWork) * this.lastPassMs);
    return { ageMs, stale: this.trouble !== undefined || ageMs > lateMs };
  }

  /**
   * Reads on until the signal. `settled` tells what stays the same as long as no row changes; undefined: rows change. While it
   * is the same, the database is asked no more than whether it is there.
   */
  async follow(settled: () => string | undefined, signal: AbortSignal): Promise<void> {
    let last: string | undefined;
    while (!signal.aborted) {
      const begun = performance.now();
      const before = settled();
      const unchanged = before !== undefined && before === last;
      const isRead = await this.attempt(() => (unchanged ? this.check() : this.pass(signal)), signal);
      const tookMs = performance.now() - begun;
      last = isRead ? before : undefined;
      if (isRead) {
        this.readSince = begun;
        if (!unchanged) this.lastPassMs = tookMs;
      }
      await pause(Math.max(shortestPauseMs, restPerWork * tookMs), signal);
    }
  }

  /** One pass over the table. Rows that vanished (the table was made anew) vanish from the snapshot too. */
  async pass(signal?: AbortSignal): Promise<void> {
    await this.check();
    let seen = 0;
    for (let after = ''; ; ) {
      signal?.throwIfAborted();
      const marks = await this.reader.marks(after, pageRows);
      const last = marks.at(-1);
      if (!last) break;
      seen += marks.length;
      const changed = marks.filter((mark) => this.snapshot.differs(mark)).map(({ hash }) => hash);
      const many = changed.length > marks.length / 4;
      this.snapshot.apply(await (many ? this.reader.mapped(after, marks.length) : this.reader.findMapped(changed)));
      after = last.hash;
      await breathe();
    }
    if (seen < this.snapshot.size) {
      this.snapshot = this.fresh();
      return this.pass(signal);
    }
    this.whole = true;
  }

  private async attempt(read: () => Promise<void>, signal: AbortSignal): Promise<boolean> {
    try {
      await read();
      if (this.trouble !== undefined) this.log.info(`reads the rows again after: ${this.trouble}`);
      this.trouble = undefined;
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (!(error instanceof Unavailable)) throw error;
      if (this.trouble !== error.message) this.log.warn(`waiting: ${error.message}`);
      this.trouble = error.message;
      return false;
    }
  }
}
