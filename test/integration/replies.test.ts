import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import type { Fleet } from '../support/fleet.js';
import { temporaryFolder } from '../support/folder.js';
import { planeFleet, planeRows } from '../support/plane.js';
import type { Role } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { redisCli, startCluster } from '../support/redisFleets.js';
import { until } from '../support/until.js';

const done = { status: 0, signal: null };
const slowly = { simulator: { kind: 'reference', delayMs: 100 } };

/** A condition of Redis: how it is brought about, the reply that tells it, and how it ends. */
interface Condition {
  reply: string;
  begin(redis: Redis, server: RedisServer): Promise<unknown>;
  end(redis: Redis): Promise<unknown>;
}

const folder = () => {
  const path = join(temporaryFolder(), 'data');
  mkdirSync(path);
  return path;
};

const conditions: Condition[] = [
  {
    reply: 'READONLY',
    begin: (redis) => redis.replicaof('127.0.0.1', 1),
    end: (redis) => redis.replicaof('NO', 'ONE'),
  },
  {
    reply: 'MASTERDOWN',
    begin: async (redis) => {
      await redis.config('SET', 'replica-serve-stale-data', 'no');
      await redis.replicaof('127.0.0.1', 1);
    },
    end: (redis) => redis.replicaof('NO', 'ONE'),
  },
  {
    reply: 'OOM',
    begin: (redis) => redis.config('SET', 'maxmemory', '1'),
    end: (redis) => redis.config('SET', 'maxmemory', '0'),
  },
  {
    reply: 'MISCONF',
    begin: async (redis) => {
      const gone = folder();
      await redis.config('SET', 'dir', gone);
      rmdirSync(gone);
      await redis.config('SET', 'save', '3600 1');
      await redis.bgsave().catch(() => undefined);
      await until(
        async () => /rdb_last_bgsave_status:err/.test(await redis.info('persistence')),
        'the save has failed',
      );
    },
    end: async (redis) => {
      await redis.config('SET', 'dir', folder());
      await redis.bgsave();
    },
  },
  {
    reply: 'BUSY',
    begin: async (redis, server) => {
      await redis.config('SET', 'busy-reply-threshold', '20');
      server
        .connect()
        .eval('while true do end', 0)
        .catch(() => undefined);
    },
    end: (redis) => redis.call('SCRIPT', 'KILL'),
  },
];

/** Has a search go on, and its roles. */
async function startFleet(redis: RedisServer, name: string): Promise<[Fleet, Role[]]> {
  const fleet = planeFleet(redis, name, slowly);
  await fleet.crew();
  expect(await fleet.run('starter')).toMatchObject(done);
  return [fleet, [...fleet.workers, ...fleet.clients, ...fleet.masters]];
}

/** The search ends as it should, and so do its roles. */
async function expectExplored(fleet: Fleet): Promise<void> {
  await fleet.done();
  const rows = (await fleet.rows()).map(({ hash, stable }) => [hash, stable === 1]);
  expect(rows).toEqual(planeRows.map(({ hash, stable }) => [hash, stable]));
  await fleet.stop();
}

test.each(conditions)('$reply: roles say so once, wait, and go on', async ({ reply, begin, end }) => {
  const server = await startRedis({ options: ['--enable-protected-configs', 'yes'] });
  const redis = server.connect();
  const [fleet, roles] = await startFleet(server, reply.toLowerCase());
  await begin(redis, server);
  const told = new RegExp(`^waiting: Redis \\(\\S+\\): ${reply} `);
  for (const role of roles) await role.line(told);
  await end(redis);
  await expectExplored(fleet);
  for (const { name, log } of roles) {
    const messages = log.map(({ message }) => message);
    expect(messages.filter((message) => told.test(message)).length, name).toBe(1);
    // A server that was a replica is rebuilt first: that is waited for as well.
    const outages = messages.filter((message) => /^(waiting|goes on after): /.test(message));
    expect(outages.at(-1), name).toMatch(/^goes on after: /);
  }
});

test('UNBLOCKED: roles that wait for work wait again', async () => {
  const server = await startRedis();
  const redis = server.connect();
  const fleet = planeFleet(server, 'unblocked');
  await fleet.crew();
  const blocked = [...fleet.workers, ...fleet.masters];
  for (const role of blocked) await role.line(/^serving/);
  const waiting = async () => {
    const clients = String(await redis.client('LIST')).split('\n');
    const ids = clients.filter((client) => /name=\S+-waiting .*cmd=blmove/.test(client));
    return ids.length === blocked.length ? ids.map((client) => Number(/id=(\d+)/.exec(client)?.[1])) : undefined;
  };
  for (const id of (await until(waiting, 'they wait')) ?? [])
    expect(await redis.client('UNBLOCK', id, 'ERROR')).toBe(1);
  for (const role of blocked) await role.line(/^goes on after: Redis \(\S+\): UNBLOCKED /);
  expect(await fleet.run('starter')).toMatchObject(done);
  await expectExplored(fleet);
});

test('NOSCRIPT: a Redis that forgets the scripts is told them again, and nobody notices', async () => {
  const server = await startRedis();
  const redis = server.connect();
  const [fleet, roles] = await startFleet(server, 'noscript');
  let moves: string | null = null;
  for (let flushed = 0; flushed < 10; flushed++) {
    await until(async () => (await redis.hget(fleet.key('search'), 'moves')) !== moves, 'the search goes on');
    await redis.script('FLUSH');
    moves = await redis.hget(fleet.key('search'), 'moves');
  }
  await expectExplored(fleet);
  for (const { stderr, name } of roles) expect(stderr, name).not.toMatch(/NOSCRIPT|waiting: Redis/);
});

test('LOADING: roles wait until Redis has read its data, and say so', async () => {
  const slow = [
    '--key-load-delay',
    '20000',
    '--loading-process-events-interval-bytes',
    '1024',
    '--rdbcompression',
    'no',
  ];
  const server = await startRedis({ options: slow });
  const redis = server.connect();
  const [fleet, roles] = await startFleet(server, 'loading');
  await redis.mset(Object.fromEntries(Array.from({ length: 700 }, (_, n) => [`ballast-${n}`, 'x'.repeat(2000)])));
  await redis.save();
  await server.kill('SIGKILL');
  const started = server.start();
  for (const role of roles) await role.line(/^waiting: Redis/);
  const late = await fleet.start('worker');
  await late.line(/^waiting: Redis \(\S+\): LOADING /);
  fleet.workers.push(late);
  await started;
  await late.line(/^goes on after: Redis \(\S+\): LOADING /);
  await expectExplored(fleet);
});

test('CLUSTERDOWN: roles wait for the nodes of a Cluster that are not their own', async () => {
  const nodes = await startCluster();
  const fleet = planeFleet(nodes[0] as RedisServer, 'clusterdown', {
    ...slowly,
    redis: { url: `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}` },
  });
  await fleet.crew();
  expect(await fleet.run('starter')).toMatchObject(done);
  const roles = [...fleet.workers, ...fleet.clients, ...fleet.masters];
  const holds = await Promise.all(nodes.map(({ port }) => redisCli(port, '--scan', '--pattern', fleet.key('*'))));
  const other = nodes[holds.indexOf('')] as RedisServer;
  await other.kill('SIGKILL');
  for (const role of roles) await role.line(/^waiting: Redis \(\S+\): CLUSTERDOWN /);
  await other.restart({ keepData: true });
  await expectExplored(fleet);
});
