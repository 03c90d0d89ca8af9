import { readFileSync } from 'node:fs';
import { connectDatabase } from '../../src/ledger/connect.js';
import { Connection } from '../../src/queue/connection.js';
import { Keys } from '../../src/queue/keys.js';
import { look } from '../../src/queue/look.js';
import { Session } from '../../src/queue/session.js';
import { pause } from '../../src/support/bell.js';
import { startMariadb } from '../support/mariadb.js';
import { type Role, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';

const looksMs = 200;

/** A search, and the processes that run it. */
export interface FleetSetting {
  config: { name: string; [block: string]: unknown };
  clients?: number;
  masters?: number;
  workers?: number;
  concurrency?: number;
  /** Points of the whole search, where they are known. */
  points?: number;
}

export interface FleetFigures {
  points: number;
  seconds: number;
  pointsPerSecond: number;
  /** Points per second in each tenth of the search. */
  tenths: number[];
  /** CPU seconds per 1,000 points: of each role, Redis and the database. */
  cpuPer1000: Record<string, number>;
  /** Resident memory, MiB: at a tenth of the search, and at its end. */
  memory: Record<string, [atTenth: number, atEnd: number]>;
  /** Redis's peak memory, bytes per point. */
  redisBytesPerPoint: number;
  /** What a master takes to make an emptied Redis whole again, s. */
  rebuildSeconds: number;
}

/** One Redis and one MariaDB, as in earnest: append-only file; a flush at every commit, doublewrite, a redo log as servers have. */
export async function startServices(bufferPool = '2G') {
  const redis = await startRedis({ persistence: 'aof', options: ['--appendfsync', 'everysec'] });
  const mariadb = await startMariadb({
    durable: true,
    options: [`--innodb-buffer-pool-size=${bufferPool}`, '--innodb-log-file-size=1G'],
  });
  return { redis, mariadb };
}

export type Services = Awaited<ReturnType<typeof startServices>>;

/** Runs a search from `starter` to its last settled row. */
export async function runFleet(services: Services, setting: FleetSetting): Promise<FleetFigures> {
  const { clients = 1, masters = 1, workers = 2, concurrency = 1 } = setting;
  const database = { url: await services.mariadb.createDatabase() };
  const redis = { url: unixUrl(services.redis.url) };
  const config = { ...setting.config, redis, database };
  const roles: [string, Role][] = [];
  const start = async (role: string, args: string[], count: number) => {
    for (let i = 0; i < count; i++) roles.push([role, await startRole(role, args, { config })]);
  };
  await start('sql-client', ['-c'], clients);
  await start('sql-client-master', [], masters);
  await start('worker', ['--concurrency', String(concurrency)], workers);
  await Promise.all(roles.map(([, role]) => role.line(/^serving/)));
  const processes = [
    ...roles.map(([name, { pid }]) => [name, pid] as const),
    ['redis', services.redis.pid] as const,
    ['mariadb', services.mariadb.pid] as const,
  ];
  const before = cpuByName(processes);
  const figures = await measure(setting, config, processes);
  const after = cpuByName(processes);
  const cpuPer1000 = Object.fromEntries(
    Object.entries(after).map(([name, seconds]) => [name, (1000 * (seconds - (before[name] ?? 0))) / figures.points]),
  );
  for (const [, role] of roles) role.kill('SIGKILL');
  await Promise.all(roles.map(([, role]) => role.exited));
  return { ...figures, cpuPer1000, rebuildSeconds: await rebuilt(config) };
}

async function rebuilt(config: { redis: { url: string } }): Promise<number> {
  const connection = new Connection(config.redis.url, 'bench');
  await connection.ask((client) => client.flushall());
  await connection.close();
  const master = await startRole('sql-client-master', [], { config });
  const { seconds } = await master.line(/^the search is open/);
  master.kill('SIGKILL');
  await master.exited;
  return Number(seconds);
}

async function measure(
  setting: FleetSetting,
  config: { redis: { url: string }; database: { url: string } },
  processes: readonly (readonly [string, number])[],
): Promise<Omit<FleetFigures, 'cpuPer1000' | 'rebuildSeconds'>> {
  const connection = new Connection(config.redis.url, 'bench');
  const session = new Session(connection, new Keys(setting.config.name), 'bench');
  const database = connectDatabase(config.database.url);
  const peakBefore = await usedMemory(connection);
  await connection.ask((redis) => redis.config('RESETSTAT'));
  const starter = await startRole('starter', ['--no-wait'], { config });
  await starter.exited;
  const began = performance.now();
  const curve: [seconds: number, ended: number][] = [[0, 0]];
  let memoryAtTenth: Record<string, number> | undefined;
  let peak = peakBefore;
  for (;;) {
    await pause(looksMs);
    const seen = await look(session);
    curve.push([(performance.now() - began) / 1000, seen.ended]);
    peak = Math.max(peak, await usedMemory(connection));
    if (setting.points && seen.ended >= setting.points / 10) memoryAtTenth ??= residentByName(processes);
    if (seen.empty && seen.ended > 0 && (await live(database)) === 0) break;
  }
  const seconds = curve.at(-1)?.[0] as number;
  const points = curve.at(-1)?.[1] as number;
  const atEnd = residentByName(processes);
  const memory = Object.fromEntries(
    Object.entries(atEnd).map(([name, size]) => [name, [memoryAtTenth?.[name] ?? size, size] as [number, number]]),
  );
  await connection.close();
  await database.destroy();
  return {
    points,
    seconds,
    pointsPerSecond: points / seconds,
    tenths: tenthsOf(curve, points),
    memory,
    redisBytesPerPoint: (peak - peakBefore) / points,
  };
}

async function live(database: ReturnType<typeof connectDatabase>): Promise<number> {
  const counted = await database('parameterspace').whereIn('state', ['queue', 'running']).count({ rows: '*' }).first();
  return Number(counted?.rows);
}

/** Points per second between each tenth of the points and the next. */
function tenthsOf(curve: readonly [number, number][], points: number): number[] {
  const when = (share: number) => {
    const wanted = share * points;
    const after = curve.findIndex(([, ended]) => ended >= wanted);
    const [t1 = 0, n1 = 0] = curve[after - 1] ?? [];
    const [t2 = 0, n2 = 0] = curve[after] ?? [];
    return n2 === n1 ? t2 : t1 + ((t2 - t1) * (wanted - n1)) / (n2 - n1);
  };
  return Array.from({ length: 10 }, (_, tenth) => points / 10 / (when((tenth + 1) / 10) - when(tenth / 10)));
}

export function unixUrl(url: string): string {
  return url.startsWith('/') ? `unix:${url}` : url;
}

async function usedMemory(connection: Connection): Promise<number> {
  const info = await connection.ask((redis) => redis.info('memory'));
  return Number(/^used_memory:(\d+)/m.exec(info)?.[1]);
}

/** CPU seconds, own and the system's, of all processes of a name, since they started. */
export function cpuByName(processes: readonly (readonly [string, number])[]): Record<string, number> {
  return sumByName(processes, (pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  });
}

function residentByName(processes: readonly (readonly [string, number])[]): Record<string, number> {
  return sumByName(processes, (pid) => {
    const size = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return Number(size) / 1024;
  });
}

function sumByName(processes: readonly (readonly [string, number])[], of: (pid: number) => number) {
  const sums: Record<string, number> = {};
  for (const [name, pid] of processes) sums[name] = (sums[name] ?? 0) + of(pid);
  return sums;
}
