import { Unavailable } from '../support/errors.js';
import type { Connection, ScriptArgument, ScriptName } from './connection.js';
import type { Keys } from './keys.js';
import { otherData, refuseSeveralServers, type Server, serverOf } from './server.js';

/** Between two looks at whether connections are spread over several servers, ms. */
const suspectMs = 10_000;

/**
 * A role's standing with one search on one Redis. The search has a generation: a token that a master published together with
 * the Redis process it was made on and the history of its data. Scripts refuse any other, and after each new connection the session
 * looks whether it still speaks to that process and data: a Redis that restarted or failed back to older data is left alone until
 * a master has made it whole. Whoever leases is told so by the script itself, as it may happen within a connection.
 */
export class Session {
  private known: string | undefined;
  private suspectedAt = Number.NEGATIVE_INFINITY;

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
    const [generation, server] = await Promise.all([
      this.connection.ask((redis) => redis.hget(this.keys.search, 'generation')),
      this.server(),
    ]);
    if (!generation)
      throw new Unavailable(`search ${this.keys.prefix} is not open on this Redis; a sql-client-master opens it`);
    const trouble = otherData(generation, server);
    if (trouble !== undefined) {
      await this.suspectSeveral();
      throw new Unavailable(`${trouble}; search ${this.keys.prefix} waits for a sql-client-master to check it`);
    }
    this.known = generation;
    return generation;
  }

  /** What it speaks to. */
  server(): Promise<Server> {
    return serverOf(this.connection);
  }

  /** What looks like a restart may be one server of several behind a proxy: then waiting is in vain. */
  private async suspectSeveral(): Promise<void> {
    if (performance.now() - this.suspectedAt < suspectMs) return;
    this.suspectedAt = performance.now();
    await refuseSeveralServers(this.connection);
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
