import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Connection } from '../../src/queue/connection.js';
import { Keys } from '../../src/queue/keys.js';
import { certificates } from '../support/certificates.js';
import { temporaryFolder } from '../support/folder.js';
import { freePort } from '../support/port.js';
import { type Role, runRole, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { redisCli, startCluster, startSentinels } from '../support/redisFleets.js';
import { searchConfig } from '../support/search.js';
import { until } from '../support/until.js';

/** What a plain flood fill finds, and so the search, on any Redis. */
const closure = { completed: 594, stable: 464 };

type RoleSettings = Parameters<typeof startRole>[2];

async function startFleet(settings: RoleSettings): Promise<Role[]> {
  const client = await startRole('sql-client', ['-c'], settings);
  const master = await startRole('sql-client-master', [], settings);
  const worker = await startRole('worker', ['--concurrency', '8'], settings);
  for (const role of [client, master]) await role.line(/serving/);
  expect(await runRole('starter', [], settings)).toMatchObject({ status: 0 });
  await worker.line(/serving/);
  return [client, master, worker];
}

async function statusOf(settings: RoleSettings) {
  const { stdout, stderr, status } = await runRole('status', ['--json'], settings);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

async function expectExplored(settings: RoleSettings) {
  await until(async () => (await statusOf(settings)).done, 'the search is over', 120);
  const { states, stable } = await statusOf(settings);
  expect({ completed: states.completed, stable }).toEqual(closure);
  expect(await runRole('verify', [], settings)).toMatchObject({ status: 0 });
}

const slowly = { simulator: { kind: 'reference', delayMs: 20 } };

test('a fleet works over TLS, as a user who may do no more than it needs', async () => {
  const { ca, cert, key } = await certificates();
  const users = join(temporaryFolder(), 'users.acl');
  const secret = 'p@ss/word%25';
  const allowed = readFileSync(new URL('../../k8s/users.acl.example', import.meta.url), 'utf8');
  writeFileSync(users, allowed.replaceAll('pyatmos', 'small').replace('PASSWORD', secret));
  const port = await freePort();
  const tls = ['--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key, '--tls-auth-clients', 'no'];
  await startRedis({ options: [...tls, '--tls-ca-cert-file', ca, '--aclfile', users] });
  const address = (password: string) =>
    `rediss://fleet:${encodeURIComponent(password)}@127.0.0.1:${port}?ca=${encodeURIComponent(ca)}`;
  const config = searchConfig('redis://overridden');
  const env = { REDIS_URL: address(secret) };

  const roles = await startFleet({ config, env });
  await expectExplored({ config, env });
  for (const { stderr } of roles) expect(stderr).not.toContain(encodeURIComponent(secret));

  const connection = new Connection(address(secret), 'test');
  for (const [command, ...args] of forbidden) {
    await expect(
      connection.ask((redis) => redis.call(command, args)),
      command,
    ).rejects.toThrow(/NOPERM/);
  }
  await connection.close();
  const wrong = await runRole('status', [], { config, env: { REDIS_URL: address('other') } });
  expect(wrong).toMatchObject({ status: 1, stderr: expect.stringMatching(/WRONGPASS/) });
  const untrusted = `rediss://fleet:x@127.0.0.1:${port}`;
  const distrusting = await runRole('status', [], { config, env: { REDIS_URL: untrusted } });
  expect(distrusting).toMatchObject({ status: 1, stderr: expect.stringMatching(/certificate/) });
});

const forbidden: [string, ...string[]][] = [
  ['FLUSHALL'],
  ['FLUSHDB'],
  ['CONFIG', 'GET', '*'],
  ['KEYS', '*'],
  ['ACL', 'LIST'],
  ['SHUTDOWN'],
  ['REPLICAOF', 'NO', 'ONE'],
  ['GET', 'another:key'],
  ['SUBSCRIBE', 'x'],
];

test('two searches lie on two nodes of a Cluster, each whole on its own, also over the restart of a node', async () => {
  const nodes = await startCluster();
  const url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  const searches = await Promise.all(
    ['small', 'tiny'].map(async (name) => {
      const config = searchConfig(url, { name, ...slowly });
      await startFleet({ config });
      const held = await Promise.all(nodes.map(({ port }) => redisCli(port, '--scan', '--pattern', `{${name}}:*`)));
      const holders = nodes.filter((_, index) => held[index] !== '');
      expect(holders).toHaveLength(1);
      return { config, holder: holders[0] };
    }),
  );
  expect(new Set(searches.map(({ holder }) => holder)).size).toBe(2);

  const [{ config, holder }] = searches as [(typeof searches)[0]];
  await until(async () => (await statusOf({ config })).states.completed > 100, 'runs go on');
  await holder?.kill('SIGKILL');
  await holder?.restart({ keepData: true });
  for (const search of searches) await expectExplored(search);
});

test('a search goes on after the slot that it lies in moved to another node', async () => {
  const nodes = await startCluster();
  const config = searchConfig(`redis+cluster://127.0.0.1:${nodes[0]?.port}`, slowly);
  await startFleet({ config });
  await until(async () => (await statusOf({ config })).states.completed > 100, 'runs go on');
  const port = nodes[0]?.port as number;
  const slot = await redisCli(port, 'cluster', 'keyslot', new Keys('small').prefix);
  await moveSlot(
    slot,
    nodes.map((node) => node.port),
  );
  await expectExplored({ config });
});

/** Moves one slot with its keys to a node that does not hold it, as `redis-cli --cluster reshard` does. */
async function moveSlot(slot: string, ports: readonly number[]) {
  const ids = await Promise.all(ports.map((port) => redisCli(port, 'cluster', 'myid')));
  const counts = await Promise.all(ports.map((port) => redisCli(port, 'cluster', 'countkeysinslot', slot)));
  const from = counts.findIndex((count) => Number(count) > 0);
  const to = (from + 1) % ports.length;
  const [fromPort, toPort] = [ports[from], ports[to]] as [number, number];
  await redisCli(toPort, 'cluster', 'setslot', slot, 'importing', ids[from] as string);
  await redisCli(fromPort, 'cluster', 'setslot', slot, 'migrating', ids[to] as string);
  for (;;) {
    const keys = (await redisCli(fromPort, 'cluster', 'getkeysinslot', slot, '100')).split('\n').filter(Boolean);
    if (keys.length === 0) break;
    await redisCli(fromPort, 'migrate', '127.0.0.1', String(toPort), '', '0', '5000', 'keys', ...keys);
  }
  for (const port of [toPort, fromPort]) await redisCli(port, 'cluster', 'setslot', slot, 'node', ids[to] as string);
}

test('a search goes on where Sentinels put a replica in the place of its master', async () => {
  const { master, replica, sentinels } = await startSentinels();
  const hosts = sentinels.map((port) => `127.0.0.1:${port}`).join(',');
  const config = searchConfig(`redis+sentinel://${hosts}/fleet`, slowly);
  const [, keeper] = await startFleet({ config });
  await until(async () => (await statusOf({ config })).states.completed > 100, 'runs go on');
  await master.kill('SIGKILL');
  await keeper?.line(/making Redis whole from SQL: Redis restarted/);
  expect(await redisCli(replica.port, 'role')).toMatch(/^master/);
  await expectExplored({ config });
});
