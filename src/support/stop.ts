import { setMaxListeners } from 'node:events';

/** Why a role's work was ended before it was done. */
export class Stopped extends Error {
  override name = 'Stopped';
}

/**
 * How a role is asked to stop, in two steps: quiet (take no new work, finish what runs), then abort (give back what still runs).
 */
export class Stop {
  private readonly quietly = new AbortController();
  private readonly atOnce = new AbortController();
  /** Set when a signal of the system asked for it, not the kill switch. */
  bySignal = false;
  /** Running points may take as long as they need. */
  drains = false;

  constructor() {
    // Every slot and loop of a role listens.
    setMaxListeners(0, this.quiet, this.abort);
  }

  /** Aborted when no new work is to be taken. */
  get quiet(): AbortSignal {
    return this.quietly.signal;
  }

  /** Aborted when running work is to end now. */
  get abort(): AbortSignal {
    return this.atOnce.signal;
  }

  /** No new work; what runs may finish, for `graceMs` at most. */
  request(reason: string, graceMs: number): void {
    if (!this.quiet.aborted) this.quietly.abort(new Stopped(reason));
    this.drains = graceMs === Number.POSITIVE_INFINITY;
    if (graceMs === 0) this.now(reason);
    else if (!this.drains) setTimeout(() => this.now(reason), graceMs).unref();
  }

  /** Everything ends. */
  now(reason: string): void {
    this.drains = false;
    if (!this.quiet.aborted) this.quietly.abort(new Stopped(reason));
    if (!this.abort.aborted) this.atOnce.abort(new Stopped(reason));
  }
}
