import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RunMetadata } from '../../src/artifacts/metadata.js';
import type { StoredRun } from '../../src/artifacts/store.js';
import type { Ledger } from '../../src/ledger/ledger.js';
import { importRuns } from '../../src/roles/importing.js';
import type { OneShot } from '../../src/roles/oneShot.js';
import { Fleet, type Row } from '../support/fleet.js';
import { at, lineSearch } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';

/** Stable where a + b is at most 0.4; writes a file that its neighbours could start from. */
const program = `
const { readFileSync, writeFileSync } = require('node:fs');
const { FLEET_INPUT_DIR, FLEET_OUTPUT_DIR } = process.env;
const { a, b } = JSON.parse(readFileSync(FLEET_INPUT_DIR + '/parameters.json', 'utf8'));
if (a > 0.3) process.exit(3);
writeFileSync(FLEET_OUTPUT_DIR + '/solution.txt', String(a + b));
writeFileSync(FLEET_OUTPUT_DIR + '/result.json', JSON.stringify({ stable: a + b <= 0.4, temperature: 280 + a, outputs: { sum: a + b } }));
`;

function told({ hash, code, previous_hash, depth, state, stable, attempts, temperature, outputs, out_path }: Row) {
  return { hash, code, previous_hash, depth, state, stable, attempts, temperature, outputs, out_path };
}

test('sql-client --import rebuilds the rows of a lost database from the files of the runs', async () => {
  const redis = await startRedis();
  const axis = { start: 0.1, step: 0.1, max: 0.5 };
  const fleet = new Fleet({
    name: 'import',
    parameters: { a: axis, b: axis },
    redis: { url: redis.url },
    database: { url: Fleet.sqliteUrl() },
    run: { attempts: 2 },
  });
  const script = join(fleet.folder, 'program.cjs');
  writeFileSync(script, program);
  fleet.config.simulator = { kind: 'program', command: [process.execPath, script], sandbox: { kind: 'local' } };
  fleet.config.artifacts = { url: `file:${join(fleet.folder, 'results')}` };

  await fleet.crew({ workers: 2, workerArgs: ['--exit-when-done'] });
  expect(await fleet.run('starter')).toMatchObject({ status: 0 });
  for (const worker of fleet.workers) expect(await worker.exited, worker.stderr).toEqual({ status: 0, signal: null });
  const rows = (await fleet.rows()).map(told);
  expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(['completed', 'error']));

  fleet.config.database = { url: Fleet.sqliteUrl() };
  const imported = await fleet.run('sql-client', '-c', '1', '--import', `file:${join(fleet.folder, 'results')}`);
  expect(imported, imported.stderr).toMatchObject({ status: 0 });
  expect(imported.stdout).toMatch(
    /^imported \d+ completed points and \d+ errors; 0 are queued again, 0 runs could not/,
  );
  expect((await fleet.rows()).map(told)).toEqual(rows);
  const upToErrors = '\ncomplete, but 1 point is an error: what lies beyond it was not explored\n';
  expect(await fleet.run('verify')).toMatchObject({ status: 1, stdout: expect.stringContaining(upToErrors) });
  expect(await fleet.run('verify', '--allow-errors')).toMatchObject({ status: 0 });
  const { status, stdout } = await fleet.run('verify', '--json');
  expect([status, JSON.parse(stdout)]).toMatchObject([1, { verdict: { complete: false, completeUpToErrors: true } }]);

  fleet.config.database = { url: Fleet.sqliteUrl() };
  const other = join(fleet.folder, 'results', 'other', 'f'.repeat(32), 'token');
  mkdirSync(other, { recursive: true });
  writeFileSync(join(other, 'run_metadata.json'), 'not read');
  const again = await fleet.run('sql-client', '-c', '1', '--import', `file:${join(fleet.folder, 'results')}`);
  expect(again.stdout).toBe(`${imported.stdout}passed over 1 runs of other searches\n`);
  expect((await fleet.rows()).map(told)).toEqual(rows);
  const none = await fleet.run('sql-client', '-c', '1', '--import', `file:${join(fleet.folder, 'results', 'other')}`);
  expect(none.stdout).toMatch(/imported 0 completed points and 0 errors; .* 1 runs could not be read\n$/);
  const elsewhere = await fleet.run('sql-client', '-c', '1', '--import', `file:${fleet.folder}`);
  expect(elsewhere).toMatchObject({ status: 2, stdout: '' });
  expect(elsewhere.stderr).toMatch(/found no run of import in file:.*\npassed over \d+ runs of other searches/);
});

test('an import holds no more rows than it writes at once, also of points that are queued again', async () => {
  const search = lineSearch({ url: 'redis://127.0.0.1:1' } as RedisServer);
  const { hash, code } = at(4);
  const metadata = { hash, code, depth: 0, previous_hash: null, outcome: 'error', attempt: 1 } as RunMetadata;
  const other = { ...metadata, hash: at(5).hash, code: at(5).code };
  async function* runs(): AsyncGenerator<StoredRun> {
    for (let run = 0; run < 1200; run++) yield { outPath: '', metadata: run % 2 ? metadata : other };
  }
  const batches: number[] = [];
  const ledger = {
    open: async () => '{}',
    settle: async () => {},
    insertQueued: async (rows: unknown[]) => void batches.push(rows.length),
    setGeneration: async () => {},
  } as unknown as Ledger;
  const command = { search, insist: <T>(call: () => Promise<T>) => call() } as OneShot;
  expect(await importRuns(command, ledger, runs(), 2)).toMatchObject({ queued: 1200 });
  expect(batches).toEqual([500, 500, 200]);
});
