/** The user asked for something that cannot be: wrong usage, wrong configuration, another search's table. Exit status 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The kill switch keeps a command from doing anything. Exit status 3. */
export class KillSwitchOn extends UsageError {
  override name = 'KillSwitchOn';

  constructor() {
    super('refused: the kill switch is on; lift it with: atmos-fleet kill --clear');
  }
}

/** A service (Redis, the database, a table, Docker, a bucket) is not there now and may be there later: wait and ask again. */
export class Unavailable extends Error {
  override name = 'Unavailable';
  /** What the service itself calls the error: a reply's first word, a database's code. */
  readonly code: string | undefined;

  constructor(message: string, { code, ...options }: ErrorOptions & { code?: string } = {}) {
    super(message, options);
    this.code = code;
  }
}

/**
 * A service is there and refuses what waiting does not mend: a wrong password, a missing right, a database that does not exist.
 * It ends whatever starts; a role that has served asks again, as in an outage.
 */
export class Refused extends Unavailable {
  override name = 'Refused';
}

/** This machine cannot run any point (no Docker, no disk, no image): says nothing about the point, costs it no attempt. */
export class MachineFault extends Error {
  override name = 'MachineFault';
  /** Set where the run of a point had no part in it: its program had not begun. */
  beforeRun = false;
}

/** What a run left cannot be kept, for its names, its size or its number: says something about its point, as a failed run does. */
export class Unstorable extends Error {
  override name = 'Unstorable';
}

/** The first sentence of whatever was thrown, for a log line or a row. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message || error.name : String(error);
}
