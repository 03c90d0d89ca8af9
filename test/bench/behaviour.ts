import { connectDatabase } from '../../src/ledger/connect.js';
import { Connection } from '../../src/queue/connection.js';
import { sightings } from '../../src/queue/fleet.js';
import { Keys } from '../../src/queue/keys.js';
import { Leases } from '../../src/queue/leases.js';
import { Session } from '../../src/queue/session.js';
import { pause } from '../../src/support/bell.js';
import { type Role, startRole } from '../support/processes.js';
import { cpuByName, type Services, unixUrl } from './fleet.js';
import { grid, waits } from './searches.js';

/** A running fleet whose search has not begun. */
async function idleFleet(services: Services, block: { name: string }, workers: number, concurrency: number) {
  const config = {
    ...block,
    redis: { url: unixUrl(services.redis.url) },
    database: { url: await services.mariadb.createDatabase() },
  };
  const roles: Role[] = [
    await startRole('sql-client', ['-c'], { config }),
    await startRole('sql-client-master', [], { config }),
  ];
  for (let i = 0; i < workers; i++) {
    roles.push(await startRole('worker', ['--concurrency', String(concurrency)], { config }));
  }
  await Promise.all(roles.map((role) => role.line(/^serving/)));
  const connection = new Connection(config.redis.url, 'bench');
  const session = new Session(connection, new Keys(block.name), 'bench');
  const database = connectDatabase(config.database.url);
  const end = async () => {
    for (const role of roles) role.kill('SIGKILL');
    await Promise.all(roles.map((role) => role.exited));
    await connection.close();
    await database.destroy();
  };
  return { config, roles, session, connection, database, end };
}

export interface Quantiles {
  median: number;
  p99: number;
}

function quantiles(values: number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
  return { median: at(0.5), p99: at(0.99) };
}

/** Milliseconds from a candidate's push onto an idle fleet's main_sql_Q to its run's start; and those of one commit alone. */
export async function latency(services: Services, pushes = 200): Promise<{ push: Quantiles; commit: Quantiles }> {
  const { connection, session, database, end } = await idleFleet(services, waits('bench-latency', 1, 2), 1, 1);
  const commits: number[] = [];
  const lags: number[] = [];
  await database.schema.createTable('commits', (table) => table.integer('n'));
  for (let n = 1; n <= pushes; n++) {
    const before = performance.now();
    await database('commits').insert({ n });
    commits.push(performance.now() - before);
    // Far outside the bounds: a root of its own, without neighbours that would keep the fleet busy.
    const code = `${n}00.5,${n}00.5,${n}00.5`;
    const pushed = Date.now();
    await connection.ask((redis) => redis.lpush(session.keys.list('main_sql_Q'), code));
    for (;;) {
      const row = await database('parameterspace').where({ code }).first('state', 'start_time');
      if (row?.state === 'completed') {
        lags.push(Date.parse(`${row.start_time.replace(' ', 'T')}Z`) - pushed);
        break;
      }
      await pause(5);
    }
  }
  await end();
  return { push: quantiles(lags), commit: quantiles(commits) };
}

/** Proposals per second that Redis refuses as seen, from two connections. */
export async function dedupeRate(services: Services, proposals = 1_000_000): Promise<number> {
  const { config, connection, session, end } = await idleFleet(services, grid('small'), 0, 1);
  const known = Array.from({ length: 5000 }, (_, i) => ({ hash: i.toString(16).padStart(32, '0'), element: `${i}` }));
  const settings = { leaseMs: 30_000, maxPoints: null };
  await connection.ask((redis) => redis.sadd(session.keys.seen, ...known.map(({ hash }) => hash)));
  const began = performance.now();
  const refuse = async () => {
    const own = new Connection(config.redis.url, 'bench');
    const leases = new Leases(new Session(own, session.keys, 'bench'), settings);
    for (let sent = 0; sent < proposals / 2; sent += known.length) await leases.propose(known);
    await own.close();
  };
  await Promise.all([refuse(), refuse()]);
  const seconds = (performance.now() - began) / 1000;
  await end();
  return proposals / seconds;
}

/** Share of their time that many slots are busy, and of one core that the same fleet takes when idle. */
export async function manySlots(services: Services, processes = 20, slots = 100, seconds = 40) {
  const { config, roles, session, end } = await idleFleet(services, waits('bench-slots', 10_000, 30), processes, slots);
  const cpu = () => {
    const ids = [...roles.map(({ pid }) => ['roles', pid] as const), ['redis', services.redis.pid] as const];
    return Object.values(cpuByName(ids)).reduce((total, each) => total + each, 0);
  };
  await pause(2000);
  const idleBefore = cpu();
  await pause(10_000);
  const idleShare = (cpu() - idleBefore) / 10;
  await (await startRole('starter', ['--no-wait'], { config })).exited;
  const wanted = processes * slots;
  const busySlots = async () => {
    const seen = await sightings(session, 60_000);
    return seen.filter(({ role }) => role === 'worker').reduce((total, { busy = 0 }) => total + busy, 0);
  };
  while ((await busySlots()) < wanted) await pause(500);
  const samples: number[] = [];
  for (let i = 0; i < seconds; i++) {
    await pause(1000);
    samples.push(await busySlots());
  }
  await end();
  return {
    slots: wanted,
    busyShare: samples.reduce((total, busy) => total + busy / wanted, 0) / samples.length,
    idleShare,
  };
}

/** Milliseconds until SQL tells of a run's start and of its end, with runs of 100 ms. */
export async function slowRuns(
  services: Services,
  seconds = 10,
): Promise<{ running: Quantiles; completed: Quantiles }> {
  const { config, database, end } = await idleFleet(services, waits('bench-slow', 100, 30), 2, 10);
  await (await startRole('starter', ['--no-wait'], { config })).exited;
  const met = { running: new Map<string, number>(), completed: new Map<string, number>() };
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) {
    const rows = await database('parameterspace')
      .whereIn('state', ['running', 'completed'])
      .orderBy('start_time', 'desc')
      .limit(500)
      .select('hash', 'state', 'start_time', 'end_time');
    for (const { hash, state, start_time, end_time } of rows) {
      const seen = met[state as 'running' | 'completed'];
      const since = Date.parse(`${(state === 'running' ? start_time : end_time).replace(' ', 'T')}Z`);
      if (!seen.has(hash)) seen.set(hash, Date.now() - since);
    }
    await pause(20);
  }
  await end();
  return { running: quantiles([...met.running.values()]), completed: quantiles([...met.completed.values()]) };
}
