import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { expect, test } from 'vitest';
import { Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { type Role, runRole } from '../support/processes.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { Random, seedOfRun } from '../support/random.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { Fleet } from './fleet.js';
import { Invariants } from './invariants.js';
import { TestSearch } from './search.js';
import { shapes, stableIn } from './shapes.mjs';

/**
 * A fleet of real processes on real services, while everything dies that can: the search must end as the plain loop does.
 * FLEET_SEED repeats a run's faults; CHAOS_FAULTS: how many a search (50).
 */
const seed = seedOfRun('chaos');
const faultsWanted = Number(process.env.CHAOS_FAULTS ?? 50);
const leaseSeconds = 3;
const longestPauseMs = 250;

interface Stage {
  random: Random;
  redis: RedisServer;
  mariadb: MariadbServer;
  redisProxy: TcpProxy;
  sqlProxy: TcpProxy;
  search: TestSearch;
  fleet: Fleet;
  /** What goes on in the background: suspended processes that wake again. */
  pending: Set<Promise<unknown>>;
}

/** Answers `nobody` where there is nobody left to strike: the search is over. */
type Fault = (stage: Stage) => Promise<unknown>;
const nobody = 'nobody';

function later(stage: Stage, milliseconds: number, act: () => unknown): void {
  const done = sleep(milliseconds).then(act);
  stage.pending.add(done);
  done.finally(() => stage.pending.delete(done));
}

const redisRestarts =
  (keepData: boolean): Fault =>
  async ({ redis }) => {
    await redis.kill('SIGKILL');
    await redis.restart({ keepData });
  };

const proxied =
  (which: 'redisProxy' | 'sqlProxy', mode: TcpProxy['mode'], milliseconds: number): Fault =>
  async (stage) => {
    stage[which].mode = mode;
    await sleep(milliseconds);
    stage[which].mode = 'pass';
  };

/** What costs no run: services that go away and come back, and processes that own no leases. */
const gentle: Record<string, Fault> = {
  'SQL client killed': async ({ fleet, random }) => random.pick(fleet.of('sql-client')).kill('SIGKILL'),
  'master killed': async ({ fleet, random }) => random.pick(fleet.of('sql-client-master')).kill('SIGKILL'),
  'SQL client ended': async ({ fleet, random }) => random.pick(fleet.of('sql-client')).kill('SIGTERM'),
  'Redis killed, its file kept': redisRestarts(true),
  'Redis killed, then the master in its recovery': async (stage) => {
    await redisRestarts(true)(stage);
    await sleep(stage.random.whole(0, 600));
    for (const master of stage.fleet.of('sql-client-master')) master.kill('SIGKILL');
  },
  'connections to Redis cut': async ({ redisProxy }) => redisProxy.cut(),
  'connections to Redis killed': async ({ search }) =>
    search.redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'),
  'Redis late': proxied('redisProxy', 'delay', 500),
  'Redis trickles': proxied('redisProxy', 'trickle', 300),
  'Redis refuses': async (stage) => {
    stage.redisProxy.mode = 'refuse';
    stage.redisProxy.cut();
    await sleep(stage.random.whole(0, 400));
    stage.redisProxy.mode = 'pass';
  },
  'Redis pauses': async ({ search }) => search.redis.client('PAUSE', 300),
  'Redis forgets its scripts': async ({ search }) => search.redis.script('FLUSH'),
  'Redis is full': async ({ search }) => {
    await search.redis.config('SET', 'maxmemory', '1');
    await sleep(200);
    await search.redis.config('SET', 'maxmemory', '0');
  },
  'database killed': async ({ mariadb, random }) => {
    await mariadb.kill('SIGKILL');
    await sleep(random.whole(0, 300));
    await mariadb.start();
  },
  'connections to the database cut': async ({ sqlProxy }) => sqlProxy.cut(),
  'connections to the database killed': async ({ mariadb }) => killConnections(mariadb),
  'database late': proxied('sqlProxy', 'delay', 500),
  'database read-only': async ({ mariadb }) => {
    await asRoot(mariadb, 'set global read_only = 1');
    await sleep(200);
    await asRoot(mariadb, 'set global read_only = 0');
  },
};

/** Strikes a worker that holds leases, as long as the search goes on: what it held runs again. */
const atHolder =
  (strike: (worker: Role, stage: Stage) => unknown): Fault =>
  async (stage) => {
    const { fleet, random, search } = stage;
    let holders: Role[] = [];
    await until(async () => {
      const tokens = await search.redis.hkeys(search.key('leased'));
      const holds = ({ pid, ended }: Role) => !ended && tokens.some((token) => token.includes(`-${pid}-`));
      holders = fleet.of('worker').filter(holds);
      return holders.length > 0 || search.done();
    }, 'a worker holds a lease');
    return holders.length > 0 ? strike(random.pick(holders), stage) : nobody;
  };

function suspend(process: Role, stage: Stage): void {
  process.kill('SIGSTOP');
  later(stage, leaseSeconds * 1500, () => process.kill('SIGCONT'));
}

function endThenKill(process: Role, stage: Stage): void {
  process.kill('SIGTERM');
  later(stage, stage.random.whole(0, 200), () => process.kill('SIGKILL'));
}

/** What costs the runs that a worker had under way, and no other: whoever sweeps stays, so that leases expire in time. */
const ofWorkers: Record<string, Fault> = {
  'worker killed': atHolder((worker) => worker.kill('SIGKILL')),
  'worker ended': atHolder((worker) => worker.kill('SIGTERM')),
  'worker ended, then killed': atHolder(endThenKill),
  'worker suspended past its lease': atHolder(suspend),
};

/** What may cost runs: leases expire, Redis loses data. */
const rough: Record<string, Fault> = {
  ...gentle,
  'worker killed': async ({ fleet, random }) => random.pick(fleet.of('worker')).kill('SIGKILL'),
  'worker ended': async ({ fleet, random }) => random.pick(fleet.of('worker')).kill('SIGTERM'),
  'ended, then killed': async (stage) => endThenKill(stage.random.pick(stage.fleet.of()), stage),
  'suspended past its lease': async (stage) => suspend(stage.random.pick(stage.fleet.of()), stage),
  'network gone, untold': async (stage) => {
    stage.redisProxy.mode = 'hole';
    await sleep(stage.random.whole(0, leaseSeconds * 1000));
    stage.redisProxy.mode = 'pass';
  },
  'Redis killed, its file lost': redisRestarts(false),
  'Redis flushed': async ({ search }) => search.redis.flushall(),
  'Redis flushed, then the master killed in its recovery': async (stage) => {
    await stage.search.redis.flushall();
    await sleep(stage.random.whole(0, 600));
    for (const master of stage.fleet.of('sql-client-master')) master.kill('SIGKILL');
  },
  'a key deleted': async ({ search, random }) => {
    const keys = (await search.redis.keys('*')).filter((key) => !key.includes('malformed'));
    if (keys.length > 0) await search.redis.del(random.pick(keys));
  },
  'a list truncated': async ({ search, random }) => {
    const key = search.key(random.pick(['main_sql_Q', 'main_Q', 'processing_Q', 'complete0_sql_Q', 'complete1_sql_Q']));
    await search.redis.ltrim(key, random.whole(0, 3), 10);
  },
};

async function asRoot(mariadb: MariadbServer, statement: string): Promise<void> {
  const connection = await createConnection(mariadb.url);
  await connection.query(statement);
  await connection.end();
}

async function killConnections(mariadb: MariadbServer): Promise<void> {
  const connection = await createConnection(mariadb.url);
  const [rows] = await connection.query('select id from information_schema.processlist where id <> connection_id()');
  for (const { id } of rows as { id: number }[]) await connection.query('kill ?', [id]).catch(() => undefined);
  await connection.end();
}

function searchOf(shape: string) {
  const { dimensions, from, to, start } = shapes[shape] as (typeof shapes)[string];
  const names = [...'vwxyz'].slice(0, dimensions);
  const axes = names.map((name, i) => ({
    name,
    start: start[i] as number,
    step: [{ below: 100, by: 1 }],
    min: from,
    max: to,
  }));
  const space = new Space({ parameters: axes, mode: 'sides', reach: 1 });
  const expected = floodFill(space, ({ dictionary }) => stableIn(shape, Object.values(dictionary)));
  const parameters = Object.fromEntries(axes.map(({ name, ...axis }) => [name, axis]));
  return { parameters, expected };
}

async function prepare(shape: string, random: Random, parameters: object): Promise<Stage> {
  const [redis, mariadb] = await Promise.all([startRedis({ persistence: 'aof' }), startMariadb()]);
  const [redisProxy, sqlProxy] = await Promise.all([startProxy(redis.socket), startProxy(mariadb.socket)]);
  const config = {
    parameters,
    lease: { seconds: leaseSeconds },
    run: { losses: 1000 },
    simulator: { kind: 'reference', delayMs: 60 },
  };
  const urls = {
    redis: `redis://127.0.0.1:${redisProxy.port}`,
    database: `mysql://root@127.0.0.1:${sqlProxy.port}/test`,
  };
  const search = new TestSearch(`chaos-${shape}`, { redis, mariadb }, config, urls);
  const fleet = new Fleet(search, shape);
  return { random, redis, mariadb, redisProxy, sqlProxy, search, fleet, pending: new Set() };
}

async function begin({ search, fleet }: Stage): Promise<void> {
  await fleet.start('sql-client', ['-c', '1']);
  await fleet.start('sql-client-master');
  await fleet.start('worker', ['--concurrency', '2']);
  await until(() => search.isThere(), 'there is a table');
  await search.watchSettledRows();
  const { status, stderr } = await runRole('starter', [], { config: search.configPath });
  expect(status, stderr).toBe(0);
  await fleet.start('sql-client-master');
  await fleet.start('worker', ['--concurrency', '2']);
}

async function disturb(stage: Stage, faults: Record<string, Fault>, most: number): Promise<string[]> {
  const { random } = stage;
  const done: string[] = [];
  while (done.length < most) {
    const name = random.pick(Object.keys(faults));
    if ((await (faults[name] as Fault)(stage)) === nobody) break;
    done.push(name);
    await sleep(random.whole(0, longestPauseMs));
  }
  await Promise.all(stage.pending);
  return done;
}

test.each([
  ['islands', 'gentle', gentle],
  ['simplex', 'gentle', gentle],
  ['ball', 'rough', rough],
  ['shell', 'rough', rough],
  ['simplex', 'worker', ofWorkers],
] as const)('a search in the shape of %s survives %s faults', { timeout: 600_000 }, async (shape, kind, faults) => {
  const { parameters, expected } = searchOf(shape);
  const stage = await prepare(shape, new Random(seed + shape.length), parameters);
  const { search, fleet } = stage;
  await begin(stage);
  const invariants = new Invariants(search, kind !== 'rough');
  let watching = true;
  const watch = (async () => {
    for (; watching; await sleep(50)) await invariants.look();
  })();
  // After each fault of a worker's the search waits for another process to start.
  const done = await disturb(stage, faults, kind === 'worker' ? faultsWanted * 0.3 : faultsWanted);
  const told = async (error: unknown) => {
    const last = fleet
      .of()
      .map(({ name, log }) => `${name}: ${JSON.stringify(log.slice(-8).map(({ message }) => message))}`);
    throw new Error(`${error}\nFLEET_SEED=${seed}\n${done.join(', ')}\n${last.join('\n')}\n${await search.told()}`);
  };
  await until(() => search.done(), 'the search is over').catch(told);
  watching = false;
  await watch;
  const { lost, duplicated, extra, runs, repeated } = await search.expectExactly(expected).catch(told);
  const { expired } = fleet;
  console.log(
    `${shape}: ${done.length} ${kind} faults; ${expected.length} points, ${runs} runs, ${repeated} repeated, ${expired} leases expired; ` +
      `lost ${lost}, duplicated rows ${duplicated}, extra ${extra}; invariants held at ${invariants.looks} looks, ${invariants.conserved} against SQL`,
  );
  expect(invariants.broken).toEqual([]);
  expect(invariants.looks).toBeGreaterThan(0);
  expect(fleet.gaveUp).toEqual([]);
  // A lease is good for one run: it is reported, or the point is given back before its run has ended, or the lease expires.
  if (kind !== 'rough') expect(repeated).toBeLessThanOrEqual(expired);
  if (kind === 'worker') expect(expired).toBeGreaterThan(0);
  await fleet.end();
});
