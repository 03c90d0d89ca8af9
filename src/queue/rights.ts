import { Refused } from '../support/errors.js';
import { withoutPassword } from '../support/secrets.js';
import type { Session } from './session.js';

/** Refuses a Redis whose user may not run what a role runs; names what it lacks. Changes nothing. */
export async function refuseMissingRights(session: Session): Promise<void> {
  const { connection, keys, owner } = session;
  const scratch = ['one', 'two'].map((name) => `${keys.prefix}rights:${owner}:${name}`);
  const lacking = await session.unguarded<string[]>('rights', scratch, []);
  if (lacking.length === 0) return;
  const grants = lacking.map((command) => `+${command.toLowerCase()}`).join(' ');
  throw new Refused(
    `Redis (${withoutPassword(connection.url)}): this user may not run ${lacking.join(', ')}: grant it ${grants}`,
  );
}
