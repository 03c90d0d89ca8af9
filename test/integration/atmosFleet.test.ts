import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { parseMetadata } from '../../src/artifacts/metadata.js';
import { ownerLabel } from '../../src/sandboxes/docker/sandbox.js';
import { dockerEngine, standInImage } from '../support/docker.js';
import { Fleet } from '../support/fleet.js';
import { temporaryFolder } from '../support/folder.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const slots = 8;
let redis: RedisServer;
let image: string;

beforeAll(async () => {
  redis = await startRedis();
  image = await standInImage();
}, 120_000);

function atmosFleet(results: string): Fleet {
  const from = (start: number, by: number, max: number) => ({ start, step: [{ below: 1, by }], min: start, max });
  return new Fleet({
    name: 'atmos',
    parameters: {
      O2: { start: 0.21 },
      N2: { start: 0.7772982887, filler: true },
      H2O: { start: 0.0123 },
      CH4: from(1.63e-6, 0.001, 0.004),
      CO2: from(4e-4, 0.01, 0.05),
      H2: { start: 8.13e-8 },
    },
    search: { mode: 'sides', reach: 2 },
    simulator: { kind: 'atmos', sandbox: { kind: 'docker', image, memory: '96m', scratch: '64m', pids: 64 } },
    artifacts: { url: `file:${results}` },
    lease: { seconds: 3 },
    redis: { url: redis.url },
    database: { url: Fleet.sqliteUrl() },
  });
}

/** Containers of workers with this process id. */
async function containersOf(pid: number): Promise<string[]> {
  const engine = await dockerEngine();
  const all = await engine.listContainers({ all: true, filters: { label: [ownerLabel] } });
  return all.filter(({ Labels }) => Labels[ownerLabel]?.split('.')[1] === String(pid)).map(({ Id }) => Id);
}

test('a worker runs Atmos in 8 containers at once; one that is killed leaves none, and the next ends the search', async () => {
  const results = temporaryFolder();
  const fleet = atmosFleet(results);
  await fleet.crew({ workerArgs: ['--concurrency', String(slots)] });
  const [killed] = fleet.workers;
  if (!killed) throw new Error('no worker');
  await fleet.run('starter');
  await until(async () => (await containersOf(killed.pid)).length === slots, 'a container for each slot');
  killed.kill('SIGKILL');
  await killed.exited;
  fleet.workers.splice(0, 1, await fleet.start('worker', '--concurrency', String(slots)));
  // One that was made, but not yet started, goes when the next worker starts; the others by themselves.
  await until(async () => (await containersOf(killed.pid)).length === 0, 'its containers are gone');
  await fleet.over();

  const { status, stdout } = await fleet.run('verify');
  expect(status, stdout).toBe(0);
  const rows = await fleet.rows();
  expect(rows.filter(({ state }) => state !== 'completed')).toEqual([]);
  expect(rows.filter(({ stable }) => stable === 1).length).toBeGreaterThan(slots);
  for (const { hash, out_path, complete_msg, previous_hash } of rows) {
    const metadata = parseMetadata(await readFile(join(String(out_path), 'run_metadata.json'), 'utf8'));
    expect(metadata.hash).toBe(hash);
    expect(metadata.simulator.image_digest).toMatch(/^sha256:/);
    expect(existsSync(join(String(out_path), 'out.dist'))).toBe(true);
    if (previous_hash !== null) expect(complete_msg, hash).not.toContain('cold start');
  }
  const incoming = join(results, 'atmos', '.incoming');
  for (const folder of readdirSync(incoming)) expect(readdirSync(join(incoming, folder))).toEqual(['owner']);
  const [worker] = fleet.workers;
  await fleet.stop();
  expect(readdirSync(incoming)).toEqual([]);
  expect(await containersOf(worker?.pid ?? 0)).toEqual([]);
});
