import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Child } from './child.js';
import { temporaryFolder } from './folder.js';
import { freePort } from './port.js';
import { type RedisServer, startRedis } from './redis.js';
import { atEnd } from './scope.js';
import { until } from './until.js';

const run = promisify(execFile);

/** Asks a server by its port. */
export async function redisCli(port: number, ...args: string[]): Promise<string> {
  const { stdout } = await run('redis-cli', ['-h', '127.0.0.1', '-p', String(port), ...args]);
  return stdout.trim();
}

/** A Redis Cluster of masters alone, each with an append-only file. */
export async function startCluster(size = 3): Promise<RedisServer[]> {
  // A node's second port is 10,000 above its first.
  const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000'];
  const start = () => startRedis({ tcp: true, persistence: 'aof', options });
  const nodes = await Promise.all(Array.from({ length: size }, start));
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-replicas', '0', '--cluster-yes']);
  for (const { port } of nodes) {
    await until(
      async () => (await redisCli(port, 'cluster', 'info')).includes('cluster_state:ok'),
      'the cluster is up',
    );
  }
  return nodes;
}

export interface Watched {
  master: RedisServer;
  replica: RedisServer;
  /** Ports of the Sentinels. */
  sentinels: number[];
}

/** A master, its replica, and three Sentinels that agree by two that the master `fleet` is gone after a second. */
export async function startSentinels(): Promise<Watched> {
  const options = ['--repl-diskless-sync-delay', '0'];
  const master = await startRedis({ tcp: true, options });
  const replica = await startRedis({ tcp: true, options: [...options, '--replicaof', `127.0.0.1 ${master.port}`] });
  await until(
    async () => (await redisCli(replica.port, 'info')).includes('master_link_status:up'),
    'the replica follows',
  );
  const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(master.port)));
  for (const port of sentinels) {
    const knows = async () => {
      const text = await redisCli(port, 'sentinel', 'master', 'fleet');
      return /num-slaves\n1\n/.test(text) && /num-other-sentinels\n2\n/.test(text);
    };
    await until(knows, 'the Sentinels know each other and the replica');
  }
  return { master, replica, sentinels };
}

async function startSentinel(masterPort: number): Promise<number> {
  const port = await freePort();
  const folder = temporaryFolder();
  const file = join(folder, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor fleet 127.0.0.1 ${masterPort} 2`,
    'sentinel down-after-milliseconds fleet 1000',
    'sentinel failover-timeout fleet 5000',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  const child = await Child.start('redis-server', [file, '--sentinel']);
  atEnd(() => child.end());
  await child.line((line) => /monitor master fleet/.test(line), 'that it watches');
  return port;
}
