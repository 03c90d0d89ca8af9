import { Unavailable } from '../support/errors.js';
import type { Connection, ScriptArgument, ScriptName } from './connection.js';
import type { Keys } from './keys.js';

/**
 * A role's standing with one search on one Redis. The search has a generation: a token that a master published together with
 * the Redis process it was made on. Scripts refuse any other, and after each new connection the session looks whether it still
 * speaks to that process: a Redis that restarted with older data is left alone until a master has made it whole.
 */
export class Session {
  private known: string | undefined;

  constructor(
    readonly connection: Connection,
    readonly keys: Keys,
    /** Unique among all processes of the fleet; leases and batches carry it. */
    readonly owner: string,
  ) {
    connection.redis.on('close', () => {
      this.known = undefined;
    });
  }

  /** The generation that stands, checked once a connection. `Unavailable` while there is none. */
  async generation(): Promise<string> {
    if (this.known !== undefined) return this.known;
    const [generation, runId] = await Promise.all([
      this.connection.ask((redis) => redis.hget(this.keys.search, 'generation')),
      this.runId(),
    ]);
    if (!generation)
      throw new Unavailable(`search ${this.keys.prefix} is not open on this Redis; a sql-client-master opens it`);
    if (!generation.endsWith(`@${runId}`)) {
      throw new Unavailable(`Redis restarted; search ${this.keys.prefix} waits for a sql-client-master to check it`);
    }
    this.known = generation;
    return generation;
  }

  /** Which Redis process this is. */
  async runId(): Promise<string> {
    const info = await this.connection.ask((redis) => redis.info('server'));
    return /^run_id:(\w+)/m.exec(info)?.[1] ?? 'unknown';
  }

  /** Runs a script that checks the generation, its first argument: the one that stands, or the one that the caller relies on. */
  async script<T>(
    name: ScriptName,
    keys: readonly string[],
    args: readonly ScriptArgument[],
    during?: string,
  ): Promise<T> {
    const generation = during ?? (await this.generation());
    try {
      return await this.connection.script<T>(name, keys, () => {
        if (this.known !== generation) throw new Unavailable('the connection to Redis was lost');
        return [generation, ...args];
      });
    } catch (error) {
      if (error instanceof Unavailable && error.code === 'GENERATION') this.known = undefined;
      throw error;
    }
  }

  /** Runs a script that no generation guards. */
  unguarded<T>(name: ScriptName, keys: readonly string[], args: readonly ScriptArgument[]): Promise<T> {
    return this.connection.script<T>(name, keys, () => args);
  }
}
