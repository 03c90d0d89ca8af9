import { expect, test } from 'vitest';
import { freePort } from '../support/port.js';
import { runRole, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { searchConfig } from '../support/search.js';
import { until } from '../support/until.js';

const figures = (text: string) =>
  Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line.startsWith('atmos_fleet_'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );

async function watched(role: string, args: string[], config: object) {
  const port = await freePort();
  const process = await startRole(role, [...args, '--metrics-port', String(port)], { config });
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: response.status, text: await response.text() };
  };
  return { process, ask };
}

test('every role tells whether it can work, and what it and the fleet count', async () => {
  const redis = await startRedis();
  const config = searchConfig(redis.url);
  const client = await watched('sql-client', ['-c'], config);
  await client.process.line(/serving/);
  const master = await watched('sql-client-master', [], config);
  await master.process.line(/serving/);
  await runRole('starter', [], { config });
  const worker = await watched('worker', [], config);
  for (const role of [client, master, worker]) {
    await until(async () => (await role.ask('/readyz')).status === 200, `${role.process.name} is ready`);
    expect(await role.ask('/healthz')).toEqual({ status: 200, text: 'ok\n' });
    expect((await role.ask('/else')).status).toBe(404);
  }
  await until(async () => figures((await worker.ask('/metrics')).text).atmos_fleet_leases === 0, 'all is run');
  const done = JSON.parse((await runRole('status', ['--json'], { config })).stdout);
  expect(done.stable).toBeGreaterThan(0);

  const ofWorker = figures((await worker.ask('/metrics')).text);
  expect(ofWorker['atmos_fleet_list_length{list="main_Q"}']).toBe(0);
  const runs = ['stable', 'unstable'].map(
    (verdict) => ofWorker[`atmos_fleet_run_seconds_count{outcome="${verdict}"}`] ?? 0,
  );
  expect(runs[0]).toBeGreaterThan(0);
  expect(ofWorker.atmos_fleet_retries_total).toBe(0);
  expect((await worker.ask('/metrics')).text).toMatch(/nodejs_eventloop_lag_seconds \d/);
  const ofClient = (await client.ask('/metrics')).text;
  expect(ofClient).toMatch(/atmos_fleet_batch_size_sum\{list="complete0_sql_Q"\} \d/);
  expect(ofClient).toMatch(/atmos_fleet_points\{state="stable"\} \d/);
});

test('a role whose Redis is away lives, is not ready, and leaves out what it does not know', async () => {
  const redis = await startRedis();
  const config = searchConfig(redis.url);
  const client = await watched('sql-client', ['-c'], config);
  await until(async () => (await client.ask('/readyz')).status === 200, 'it is ready');
  await redis.stop();
  await until(async () => (await client.ask('/readyz')).status === 503, 'it is not ready');
  expect((await client.ask('/readyz')).text).toMatch(/^Redis/);
  expect((await client.ask('/healthz')).status).toBe(200);
  expect((await client.ask('/metrics')).text).not.toMatch(/^atmos_fleet_leases/m);
});

test('log lines carry what Cloud Logging reads', async () => {
  const redis = await startRedis();
  const client = await startRole('sql-client', ['-c'], { config: searchConfig(redis.url) });
  const line = await client.line(/serving/);
  expect(line).toMatchObject({ severity: 'INFO', role: 'sql-client', message: expect.stringMatching(/serving/) });
  expect(new Date(String(line.time)).toISOString()).toBe(line.time);
});

test('a port that is taken, or is none, is wrong usage', async () => {
  const redis = await startRedis({ tcp: true });
  const config = searchConfig(redis.url);
  const taken = await runRole('sql-client', ['-c', '--metrics-port', String(redis.port)], { config });
  expect(taken).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/--metrics-port: cannot listen on 127.0.0.1/),
  });
  const none = await runRole('sql-client', ['--metrics-port', 'all'], { config });
  expect(none).toMatchObject({ status: 2, stderr: expect.stringMatching(/found 'all', wants a port/) });
});
