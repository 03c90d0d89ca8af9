import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { climateOf } from '../../src/simulators/reference.js';
import { Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';
import { temporaryFolder } from '../support/folder.js';
import { startMariadb } from '../support/mariadb.js';
import { type Role, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { type Serving, type ServingRole, startDist } from './dist.js';
import { type Services, TestSearch } from './search.js';

/**
 * Every crash point: a role's process ends before, or just after, a call to Redis, SQL or the disk, or is told that a call failed
 * that took effect; then a fresh one takes over. The search must end as the plain loop does.
 * Short form: each call site once in each form. Long form (FAULTS=long): each call of each role in each form.
 */
type Victim = 'starter' | ServingRole;
type Form = 'before' | 'after' | 'lied';
interface Point {
  victim: Victim;
  form: Form;
  site?: string;
  k?: number;
}

const long = process.env.FAULTS === 'long';
const atOnce = 5;
const deaths: Form[] = ['before', 'after'];
const victims: Victim[] = ['starter', 'sql-client', 'sql-client-master', 'worker'];
const serving: ServingRole[] = ['sql-client', 'sql-client-master', 'worker'];

const axis = { start: 0, step: [{ below: 100, by: 1 }], min: -2, max: 2 };
const space = new Space({
  parameters: [
    { name: 'a', ...axis },
    { name: 'b', ...axis },
  ],
  mode: 'sides',
  reach: 1,
});
const expected = floodFill(space, ({ dictionary }) => climateOf(dictionary).stable);
const config = { parameters: { a: axis, b: axis }, lease: { seconds: 1 }, run: { losses: 1000 } };
const injected = ['inject.mjs', 'model.mjs'].map((file) => fileURLToPath(new URL(file, import.meta.url)));

let services: Services;
let folder = '';
beforeAll(async () => {
  folder = temporaryFolder();
  services = { redis: await startRedis(), mariadb: await startMariadb() };
});

let searches = 0;

/** Runs a search in which one process meets faults; answers how many it met. */
async function search(victim: Victim, env: Record<string, string>): Promise<number> {
  const tested = new TestSearch(`crash-${++searches}`, services, config);
  const run = new CrashRun(tested, victim, env);
  try {
    await run.toTheEnd();
  } catch (error) {
    const told = `${victim} ${JSON.stringify(env)}\n${await tested.told()}\n${run.wrote}`;
    throw new Error(`${(error as Error).message}\n${told}`, { cause: error });
  }
  return run.faults;
}

/** A search with one process that may die, whose place a fresh one then takes; the other roles stay whole. */
class CrashRun {
  private readonly whole: Serving[] = [];
  private readonly processes: Role[] = [];
  private replaced = false;

  constructor(
    private readonly tested: TestSearch,
    private readonly victim: Victim,
    private readonly env: Record<string, string>,
  ) {}

  get wrote(): string {
    return this.processes.map(({ stderr }) => stderr).join('');
  }

  get faults(): number {
    return this.wrote.match(/^\{"fault":/gm)?.length ?? 0;
  }

  async toTheEnd(): Promise<void> {
    const { tested, victim } = this;
    for (const role of serving) if (role !== victim && role !== 'worker') await this.serve(role);
    await this.startVictim(this.env);
    await this.reaches(() => tested.isThere(), 'there is a table');
    await tested.watchSettledRows();
    await this.reaches(() => tested.isOpen(), 'the search is open');
    await leftByOthers(tested);
    if (victim !== 'worker') await this.serve('worker');
    if (victim !== 'starter') await tested.redis.lpush(tested.key('main_sql_Q'), space.start.code);
    await this.reaches(() => tested.done(), 'the search is over');
    await tested.expectExactly(expected);
    await this.endAll();
  }

  private async serve(role: ServingRole): Promise<void> {
    const { serve } = await startDist();
    this.whole.push(serve(role, this.tested.configPath));
  }

  private async startVictim(faults: Record<string, string>): Promise<void> {
    const NODE_OPTIONS = injected.map((file) => `--import=${file}`).join(' ');
    const env = { NODE_OPTIONS, KEEP_FILES: '1', ...faults };
    const options = { config: this.tested.configPath, env, cwd: this.tested.folder };
    this.processes.push(await startRole(this.victim, this.victim === 'sql-client' ? ['-c', '1'] : [], options));
  }

  private async reaches(condition: () => Promise<boolean>, what: string): Promise<void> {
    const reached = until(async () => {
      await this.replaceTheDead();
      return condition();
    }, what);
    await Promise.race([reached, ...this.whole.map(({ broken }) => broken)]);
  }

  private async replaceTheDead(): Promise<void> {
    const [role] = this.processes;
    if (!role?.ended || this.replaced) return;
    const { status } = await role.exited;
    if (status === 0) return;
    this.replaced = true;
    if (this.victim === 'starter') await this.startVictim({});
    else await this.serve(this.victim);
  }

  /** Who met no deadly fault still serves, and ends well when it is asked to. */
  private async endAll(): Promise<void> {
    for (const role of this.processes) {
      if (!role.ended && this.victim !== 'starter') role.kill('SIGTERM');
      const { status, signal } = await role.exited;
      if (signal !== 'SIGKILL') expect(status).toBe(0);
      await role.close();
    }
    await Promise.all(this.whole.map((one) => one.end()));
  }
}

/** What processes that died elsewhere may have left, so that each duty has something to do. */
async function leftByOthers({ redis, key }: TestSearch): Promise<void> {
  const lease = '0.0,-1.0;{"v":1,"depth":0}';
  await redis
    .multi()
    .rpush(key('batch:running_sql_Q/ghost/1'), space.start.code)
    .rpush(key('batch:main_sql_Q/ghost/1'), '1.0,0.0')
    .zadd(key('batches'), 0, 'running_sql_Q/ghost/1', 0, 'main_sql_Q/ghost/1')
    .hset(key('taken'), 'running_sql_Q/ghost/1', 1, 'main_sql_Q/ghost/1', 1)
    .lpush(key('processing_Q'), lease, '0.0,1.0')
    .zadd(key('leases'), 1, 'ghost-0')
    .hset(key('leased'), 'ghost-0', lease)
    .lpush(key('main_sql_Q'), 'malformed')
    .lpush(key('error_sql_Q'), 'malformed')
    .lpush(key('main_Q'), 'malformed', '0.0,2.0')
    .exec();
}

async function sitesOf(victim: Victim): Promise<string[]> {
  const file = join(folder, `sites-${victim}`);
  await search(victim, { FAULT_SITES: file });
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

/** Tries crash points, some at once; answers those that were not met. */
async function tryAll(points: readonly Point[]): Promise<Point[]> {
  const left = [...points];
  const missed: Point[] = [];
  const lane = async () => {
    for (let point = left.shift(); point; point = left.shift()) {
      const { victim, ...fault } = point;
      if ((await search(victim, { FAULT: JSON.stringify(fault) })) === 0) missed.push(point);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return missed;
}

describe('a process that dies or is lied to at any of its calls loses nothing', () => {
  test.each(victims)('%s', { timeout: long ? 7_200_000 : 600_000 }, async (victim) => {
    const sites = await sitesOf(victim);
    const lies = await search(victim, { FAULT: JSON.stringify({ form: 'lied' }) });
    const points = sites.flatMap((site) => deaths.map((form): Point => ({ victim, form, site })));
    const missed = await tryAll(points);
    say(victim, `${sites.length} call sites`, points.length - missed.length + lies, missed);
    expect(missed.length + Math.max(0, sites.length - lies)).toBeLessThanOrEqual(sites.length / 4);
    if (long) await tryEveryCall(victim);
  });
});

/** One call after another, until none is met any more. */
async function tryEveryCall(victim: Victim): Promise<void> {
  let tried = 0;
  for (let k = 1; ; k += atOnce) {
    const ks = Array.from({ length: atOnce }, (_, i) => k + i);
    const points = ks.flatMap((k) => [...deaths, 'lied' as const].map((form): Point => ({ victim, form, k })));
    const missed = await tryAll(points);
    tried += points.length - missed.length;
    if (missed.length === points.length) break;
  }
  say(victim, 'each of its calls', tried, []);
}

function say(victim: Victim, where: string, tried: number, missed: readonly Point[]): void {
  const names = missed.map(({ form, site }) => `${form} ${site}`).join('; ');
  const notMet = missed.length === 0 ? '' : ` (not met, as time went otherwise: ${names})`;
  console.log(
    `${victim}: ${tried} crash points tried at ${where}${notMet}; lost 0, duplicated 0, settled rows changed 0`,
  );
}
