import { existsSync, readFileSync } from 'node:fs';
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
const forms: Form[] = ['before', 'after', 'lied'];
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
let sitesFolder = '';
beforeAll(async () => {
  sitesFolder = temporaryFolder();
  services = { redis: await startRedis(), mariadb: await startMariadb() };
});

let searches = 0;

/** Adds to an error how the search stands. */
async function explained<T>(tested: TestSearch, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${await tested.told()}`, { cause: error });
  }
}

/** Runs a search in which one process may meet one fault; answers what the process wrote of it. */
async function search(victim: Victim, env: Record<string, string>): Promise<{ met: boolean; wrote: string }> {
  const tested = new TestSearch(`crash-${++searches}`, services, config);
  return explained(tested, () => searchIn(tested, victim, env));
}

async function searchIn(tested: TestSearch, victim: Victim, env: Record<string, string>) {
  const { serve } = await startDist();
  const servings: Serving[] = [];
  const start = (role: ServingRole) => servings.push(serve(role, tested.configPath));
  for (const role of serving) if (role !== victim && role !== 'worker') start(role);
  const argumentsOf = victim === 'sql-client' ? ['-c', '1'] : [];
  const startVictim = (faults: Record<string, string>) =>
    startRole(victim, argumentsOf, {
      config: tested.configPath,
      env: { NODE_OPTIONS: injected.map((file) => `--import=${file}`).join(' '), KEEP_FILES: '1', ...faults },
      cwd: tested.folder,
    });
  let role = await startVictim(env);
  const died = () => role.ended;
  const replace = async () => {
    if (victim === 'starter') role = await startVictim({});
    else start(victim);
  };
  let replaced = false;
  const settle = async (condition: () => Promise<boolean>, what: string) =>
    until(
      async () => {
        if (!replaced && died() && (await role.exited).signal === 'SIGKILL') {
          replaced = true;
          await replace();
        }
        return condition();
      },
      `${what}: ${JSON.stringify(env)}`,
    );
  const first = role;
  await settle(() => tested.isThere(), 'there is a table');
  await tested.watchSettledRows();
  await settle(() => tested.isOpen(), 'the search is open');
  await leftByOthers(tested);
  if (victim !== 'worker') start('worker');
  if (victim !== 'starter') await tested.redis.lpush(tested.key('main_sql_Q'), space.start.code);
  await settle(() => tested.done(), 'the search is over');
  await tested.expectExactly(expected);
  const ends = await Promise.allSettled(servings.map((one) => one.end()));
  expect(ends.filter(({ status }) => status === 'rejected')).toEqual([]);
  await expectQuietEnd(first, victim);
  for (const one of new Set([first, role])) await one.close();
  return { met: first.stderr.includes('"fault":'), wrote: first.stderr };
}

/** Who met no deadly fault still serves, and ends well when it is asked to. */
async function expectQuietEnd(role: Role, victim: Victim): Promise<void> {
  if (!role.ended) role.kill('SIGTERM');
  const { status, signal } = await role.exited;
  if (signal === 'SIGKILL') return;
  expect({ victim, status, wrote: status === 0 ? '' : role.stderr }).toEqual({ victim, status: 0, wrote: '' });
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
  const file = join(sitesFolder, `sites-${victim}`);
  await search(victim, { FAULT_SITES: file });
  expect(existsSync(file)).toBe(true);
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}

/** Tries crash points, some at once; answers how many were met. */
async function tryAll(points: readonly Point[]): Promise<{ tried: number; missed: Point[] }> {
  const left = [...points];
  const missed: Point[] = [];
  const lane = async () => {
    for (let point = left.shift(); point; point = left.shift()) {
      const { victim, ...fault } = point;
      const { met } = await search(victim, { FAULT: JSON.stringify(fault) });
      if (!met) missed.push(point);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return { tried: points.length - missed.length, missed };
}

describe('a process that dies or is lied to at any of its calls loses nothing', () => {
  test.each(victims)('%s', { timeout: long ? 7_200_000 : 600_000 }, async (victim) => {
    const sites = await sitesOf(victim);
    const points = sites.flatMap((site) => forms.map((form): Point => ({ victim, form, site })));
    const { tried, missed } = await tryAll(points);
    console.log(
      `${victim}: ${tried} crash points tried at ${sites.length} call sites, ${missed.length} not met; lost 0, duplicated 0, settled rows changed 0`,
    );
    expect(missed.length).toBeLessThanOrEqual(points.length / 10);
    if (long) await tryEveryCall(victim);
  });
});

async function tryEveryCall(victim: Victim): Promise<void> {
  let tried = 0;
  for (let k = 1; ; k += atOnce) {
    const points = Array.from({ length: atOnce }, (_, i) =>
      forms.map((form): Point => ({ victim, form, k: k + i })),
    ).flat();
    const { tried: met } = await tryAll(points);
    tried += met;
    if (met === 0) break;
  }
  console.log(
    `${victim}: each of its calls, ${tried} crash points tried; lost 0, duplicated 0, settled rows changed 0`,
  );
}
