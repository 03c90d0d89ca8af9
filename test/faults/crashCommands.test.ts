import { readFileSync } from 'node:fs';
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

/** A command that is given while a fleet works, and given again when it died. */
interface Given {
  role: string;
  args: string[];
  /** Roles that work meanwhile. */
  fleet: ServingRole[];
  /** What the search is like when it is given for the n-th time, from 0. */
  before(tested: TestSearch, n: number): Promise<void>;
  /** What the fleet needs after it. */
  after?: (run: CommandRun) => Promise<void>;
}

const whole: ServingRole[] = ['sql-client', 'sql-client-master', 'worker'];
const start = space.start.code;
/** A command is given so often in one search, and dies each time but the last. */
const together = 8;

async function begun(tested: TestSearch, n: number): Promise<void> {
  if (n > 0) return;
  await tested.redis.lpush(tested.key('main_sql_Q'), start);
  const settled = `select 1 from ${tested.table} where state = 'completed'`;
  await until(async () => (await tested.query(settled)).length > 0, 'a point is settled');
}

const commands: Given[] = [
  {
    role: 'kill',
    args: ['-k'],
    fleet: whole,
    before: begun,
    after: async (run) => {
      await run.endFleet();
      await run.command('kill', ['--clear'], {});
      await run.serve(whole);
    },
  },
  { role: 'kill', args: ['-r'], fleet: whole, before: begun },
  { role: 'sql-client', args: ['-r'], fleet: whole, before: begun },
  {
    role: 'starter',
    args: ['--retry', 'errors'],
    fleet: ['sql-client', 'sql-client-master'],
    before: async (tested, n) => {
      const failed = { v: 1, depth: 0, attempt: 1, error_kind: 'program', error_msg: 'exit status 1' };
      const { code = start } = expected[n] ?? {};
      await tested.redis.lpush(tested.key('error_sql_Q'), `${code};${JSON.stringify(failed)}`);
      const row = `select 1 from ${tested.table} where code = '${code}' and state = 'error'`;
      await until(async () => (await tested.query(row)).length > 0, 'the point is an error');
    },
    after: (run) => run.serve(['worker']),
  },
];

let services: Services;
beforeAll(async () => {
  services = { redis: await startRedis(), mariadb: await startMariadb() };
});

let searches = 0;

/** Has a fleet work on a search, and one command meet faults. */
async function search(given: Given, faults: readonly Record<string, string>[]): Promise<Outcome> {
  const tested = new TestSearch(`crash-${++searches}`, services, config);
  const run = new CommandRun(tested);
  try {
    const found = await run.toTheEnd(given, faults);
    return { met: faultsIn(run.wrote), found };
  } catch (error) {
    const told = `${given.role} ${given.args} ${JSON.stringify(faults)}\n${await tested.told()}\n${run.wrote}`;
    throw new Error(`${(error as Error).message}\n${told}`, { cause: error });
  }
}

/** A search whose fleet works within the test's process, while a command's process may die. */
class CommandRun {
  private fleet: Serving[] = [];
  private readonly processes: Role[] = [];

  constructor(private readonly tested: TestSearch) {}

  get wrote(): string {
    return this.processes.map(({ stderr }) => stderr).join('');
  }

  async toTheEnd(given: Given, faults: readonly Record<string, string>[]): Promise<Findings> {
    const { role, args, fleet, before, after } = given;
    const { tested } = this;
    await this.serve(fleet);
    await this.reaches(() => tested.isOpen(), 'the search is open');
    let worked = false;
    for (const [n, fault] of faults.entries()) {
      await before(tested, n);
      worked = await this.command(role, args, withFaults(tested, fault));
    }
    if (!worked) expect(await this.command(role, args, {})).toBe(true);
    await after?.(this);
    await this.reaches(() => tested.isThere(), 'there is a table');
    await tested.watchSettledRows();
    await tested.redis.lpush(tested.key('main_sql_Q'), start);
    await this.reaches(() => tested.done(), 'the search is over');
    const found = await tested.expectExactly(expected);
    await this.endFleet();
    for (const process of this.processes) await process.close();
    return found;
  }

  async serve(roles: readonly ServingRole[]): Promise<void> {
    this.fleet.push(...(await Promise.all(roles.map((role) => serveHere(this.tested, role)))));
  }

  async endFleet(): Promise<void> {
    await Promise.all(this.fleet.splice(0).map((one) => one.end()));
  }

  /** Gives a command; whether it did its work: it ended well, or would serve on. */
  async command(role: string, args: string[], env: Record<string, string>): Promise<boolean> {
    const calls = env.FAULT_CALLS ?? join(temporaryFolder(), 'calls');
    const options = { config: this.tested.configPath, env: { ...env, FAULT_CALLS: calls }, cwd: this.tested.folder };
    const process = await startRole(role, args, options);
    this.processes.push(process);
    const serves = await process.line(/^serving/).catch(() => undefined);
    if (serves && env.FAULT !== undefined) {
      // A client that serves has taken from each list before it looks for batches of dead ones.
      const hasTaken = async () => process.ended || readFileSync(calls, 'utf8').includes('redis zrange batches');
      await until(hasTaken, 'it has taken from its lists');
    }
    if (serves) process.kill('SIGKILL');
    const { status } = await process.exited;
    return serves !== undefined || status === 0;
  }

  private async reaches(condition: () => Promise<boolean>, what: string): Promise<void> {
    await Promise.race([until(condition, what), ...this.fleet.map(({ broken }) => broken)]);
  }
}

describe('a command that dies or is lied to at any of its calls, and is given again, loses nothing', () => {
  test.each(commands)('$role $args', { timeout: long ? 7_200_000 : 600_000 }, (given) =>
    everyCrashPoint([given.role, ...given.args].join(' '), (faults) => search(given, faults), { together }),
  );
});
