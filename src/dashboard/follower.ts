import { setImmediate as breathe } from 'node:timers/promises';
import type { Reader, RowMark } from '../ledger/reader.js';
import { pause } from '../support/bell.js';
import { Unavailable } from '../support/errors.js';
import type { Logger } from '../support/logger.js';
import type { Freshness } from './api.js';
import type { Snapshot } from './snapshot.js';

const pageRows = 4000;
/** Numbers that are read at once, outputs and rows; and the rows that are read at once however many numbers they have. */
const numbersAtOnce = 100_000;
const minRowsAtOnce = 16;
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
  private rowsAtOnce = 128;

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
    if ((await this.readInto(this.snapshot, signal)) < this.snapshot.size) {
      this.snapshot = this.fresh();
      return this.pass(signal);
    }
    this.whole = true;
    const better = this.snapshot.better();
    if (!better) return;
    await this.readInto(better, signal);
    better.version = this.snapshot.version + 1;
    this.snapshot = better;
  }

  /** Brings a snapshot up to date; answers how many rows the table has. */
  private async readInto(snapshot: Snapshot, signal?: AbortSignal): Promise<number> {
    let seen = 0;
    for (let after = ''; ; ) {
      signal?.throwIfAborted();
      const marks = await this.reader.marks(after, pageRows);
      const last = marks.at(-1);
      if (!last) return seen;
      seen += marks.length;
      await this.readChanged(snapshot, after, marks, signal);
      after = last.hash;
      await breathe();
    }
  }

  /** Reads those of the rows after a hash that changed; so many at once that they fit into memory, whatever each has. */
  private async readChanged(snapshot: Snapshot, after: string, marks: readonly RowMark[], signal?: AbortSignal) {
    const changed = marks.filter((mark) => snapshot.differs(mark)).map(({ hash }) => hash);
    const areMany = changed.length > marks.length / 4;
    const wanted = areMany ? marks.length : changed.length;
    for (let [done, last] = [0, after]; done < wanted; ) {
      signal?.throwIfAborted();
      const count = Math.min(this.rowsAtOnce, wanted - done);
      const rows = areMany
        ? await this.reader.mapped(last, count)
        : await this.reader.findMapped(changed.slice(done, done + count));
      snapshot.apply(rows);
      last = rows.at(-1)?.hash ?? last;
      done += count;
      const numbers = rows.reduce((total, { outputs }) => total + 1 + Object.keys(outputs ?? {}).length, 1);
      const fitting = Math.floor((numbersAtOnce * rows.length) / numbers);
      this.rowsAtOnce = Math.max(minRowsAtOnce, Math.min(fitting, 2 * this.rowsAtOnce, pageRows));
    }
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
