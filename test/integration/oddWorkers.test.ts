import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../support/fleet.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { type Role, startRole } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

const done = { status: 0, signal: null };
const withOdd = `--import=${fileURLToPath(new URL('../support/odd.mjs', import.meta.url))}`;
const lasting = (delayMs: number, seconds = 1) => ({
  lease: { seconds },
  simulator: { kind: 'reference', delayMs },
  run: { losses: 2 },
});

let redis: RedisServer;

beforeAll(async () => {
  redis = await startRedis();
});

/** Starts a worker that is odd in some way; what it runs is noted. */
async function startOdd(fleet: Fleet, odd: object, ...args: string[]): Promise<Role> {
  const env = { NODE_OPTIONS: withOdd, ODD: JSON.stringify(odd), RUNS: join(fleet.folder, 'runs') };
  const worker = await startRole('worker', args, { config: fleet.config, cwd: fleet.folder, env });
  fleet.workers.push(worker);
  return worker;
}

/** The codes of all runs that began on odd workers. */
const runsOf = (fleet: Fleet) => readFileSync(join(fleet.folder, 'runs'), 'utf8').trimEnd().split('\n').sort();

/** A fleet without workers whose start is queued. */
async function queued(name: string, more: object): Promise<Fleet> {
  const fleet = planeFleet(redis, name, more);
  await fleet.crew({ workers: 0 });
  expect(await fleet.run('starter')).toMatchObject(done);
  return fleet;
}

/** The rows are those of the flood fill, each settled by its first attempt. */
async function expectExplored(fleet: Fleet): Promise<void> {
  await fleet.over();
  const rows = (await fleet.rows()).map(({ hash, stable, attempts }) => [hash, stable === 1, Number(attempts)]);
  expect(rows).toEqual(planeRows.map(({ hash, stable }) => [hash, stable, 1]));
}

/** The rows are those of the flood fill, each with its verdict, but for one point that was quarantined with that message. */
async function expectAllBut(fleet: Fleet, quarantined: string, message: RegExp): Promise<void> {
  const verdicts = (await fleet.rows()).map(({ code, state, stable }) => [code, state, stable]);
  expect(verdicts).toEqual(
    planeRows.map(({ code, stable }) =>
      code === quarantined ? [code, 'error', null] : [code, 'completed', Number(stable)],
    ),
  );
  const [row] = (await fleet.rows()).filter(({ code }) => code === quarantined);
  expect(row).toMatchObject({ error_kind: 'poison', attempts: 1, error_msg: expect.stringMatching(message) });
}

const expiredIn = ({ masters }: Fleet) =>
  masters.flatMap(({ log }) => log.filter(({ message }) => /leases expired/.test(message)));

describe('a worker', () => {
  test('whose clock is an hour off, or whose event loop stands still for several leases, keeps its leases', async () => {
    const fleet = await queued('clocks', lasting(300, 3));
    const hour = 3_600_000;
    await startOdd(fleet, { block: 8000 });
    await until(() => runsOf(fleet).length === 1, 'the first run has begun');
    for (const clock of [hour, -hour]) await startOdd(fleet, { clock }, '--concurrency', '4');
    await expectExplored(fleet);
    expect(expiredIn(fleet)).toEqual([]);
    expect(runsOf(fleet)).toEqual(planeRows.map(({ code }) => code).sort());
    await fleet.stop();
  });

  test('whose renewal crosses the end of its lease says of none that it was lost', async () => {
    const fleet = await queued('crossing', lasting(10));
    const worker = await startOdd(fleet, { lateReply: 800 }, '--concurrency', '16');
    await expectExplored(fleet);
    expect(worker.log.filter(({ message }) => /lost/.test(message))).toEqual([]);
    await fleet.stop();
  });

  test('that was stopped past its lease changes nothing when it comes back', async () => {
    const fleet = await queued('stopped', lasting(500));
    const late = await startOdd(fleet, {});
    await until(() => runsOf(fleet).length === 1, 'it runs the start');
    late.kill('SIGSTOP');
    await fleet.crew({ masters: 0, clients: 0, workerArgs: ['--concurrency', '8'] });
    await until(async () => (await fleet.rows()).some(({ state }) => state === 'completed'), 'another ran it');
    const [before] = (await fleet.rows()).filter(({ previous_hash }) => previous_hash === null);
    late.kill('SIGCONT');
    await late.line(/lost to (another|others)|reply of Redis was lost/);
    await expectExplored(fleet);
    expect((await fleet.rows()).filter(({ previous_hash }) => previous_hash === null)).toEqual([before]);
    await fleet.stop();
  });

  test('whose machine fails every run and the probe pauses itself and says so, and no point pays for it', async () => {
    const fleet = await queued('benched', lasting(10, 3));
    const full = join(fleet.folder, 'disk-is-full');
    writeFileSync(full, '');
    const ill = await startOdd(fleet, { fault: 'no space left on device', whileFile: full });
    const verdict = await ill.line(/^benched after|of kind poison/);
    expect(verdict.message).toBe('benched after a fault and a failed probe: no space left on device');
    const benched = async () => (await fleet.status()).roles.find(({ role }) => role === 'worker')?.benched;
    expect(await until(benched, 'its sign of life tells')).toBe('no space left on device');
    expect((await fleet.run('status')).stdout).toMatch(/BENCHED: no space left on device/);
    const probes = () => ill.log.filter(({ message }) => /looks again in/.test(message)).length;
    await until(() => probes() >= 3, 'it has probed its machine several times');
    const waiting = await redis.connect().lrange(fleet.key('main_Q'), 0, -1);
    expect(waiting).toEqual(['0.0,0.0;{"v":1,"depth":0}']);
    rmSync(full);
    await expectExplored(fleet);
    await fleet.stop();
  });
});

