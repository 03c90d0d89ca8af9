import { parentPort, workerData } from 'node:worker_threads';
import { pause } from '../support/bell.js';
import { monotonicMs } from '../support/clock.js';
import { Unavailable } from '../support/errors.js';
import { Connection } from './connection.js';
import { Keys } from './keys.js';
import { Leases } from './leases.js';
import { Session } from './session.js';

/**
 * What the thread is told. Tokens come as one text, with a blank between two: lists of hundreds would cost more to hand over than
 * quick runs take. Times are of the process's monotonic clock, ms.
 */
export type RenewerOrder = { hold: string } | { release: string } | { until: [token: string, time: number][] };

export interface RenewerSettings {
  name: string;
  redisUrl: string;
  owner: string;
  leaseMs: number;
}

const mostAtOnce = 1000;

const { name, redisUrl, owner, leaseMs } = workerData as RenewerSettings;
const keys = new Keys(name);
const connection = new Connection(redisUrl, 'atmos-fleet-renewer', keys.prefix);
const leases = new Leases(new Session(connection, keys, owner), { leaseMs, maxPoints: null });
/** Token → when its renewal ends. */
const held = new Map<string, number>();

parentPort?.on('message', (order: RenewerOrder) => {
  if ('hold' in order) for (const token of order.hold.split(' ')) held.set(token, Number.POSITIVE_INFINITY);
  else if ('release' in order) for (const token of order.release.split(' ')) held.delete(token);
  else for (const [token, time] of order.until) if (held.has(token)) held.set(token, time);
});

/** Every third of a lease; after a failure sooner, as the leases run on. */
for (;;) {
  await pause((await renewAll()) ? leaseMs / 3 : leaseMs / 20);
}

async function renewAll(): Promise<boolean> {
  const now = monotonicMs();
  const tokens = [...held].filter(([, until]) => until > now).map(([token]) => token);
  try {
    for (let from = 0; from < tokens.length; from += mostAtOnce) {
      const lost = await leases.renew(tokens.slice(from, from + mostAtOnce));
      for (const token of lost) held.delete(token);
      if (lost.length > 0) parentPort?.postMessage(lost);
    }
    return true;
  } catch (error) {
    // The role itself says that Redis is away; here it is only asked again.
    if (error instanceof Unavailable) return false;
    throw error;
  }
}
