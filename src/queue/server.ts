import { randomUUID } from 'node:crypto';
import { UsageError } from '../support/errors.js';
import { Connection } from './connection.js';
import { markOf } from './generation.js';

/** Connections that are made, one after the other, to see whether each reaches another server. */
const probes = 4;

/** What a connection reaches. */
export interface Server {
  /** Another one after each restart. */
  runId: string;
  /** Names the history of its data: another one after it has been a replica, which takes its master's data, older data too. */
  replicationId?: string | undefined;
}

export async function serverOf(connection: Connection): Promise<Server> {
  const [server, replication] = await Promise.all(
    ['server', 'replication'].map((section) => connection.ask((redis) => redis.info(section))),
  );
  return {
    runId: /^run_id:(\w+)/m.exec(server ?? '')?.[1] ?? 'unknown',
    replicationId: /^master_replid:(\w+)/m.exec(replication ?? '')?.[1],
  };
}

/** A new generation: it names the table that Redis was filled from, and the data that it is made on. */
export function newGeneration(incarnation: string, { runId, replicationId }: Server): string {
  return `${markOf(incarnation)}/${randomUUID()}${replicationId === undefined ? '' : `.${replicationId}`}@${runId}`;
}

/** Why a generation is not of the data that a server has now; undefined: it is. Older programs name the process alone. */
export function otherData(generation: string, { runId, replicationId }: Server): string | undefined {
  const [, madeOn, process] = /^[^.@]*(?:\.(\w+))?@(.*)$/.exec(generation) ?? [];
  if (process !== runId) return 'Redis restarted';
  if (madeOn !== undefined && madeOn !== replicationId) return 'Redis was a replica meanwhile, and may hold older data';
  return undefined;
}

/**
 * Throws `UsageError` where new connections reach one server, then another, then the first one again, or ever other ones: they are
 * spread over several. After a restart or failover they all reach the new one.
 */
export async function refuseSeveralServers({ url, prefix }: Connection): Promise<void> {
  const reached: string[] = [];
  for (let count = 0; count < probes; count++) {
    const probe = new Connection(url, 'atmos-fleet-probe', prefix);
    try {
      const { runId } = await serverOf(probe);
      if (runId !== reached.at(-1)) reached.push(runId);
    } finally {
      await probe.close();
    }
  }
  const servers = new Set(reached);
  if (servers.size === reached.length && servers.size < 3) return;
  throw new UsageError(
    `redis.url leads to several Redis servers: new connections reach processes with the run ids ${[...servers].join(', ')}. ` +
      'Expected one server: name it itself, not a proxy or load balancer in front of several, or use redis+sentinel:// or redis+cluster://',
  );
}