describe('a worker that is told to stop', () => {
  test.each(['put', 'take', 'save', 'fetch'])(
    'gives its point back within the grace, also in a %s that hangs',
    async (hangsIn) => {
      const command = ['sh', '-c', 'echo \'{"stable":true}\' > "$FLEET_OUTPUT_DIR/result.json"'];
      const fleet = await queued(`hangs-in-${hangsIn}`, {
        simulator: { kind: 'program', command, sandbox: { kind: 'local' } },
        lease: { seconds: 600 },
      });
      if (hangsIn === 'fetch') {
        const client = redis.connect();
        await client.rpush(fleet.key('main_Q'), `0.0,0.0;{"v":1,"depth":0,"previous_path":"/x/${'0'.repeat(32)}/y"}`);
      }
      const worker = await startOdd(fleet, { hangsIn }, '--grace', '100ms');
      await until(() => runsOf(fleet).length === 1, 'the run hangs');
      const client = redis.connect();
      const lastSign = async () =>
        Object.values(await client.hgetall(fleet.key('roles'))).find((sign) => /"worker"/.test(sign));
      worker.kill('SIGTERM');
      const signs = new Set<string | undefined>();
      const end = await until(async () => {
        signs.add(await lastSign());
        if ((await client.hlen(fleet.key('leased'))) === 0) return 'given back';
        return signs.size > 6 ? 'kept, while the worker lives on' : undefined;
      }, 'the lease is over, or the worker gives more signs of life');
      expect(end).toBe('given back');
      expect(await worker.exited).toEqual({ status: 0, signal: null });
      expect(await client.exists(fleet.key('processing_Q'), fleet.key('leases'))).toBe(0);
      expect(await fleet.rows()).toMatchObject([{ code: '0.0,0.0', attempts: expect.toSatisfy((n) => n <= 1) }]);
      await fleet.stop();
    },
  );
});

test.each([1, 2])(
  'a point that fails on sound machines is quarantined, and the search goes on around it: %d workers',
  async (workers) => {
    const fleet = planeFleet(redis, `faulty-point-${workers}`, { run: { losses: 3 } });
    await fleet.crew({ workers: 0 });
    const faultAt = '0.5,0.0';
    for (let started = 0; started < workers; started++) await startOdd(fleet, { faultAt });
    for (const worker of fleet.workers) await worker.line(/^serving/);
    expect(await fleet.run('starter')).toMatchObject(done);
    await fleet.over();
    await expectAllBut(fleet, faultAt, /^3 runs in a row .*; the last fault: a fault that goes with the point$/);
    const [row] = (await fleet.rows()).filter(({ code }) => code === faultAt);
    const named = /\((.*)\)/.exec(row?.error_msg ?? '')?.[1]?.split(', ');
    expect(named, 'each worker met it').toHaveLength(workers);
    expect(runsOf(fleet).filter((code) => code === faultAt)).toHaveLength(3);
    expect(fleet.workers.flatMap(({ log }) => log.filter(({ message }) => /benched/.test(message)))).toEqual([]);
    await fleet.stop();
  },
);

test('a point whose workers keep vanishing is quarantined, and the search goes on around it', async () => {
  const fleet = await queued('poison', lasting(100));
  const vanish = '0.5,0.0';
  for (let vanished = 0; vanished < 2; vanished++) {
    const worker = await startOdd(fleet, { vanish });
    expect(await worker.exited).toEqual({ status: null, signal: 'SIGKILL' });
  }
  await startOdd(fleet, { vanish });
  await fleet.over();
  await expectAllBut(fleet, vanish, /^2 workers in a row vanished/);
  await fleet.stop();
});
