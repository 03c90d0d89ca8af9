import { Connection } from '../../queue/connection.js';
import { Keys } from '../../queue/keys.js';
import { Session } from '../../queue/session.js';
import type { Logger } from '../../support/logger.js';
import { Patience } from '../../support/patience.js';
import type { Search } from './search.js';

/** Commands that come and go give up on a service after this long. */
export const patienceMs = 10_000;

/** What a command needs that is no member of the fleet: a connection to Redis, and patience with its services. */
export class OneShot {
  readonly session: Session;
  private readonly patience: Patience;

  constructor(
    readonly search: Search,
    readonly log: Logger,
    /** Services are waited for until this is aborted; without it, for 10 s. */
    private readonly until?: AbortSignal,
  ) {
    this.patience = until ? new Patience(log) : new Patience(log, patienceMs);
    const keys = new Keys(search.name);
    const connection = new Connection(search.redisUrl, 'atmos-fleet', keys.prefix);
    this.session = new Session(connection, keys, `command-${process.pid}`);
  }

  insist<T>(call: () => Promise<T>): Promise<T> {
    return this.patience.insist(call, this.until);
  }

  close(): Promise<void> {
    return this.session.connection.close();
  }
}
