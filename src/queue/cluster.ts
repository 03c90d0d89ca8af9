import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis';
import { messageOf } from '../support/errors.js';
import { redisFailure } from './failures.js';

const disconnectMs = 2000;
/** A node that has not told by then is passed over, ms. */
const askMs = 2000;

export interface ClusterNodes {
  /** Nodes to ask; one that answers is enough. */
  hosts: readonly { host: string; port: number }[];
  /** How each node is spoken to: credentials, TLS, deadlines. */
  options: RedisOptions;
  /** The prefix of the search's keys: all of them lie in its slot. */
  key: string;
}

/** A connector for ioredis: see below. */
export function clusterConnector(nodes: ClusterNodes): NonNullable<RedisOptions['Connector']> {
  return class extends ClusterConnector {
    constructor() {
      super(nodes);
    }
  };
}

/**
 * Connects to the node of a Redis Cluster that holds a search, and asks anew for it before each new connection: after a
 * failover, or when the slot has moved. To the rest of the program that node is a Redis like any other.
 */
class ClusterConnector extends AbstractConnector {
  private masters: readonly { host: string; port: number }[] = [];

  constructor(private readonly nodes: ClusterNodes) {
    super(disconnectMs);
  }

  async connect(): Promise<Socket | TLSSocket> {
    this.connecting = true;
    const where = await this.locate();
    if (!this.connecting) throw new Error('connection closed');
    const { tls } = this.nodes.options;
    const stream = tls ? connectTls({ ...where, ...tls }) : createConnection(where);
    this.stream = stream;
    stream.once('error', (error) => {
      this.firstError = error;
    });
    return stream;
  }

  private async locate(): Promise<{ host: string; port: number }> {
    const { hosts, options, key } = this.nodes;
    const troubles: string[] = [];
    // Those that were given come last: they may be gone while the Cluster lives on.
    for (const node of [...this.masters, ...hosts]) {
      try {
        const { owner, masters } = await ask(node, options, key);
        this.masters = masters;
        return owner;
      } catch (error) {
        if (redisFailure(error).class === 'permanent') throw error;
        troubles.push(`${node.host}:${node.port}: ${messageOf(error)}`);
      }
    }
    throw new Error(`no node of the Cluster tells where the search is: ${[...new Set(troubles)].join('; ')}`);
  }
}

/** From slot, to slot, master, replicas. */
type SlotRange = [number, number, [host: string | null, port: number]];

/** Asks one node for the Cluster's masters, and for the one that holds a key. */
async function ask(node: { host: string; port: number }, options: RedisOptions, key: string) {
  const redis = new Redis({
    ...options,
    ...node,
    lazyConnect: true,
    retryStrategy: () => null,
    connectTimeout: askMs,
    commandTimeout: askMs,
    replyMapping: 'legacy',
  });
  const failed = once(redis, 'error').then(([error]) => Promise.reject(error));
  failed.catch(() => undefined);
  try {
    await Promise.race([redis.connect(), failed]);
    const [slot, ranges] = await Promise.all([redis.cluster('KEYSLOT', key), redis.cluster('SLOTS')]);
    const found = (ranges as unknown as SlotRange[]).map(([from, to, [host, port]]) => ({
      holds: Number(from) <= Number(slot) && Number(slot) <= Number(to),
      // A node that does not know its own name leaves it out: it is the one that was asked.
      node: { host: host || node.host, port: Number(port) },
    }));
    const owner = found.find(({ holds }) => holds)?.node;
    if (!owner) throw new Error('CLUSTERDOWN no node serves the slot of this search');
    return { owner, masters: found.map((range) => range.node) };
  } finally {
    redis.disconnect();
  }
}
