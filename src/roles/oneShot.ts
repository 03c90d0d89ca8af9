import { Connection } from '../queue/connection.js';
import { Keys } from '../queue/keys.js';
import { Session } from '../queue/session.js';
import type { Logger } from '../support/logger.js';
import { Patience } from '../support/patience.js';
import type { Search } from './search.js';

/** Commands that come and go give up on a service after this long. */
export const patienceMs = 10_000;

/** What a command that comes and goes needs: a connection to Redis and limited patience. */
export class OneShot {
  readonly session: Session;

  constructor(
    readonly search: Search,
    readonly log: Logger,
    readonly patience = new Patience(log, patienceMs),
  ) {
    const keys = new Keys(search.name);
    const connection = new Connection(search.redisUrl, 'atmos-fleet', keys.prefix);
    this.session = new Session(connection, keys, `command-${process.pid}`);
  }

  insist<T>(call: () => Promise<T>): Promise<T> {
    return this.patience.insist(call);
  }

  close(): Promise<void> {
    return this.session.connection.close();
  }
}
