import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { startMariadb } from '../support/mariadb.js';
import { type Role, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import {
  config,
  everyCrashPoint,
  expected,
  faultsIn,
  long,
  type Outcome,
  serveHere,
  space,
  withFaults,
} from './crashing.js';
import type { Serving, ServingRole } from './dist.js';
import { type Findings, type Services, TestSearch } from './search.js';

/**
 * Every crash point: a role's process ends before, or just after, a call to Redis, SQL or the disk, or is told that a call failed
 * that took effect; then a fresh one takes over. The search must end as the plain loop does.
 * Short form: each call site once in each form. Long form (FAULTS=long): each call of each role in each form.
 */
type Victim = 'starter' | ServingRole;

const victims: Victim[] = ['starter', 'sql-client', 'sql-client-master', 'worker'];
const serving: ServingRole[] = ['sql-client', 'sql-client-master', 'worker'];

let services: Services;
beforeAll(async () => {
  // Searches by the hundred keep some connections to the end.
  const mariadb = await startMariadb({ options: ['--max-connections=10000'] });
  services = { redis: await startRedis(), mariadb };
});

let searches = 0;

/** Runs a search in which one process meets faults. */
async function search(victim: Victim, env: Record<string, string>, urls: { database?: string }): Promise<Outcome> {
  const tested = new TestSearch(`crash-${++searches}`, services, config, urls);
  const run = new CrashRun(tested, victim, env);
  try {
    const found = await run.toTheEnd();
    return { met: faultsIn(run.wrote), found };
  } catch (error) {
    const told = `${victim} ${JSON.stringify(env)}\n${await tested.told()}\n${run.wrote}`;
    throw new Error(`${(error as Error).message}\n${told}`, { cause: error });
  }
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

  async toTheEnd(): Promise<Findings> {
    const { tested, victim } = this;
    for (const role of serving) if (role !== victim && role !== 'worker') await this.serve(role);
    await this.startVictim(this.env);
    await this.reaches(() => tested.isThere(), 'there is a table');
    await tested.watchSettledRows();
    await this.reaches(() => tested.isOpen(), 'the search is open');
    // Before others' points can propose it.
    if (victim === 'starter') await this.reaches(() => tested.hasRow(space.start.hash), 'the start has its row');
    await leftByOthers(tested);
    if (victim !== 'worker') await this.serve('worker');
    if (victim !== 'starter') await tested.redis.lpush(tested.key('main_sql_Q'), space.start.code);
    await this.reaches(() => tested.done(), 'the search is over');
    const found = await tested.expectExactly(expected);
    if (victim !== 'worker') expect(found.repeated, 'whoever runs no point costs no run').toBe(0);
    await this.endAll();
    return found;
  }

  private async serve(role: ServingRole): Promise<void> {
    this.whole.push(await serveHere(this.tested, role));
  }

  private async startVictim(faults: Record<string, string>): Promise<void> {
    const options = { config: this.tested.configPath, env: withFaults(this.tested, faults), cwd: this.tested.folder };
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
async function leftByOthers(tested: TestSearch): Promise<void> {
  const { redis, key, table } = tested;
  const { code, hash } = space.decode('0.0,-1.0');
  const lease = `${code};{"v":1,"depth":0}`;
  await tested.query(
    `insert into ${table} (hash, code, a, b, depth, state) values ('${hash}', '${code}', 0, -1, 0, 'queue')`,
  );
  await redis
    .multi()
    .sadd(key('seen'), hash)
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

const ofServices = () => ({});
const ofSqlite = () => ({ database: `sqlite:${join(temporaryFolder(), 'fleet.db')}` });
const timeout = long ? 7_200_000 : 600_000;

describe('a process that dies or is lied to at any of its calls loses nothing', () => {
  test.each(victims)('%s', { timeout }, (victim) =>
    everyCrashPoint(victim, ([faults = {}]) => search(victim, faults, ofServices())),
  );

  // What differs there are the calls to the database; in the short form those of the process that makes the most kinds of them.
  const onSqlite = long ? victims.filter((victim) => victim !== 'worker') : (['sql-client'] as const);
  test.each(onSqlite)('%s, on SQLite', { timeout }, (victim) =>
    everyCrashPoint(`${victim}, on SQLite`, ([faults = {}]) => search(victim, faults, ofSqlite()), {
      chosen: (site) => site.startsWith('sql '),
    }),
  );
});
