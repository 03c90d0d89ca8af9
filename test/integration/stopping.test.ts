import type { Redis } from 'ioredis';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Fleet } from '../support/fleet.js';
import { planeFleet, planeRows } from '../support/plane.js';
import type { Role } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = server.connect();
});

const done = { status: 0, signal: null };
/** Runs that end only when they are ended. */
const endless = { simulator: { kind: 'reference', delayMs: 3_600_000 } };
const lasting = (delayMs: number) => ({ simulator: { kind: 'reference', delayMs } });
const start = '0.0,0.0';

const ended = async (roles: readonly Role[]) => {
  for (const role of roles) expect(await role.exited, role.stderr).toEqual(done);
};

/** Has a fleet whose start runs, and no other point. */
async function withOneRunning(name: string, simulator: object, ...workerArgs: string[]): Promise<Fleet> {
  const fleet = planeFleet(server, name, simulator);
  await fleet.crew({ workerArgs });
  expect(await fleet.run('starter')).toMatchObject(done);
  await until(async () => (await redis.llen(fleet.key('processing_Q'))) === 1, 'the start is leased');
  return fleet;
}

/** The start is in main_Q again, and in no other place. */
async function expectGivenBack(fleet: Fleet): Promise<void> {
  const [queued, leased, leases] = await Promise.all([
    redis.lrange(fleet.key('main_Q'), 0, -1),
    redis.lrange(fleet.key('processing_Q'), 0, -1),
    redis.zcard(fleet.key('leases')),
  ]);
  expect(queued.map((element) => element.split(';', 1)[0])).toEqual([start]);
  expect([leased, leases]).toEqual([[], 0]);
}

describe('a signal', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    'ends each role with status 0, and a worker gives its points back: %s',
    async (signal) => {
      const fleet = await withOneRunning(`signal-${signal}`, endless, '--grace', '100ms');
      for (const role of [...fleet.workers, ...fleet.clients, ...fleet.masters]) role.kill(signal);
      await ended([...fleet.workers, ...fleet.clients, ...fleet.masters]);
      await expectGivenBack(fleet);
      expect(await fleet.status()).toMatchObject({ workers: 0, roles: [], done: false, damage: [] });
    },
  );

  test('lets running points finish within the grace, and a second one does not', async () => {
    const fleet = await withOneRunning('grace', lasting(1500), '--grace', '1h');
    const [worker] = fleet.workers as [Role];
    worker.kill('SIGTERM');
    await ended([worker]);
    await until(
      async () => (await fleet.rows()).some(({ code, state }) => code === start && state === 'completed'),
      'its report is in SQL',
    );
    expect(await fleet.rows()).toHaveLength(5);
    await fleet.stop();

    const impatient = await withOneRunning('impatience', endless, '--grace', '1h');
    const [other] = impatient.workers as [Role];
    other.kill('SIGTERM');
    await other.line(/takes no new work/);
    other.kill('SIGTERM');
    await ended([other]);
    await expectGivenBack(impatient);
    await impatient.stop();
  });

  test('ends roles that wait for services', async () => {
    const fleet = planeFleet(server, 'waiting', { redis: { url: `unix:${server.socket}.none` } });
    const waiting = await Promise.all([
      fleet.start('worker'),
      fleet.start('sql-client', '-c'),
      fleet.start('sql-client', '-r'),
      fleet.start('sql-client-master'),
      fleet.start('kill', '-f', '1', '--interval', '1s'),
    ]);
    for (const role of waiting) await role.line(/^waiting: Redis/);
    for (const role of waiting) role.kill('SIGTERM');
    await ended(waiting);
  });
});

describe('--exit-when-done', () => {
  test('ends a worker with status 0 when the search is over, with 143 when it is stopped before', async () => {
    const fleet = await withOneRunning('exit', endless, '--exit-when-done', '--grace', '0s');
    const [worker] = fleet.workers as [Role];
    worker.kill('SIGTERM');
    expect(await worker.exited, worker.stderr).toEqual({ status: 143, signal: null });
    await expectGivenBack(fleet);
    await fleet.stop();

    const quick = planeFleet(server, 'exit', { database: fleet.config.database });
    await quick.crew({ workers: 2, workerArgs: ['--exit-when-done'] });
    await ended(quick.workers);
    expect(await quick.rows()).toHaveLength(planeRows.length);
    const late = await quick.start('worker', '--exit-when-done');
    await ended([late]);
    await quick.stop();
  });
});

