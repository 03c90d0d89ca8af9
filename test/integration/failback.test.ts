import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Connection } from '../../src/queue/connection.js';
import { refuseSeveralServers } from '../../src/queue/server.js';
import { UsageError } from '../../src/support/errors.js';
import type { Fleet } from '../support/fleet.js';
import { openLine, queue } from '../support/line.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { freePort } from '../support/port.js';
import { startRole } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { redisCli } from '../support/redisFleets.js';
import { atEnd } from '../support/scope.js';
import { until } from '../support/until.js';

const withOdd = `--import=${fileURLToPath(new URL('../support/odd.mjs', import.meta.url))}`;

const follows = async (replica: RedisServer) => {
  const linked = async () => (await redisCli(replica.port, 'info', 'replication')).includes('master_link_status:up');
  await until(linked, 'the replica follows');
};

/** A master and its replica. */
async function startPair() {
  const options = ['--repl-diskless-sync-delay', '0'];
  const master = await startRedis({ tcp: true, options });
  const replica = await startRedis({ tcp: true, options: [...options, '--replicaof', `127.0.0.1 ${master.port}`] });
  await follows(replica);
  return { master, replica };
}

const promote = ({ port }: RedisServer) => redisCli(port, 'replicaof', 'no', 'one');

/** Gives a server the data that another one has, and makes it a master again: all within its one process. */
async function failBack(server: RedisServer, to: RedisServer): Promise<void> {
  await redisCli(server.port, 'replicaof', '127.0.0.1', String(to.port));
  await follows(server);
  await promote(server);
}

describe('a Redis that was demoted, took older data and was promoted again', () => {
  const codesOf = async (fleet: Fleet, state: string) =>
    (await fleet.rows()).filter((row) => row.state === state).map(({ code }) => code);

  test('is rebuilt before anything runs, and no settled point runs again', async () => {
    const { master, replica } = await startPair();
    const fleet = planeFleet(master, 'failback', { simulator: { kind: 'reference', delayMs: 100 } });
    await fleet.crew({ workers: 0 });
    expect(await fleet.run('starter')).toMatchObject({ status: 0 });
    const runs = join(fleet.folder, 'runs');
    const env = { NODE_OPTIONS: withOdd, RUNS: runs };
    fleet.workers.push(await startRole('worker', [], { config: fleet.config, cwd: fleet.folder, env }));
    const settled = (count: number) =>
      until(async () => {
        const codes = await codesOf(fleet, 'completed');
        return codes.length >= count ? codes : undefined;
      }, `${count} points are settled`);
    await settled(10);
    await promote(replica);
    const before = (await settled(30)) ?? [];
    await failBack(master, replica);
    await fleet.over();
    const rows = (await fleet.rows()).map(({ hash, stable }) => [hash, stable === 1]);
    expect(rows).toEqual(planeRows.map(({ hash, stable }) => [hash, stable]));
    const ran = readFileSync(runs, 'utf8').trimEnd().split('\n');
    expect(before.filter((code) => ran.indexOf(code) !== ran.lastIndexOf(code))).toEqual([]);
    await fleet.stop();
  });

  test('leases nothing, also to who speaks to it over the same connection', async () => {
    const { master, replica } = await startPair();
    const opened = await openLine(master);
    await queue(opened, 1, 2);
    await until(
      async () => (await redisCli(replica.port, 'llen', opened.keys.list('main_Q'))) === '2',
      'the replica has the points',
    );
    const { member, session, search } = opened;
    expect(await member.leases.lease(1)).toHaveLength(1);
    await promote(replica);
    await failBack(master, replica);
    // Nothing was sent meanwhile, so no connection tells of it.
    await expect(session.generation()).resolves.toMatch(/@/);
    await expect(member.leases.lease(1)).rejects.toThrow(/GENERATION of other data/);
    await expect(member.leases.lease(1)).rejects.toThrow(`search {${search.name}}: waits for a sql-client-master`);
  });
});

describe('connections that are spread over several servers', () => {
  /** The URL of a proxy that hands each new connection to the next of these servers. */
  async function spread(...servers: RedisServer[]): Promise<string> {
    let next = 0;
    const proxy = createServer((client) => {
      const server = connect((servers[next++ % servers.length] as RedisServer).socket);
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => to.destroy());
      }
    });
    const port = await freePort();
    proxy.listen(port, '127.0.0.1');
    await once(proxy, 'listening');
    atEnd(() => {
      proxy.close();
    });
    return `redis://127.0.0.1:${port}`;
  }

  test('are refused at start by each role, which says what it found', async () => {
    const url = await spread(await startRedis(), await startRedis());
    const fleet = planeFleet(await startRedis(), 'spread', { redis: { url } });
    for (const line of ['worker', 'sql-client -c', 'sql-client-master']) {
      const [role, ...args] = line.split(' ') as [string, ...string[]];
      expect(await fleet.run(role, ...args), line).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/redis\.url leads to several Redis servers: .* Expected one server/),
      });
    }
  });

  test('are told from one server, and from a server in the place of another', async () => {
    const refused = async (...servers: RedisServer[]) => {
      const connection = new Connection(await spread(...servers), 'test');
      atEnd(() => connection.close());
      return refuseSeveralServers(connection).catch((error: unknown) => error);
    };
    const [one, two] = [await startRedis(), await startRedis()];
    expect(await refused(one)).toBeUndefined();
    expect(await refused(one, two, two, two)).toBeUndefined();
    expect(await refused(one, two)).toBeInstanceOf(UsageError);
    expect(await refused(one, two, await startRedis(), await startRedis())).toBeInstanceOf(UsageError);
  });
});
