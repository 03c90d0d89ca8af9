import { pause } from './bell.js';
import { messageOf, Refused, Unavailable } from './errors.js';
import type { Logger } from './logger.js';

const firstPauseMs = 100;
const longestPauseMs = 2000;
const graceMs = 1000;
/** What a service goes on refusing is logged again after this long. */
const remindMs = 60_000;

/**
 * What a call answers, unless its time is up before (`late`), or the signal was aborted some time ago (its reason): what is
 * nearly done is better not left half known.
 */
export function inTime<T>(call: Promise<T>, limitMs: number, late: () => Error, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const timers: NodeJS.Timeout[] = [];
    const after = (ms: number, act: () => void) => void timers.push(setTimeout(act, ms));
    const aborted = () => after(graceMs, () => reject(signal?.reason));
    if (limitMs !== Number.POSITIVE_INFINITY) after(limitMs, () => reject(late()));
    if (signal?.aborted) aborted();
    else signal?.addEventListener('abort', aborted);
    const over = () => {
      timers.forEach(clearTimeout);
      signal?.removeEventListener('abort', aborted);
    };
    call.then(resolve, reject).finally(over);
  });
}

/** What a call answers, unless the signal was aborted some time ago: its reason. */
export function orStopped<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  return inTime(call, Number.POSITIVE_INFINITY, () => signal.reason, signal);
}

/**
 * Waits for services that are not there (yet): asks again with backoff and jitter, and says so once an outage, however many
 * of a role's loops meet it. What a service refuses (`Refused`) is not waited for until the role has served; then it is logged
 * again every minute.
 */
export class Patience {
  /** Set when the role serves: from then on its services had answered, and may do so again. */
  hasServed = false;
  private troubles = new Map<string, { loops: number; loggedAt: number }>();

  constructor(
    private readonly log: Logger,
    /** Milliseconds after which a call gives up with `Unavailable`. Infinite for roles that serve. */
    private readonly limitMs = Number.POSITIVE_INFINITY,
  ) {}

  /**
   * Calls until the service answers, the limit is over, or the signal ends it; other errors pass through, and refusals until
   * the role has served. A call that hangs on for
   * a while then is left to itself.
   */
  async insist<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const giveUpAt = performance.now() + this.limitMs;
    let met: string | undefined;
    let last: Unavailable | undefined;
    const late = () => last ?? new Unavailable(`no answer within ${this.limitMs / 1000} s`);
    for (let wait = firstPauseMs; ; wait = Math.min(wait * 2, longestPauseMs)) {
      signal?.throwIfAborted();
      try {
        const answer = await inTime(call(), giveUpAt + graceMs - performance.now(), late, signal);
        if (met !== undefined) this.over(met);
        return answer;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Unavailable) || (error instanceof Refused && !this.hasServed)) throw error;
        last = error;
        const rest = giveUpAt - performance.now();
        if (rest <= 0) throw error;
        if (met !== messageOf(error)) {
          if (met !== undefined) this.over(met, false);
          met = messageOf(error);
          this.begun(met);
        } else if (error instanceof Refused) this.remind(met);
        await pause(Math.min(rest, wait * (0.5 + Math.random() / 2)), signal);
      }
    }
  }

  private begun(trouble: string): void {
    const known = this.troubles.get(trouble);
    if (known) {
      known.loops++;
      return;
    }
    this.troubles.set(trouble, { loops: 1, loggedAt: performance.now() });
    this.log.warn(`waiting: ${trouble}`);
  }

  private remind(trouble: string): void {
    const known = this.troubles.get(trouble);
    if (!known || performance.now() - known.loggedAt < remindMs) return;
    known.loggedAt = performance.now();
    this.log.warn(`still waiting: ${trouble}`);
  }

  private over(trouble: string, answered = true): void {
    const known = this.troubles.get(trouble);
    if (known && --known.loops > 0) return;
    this.troubles.delete(trouble);
    if (answered) this.log.info(`goes on after: ${trouble}`);
  }
}
