import { pause } from './bell.js';
import { messageOf, Unavailable } from './errors.js';
import type { Logger } from './logger.js';

const firstPauseMs = 100;
const longestPauseMs = 2000;

/**
 * Waits for services that are not there (yet): asks again with backoff and jitter, and says so once an outage, however many
 * of a role's loops meet it.
 */
export class Patience {
  private troubles = new Map<string, number>();

  constructor(
    private readonly log: Logger,
    /** Milliseconds after which a call gives up with `Unavailable`. Infinite for roles that serve. */
    private readonly limitMs = Number.POSITIVE_INFINITY,
  ) {}

  /** Calls until the service answers, the limit is over, or the signal ends it; other errors pass through. */
  async insist<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const giveUpAt = performance.now() + this.limitMs;
    let met: string | undefined;
    for (let wait = firstPauseMs; ; wait = Math.min(wait * 2, longestPauseMs)) {
      signal?.throwIfAborted();
      try {
        const answer = await call();
        if (met !== undefined) this.over(met);
        return answer;
      } catch (error) {
        signal?.throwIfAborted();
        if (!(error instanceof Unavailable)) throw error;
        const rest = giveUpAt - performance.now();
        if (rest <= 0) throw error;
        if (met !== messageOf(error)) {
          if (met !== undefined) this.over(met, false);
          met = messageOf(error);
          this.begun(met);
        }
        await pause(Math.min(rest, wait * (0.5 + Math.random() / 2)), signal);
      }
    }
  }

  private begun(trouble: string): void {
    const others = this.troubles.get(trouble) ?? 0;
    this.troubles.set(trouble, others + 1);
    if (others === 0) this.log.warn(`waiting: ${trouble}`);
  }

  private over(trouble: string, answered = true): void {
    const others = (this.troubles.get(trouble) ?? 1) - 1;
    if (others > 0) {
      this.troubles.set(trouble, others);
      return;
    }
    this.troubles.delete(trouble);
    if (answered) this.log.info(`goes on after: ${trouble}`);
  }
}