describe('the kill switch', () => {
  test('stops every role, running points go back, and stays until it is lifted', async () => {
    const fleet = await withOneRunning('now', endless, '--grace', '1h');
    const roles = [...fleet.workers, ...fleet.clients, ...fleet.masters];
    expect(await fleet.run('kill', '-k')).toMatchObject({ ...done, stdout: 'the kill switch is on\n' });
    await ended(roles);
    for (const role of roles) await role.line(/kill switch/);
    await expectGivenBack(fleet);
    const rows = await fleet.rows();

    const late = [
      await fleet.start('worker', '--exit-when-done'),
      await fleet.start('sql-client'),
      await fleet.start('sql-client', '-c'),
      await fleet.start('sql-client', '-r'),
      await fleet.start('sql-client-master'),
    ];
    for (const role of late) await role.line(/the kill switch is on/);
    await ended(late);
    const refusal = 'refused: the kill switch is on; lift it with: atmos-fleet kill --clear';
    for (const args of [[], ['--no-wait'], ['--retry', 'errors']]) {
      const { status, stderr } = await fleet.run('starter', ...args);
      expect([status, stderr.trimEnd().split('\n').at(-1)]).toEqual([3, refusal]);
    }
    expect(await fleet.rows()).toEqual(rows);
    await expectGivenBack(fleet);

    expect(await fleet.run('kill', '--clear')).toMatchObject({ ...done, stdout: 'the kill switch is lifted\n' });
    const again = await fleet.start('worker');
    await again.line(/^serving/);
    again.kill('SIGTERM');
    await ended([again]);
  });

  test('with --drain lets running points finish and their results reach SQL', async () => {
    const fleet = await withOneRunning('drain', lasting(1500));
    expect(await fleet.run('kill', '--drain')).toMatchObject(done);
    await ended([...fleet.workers, ...fleet.clients, ...fleet.masters]);
    const states = Object.fromEntries((await fleet.rows()).map(({ code, state }) => [code, state]));
    expect(states[start]).toBe('completed');
    expect(await fleet.status()).toMatchObject({
      leases: 0,
      batches: 0,
      lists: { processing_Q: 0, complete0_sql_Q: 0 },
      done: false,
    });

    await fleet.run('kill', '--clear');
    const rest = planeFleet(server, 'drain', { database: fleet.config.database });
    await rest.crew();
    await rest.over();
    expect(await rest.rows()).toHaveLength(planeRows.length);
    await rest.stop();
  });

  test('is pulled by -f after so many empty looks in a row, and not before', async () => {
    const fleet = await withOneRunning('finished', endless, '--grace', '0s');
    const watching = await fleet.start('kill', '-f', '2', '--interval', '100ms');
    await watching.child.line((line) => line === 'not empty: processing_Q 1, leases 1', 'what is left');
    expect(await redis.llen(fleet.key('kill'))).toBe(0);
    watching.kill('SIGTERM');
    await ended([watching]);
    await fleet.stop();
    expect(await redis.llen(fleet.key('kill'))).toBe(0);
  });

  test.each(['now please', 'drain'])('may be pulled by hand: %s', async (word) => {
    const fleet = planeFleet(server, 'by-hand');
    await fleet.crew();
    await fleet.masters[0]?.line(/^serving/);
    await redis.lpush(fleet.key('kill'), word);
    await ended([...fleet.workers, ...fleet.clients, ...fleet.masters]);
    await redis.del(fleet.key('kill'));
  });
});

describe('kill -r', () => {
  test("deletes this search's keys and no other's, and says what results went with them", async () => {
    const fleet = planeFleet(server, 'mine');
    const others = ['{mine2}:main_Q', '{other}:main_Q', 'mine:main_Q', '{mine}', 'x{mine}:main_Q'];
    for (const key of others) await redis.set(key, 'kept');
    const report = (code: string) => `${code};${JSON.stringify({ depth: 0, temperature: 288.1 })}`;
    await redis.lpush(fleet.key('complete0_sql_Q'), report('0.0,0.0'), report('0.5,0.0'));
    await redis.lpush(fleet.key('error_sql_Q'), report('1.0,0.0'));
    await redis.lpush(fleet.key('running_sql_Q'), report('1.5,0.0'));
    await redis.lpush(fleet.key('main_sql_Q'), start);
    await redis.lpush(fleet.key('main_sql_Q:malformed'), 'garbage');
    expect(await fleet.run('kill', '-r')).toMatchObject({
      ...done,
      stdout: '5 keys deleted, 3 results went with them that SQL never got\n',
    });
    expect(await redis.keys('{mine}:*')).toEqual([]);
    for (const key of others) expect(await redis.get(key), key).toBe('kept');
  });
});
