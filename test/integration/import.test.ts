import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { RunMetadata } from '../../src/artifacts/metadata.js';
import type { StoredRun } from '../../src/artifacts/store.js';
import type { Ledger } from '../../src/ledger/ledger.js';
import { importRuns } from '../../src/roles/commands/importing.js';
import type { OneShot } from '../../src/roles/common/oneShot.js';
import type { Search } from '../../src/roles/common/search.js';
import { Fleet, type Row } from '../support/fleet.js';
import { at, line, lineSearch } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { sqliteLedger } from '../support/searched.js';

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

  const before = JSON.parse(readFileSync(join(rows[0]?.out_path as string, 'run_metadata.json'), 'utf8'));
  expect(before).toMatchObject({
    incarnation: expect.stringMatching(/^[0-9a-f]{8}$/),
    definition: { parameters: 'a, b' },
  });
  const forged = join(fleet.folder, 'results', 'import', rows[0]?.hash as string, 'another');
  mkdirSync(forged);
  const another = { ...before, incarnation: 'ffffffff', ended_at: '2100-01-01T00:00:00.000Z', stable: false };
  writeFileSync(join(forged, 'run_metadata.json'), JSON.stringify(another));
  fleet.config.database = { url: Fleet.sqliteUrl() };
  const third = await fleet.run('sql-client', '-c', '1', '--import', `file:${join(fleet.folder, 'results')}`);
  expect(third.stdout).toContain(
    'left out 1 runs of incarnation ffffffff (1 completed points, the last at 2100-01-01T00:00:00.000Z): --incarnation ffffffff imports those',
  );
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
    incarnation: '',
  } as unknown as Ledger;
  const command = { search, insist: <T>(call: () => Promise<T>) => call() } as OneShot;
  expect(await importRuns(command, ledger, runs, { attempts: 2 })).toMatchObject({ queued: 1200 });
  expect(batches).toEqual([500, 500, 200]);
});

describe('of runs for several tables of one name', () => {
  const run = (x: number, incarnation: string | undefined, day: number, more: Partial<RunMetadata> = {}): StoredRun => {
    const { hash, code } = at(x);
    const ended_at = `2026-01-0${day}T00:00:00.000Z`;
    const facts = {
      previous_hash: null,
      depth: 0,
      outcome: 'completed',
      stable: true,
      attempt: 1,
      outputs: {},
    } as const;
    const times = { started_at: ended_at, ended_at, run_seconds: 1, worker: 'w', token: `t-${day}` };
    const none = { temperature: null, pressure: null, message: null, error_kind: null, error_message: null };
    const metadata = { hash, code, ...facts, ...times, ...none, incarnation, ...more } as unknown as RunMetadata;
    return { outPath: `/runs/${x}/${incarnation}-${day}-${metadata.attempt}`, metadata };
  };

  async function importing(runs: StoredRun[], incarnation?: string, more: Partial<Search> = {}) {
    const { ledger } = await sqliteLedger(line, []);
    const warn = () => undefined;
    const search = { ...lineSearch({ url: 'redis://127.0.0.1:1' } as RedisServer), ...more };
    const command = { search, log: { warn }, insist: <T>(call: () => Promise<T>) => call() } as unknown as OneShot;
    async function* list() {
      yield* runs;
    }
    const imported = await importRuns(command, ledger, list, { attempts: 3, incarnation });
    const rows = await ledger.find([...Array(10).keys()].map((x) => at(x).hash));
    return { imported, ledger, found: rows.map(({ out_path }) => out_path).sort() };
  }

  const [old, recent, begun] = ['aaaaaaaa', 'bbbbbbbb', 'cccccccc'];
  const all = [0, 1, 2, 3].flatMap((x) => [
    run(x, old, 1),
    run(x, undefined, 5),
    ...(x < 2 ? [run(x, recent, 3)] : []),
  ]);

  test('those of the newest are imported that has half as many completed points as the fullest', async () => {
    const { imported, found, ledger } = await importing(
      [...all.slice(0, 3), run(0, begun, 9), ...all.slice(3)],
      undefined,
    );
    expect(imported).toMatchObject({ incarnation: 'none', completed: 4 });
    const named = all.filter((one) => 'metadata' in one && one.metadata.incarnation !== undefined);
    const second = await importing([run(0, begun, 9), ...named]);
    expect(second.imported).toMatchObject({ incarnation: recent, completed: 2 });
    expect(second.imported.left).toEqual([
      { incarnation: begun, runs: 1, completed: 1, last: '2026-01-09T00:00:00.000Z' },
      { incarnation: old, runs: 4, completed: 4, last: '2026-01-01T00:00:00.000Z' },
    ]);
    expect(second.found).toEqual([`/runs/0/${recent}-3-1`, `/runs/1/${recent}-3-1`]);
    expect(second.ledger.incarnation).toBe(recent);
    expect([found.length, ledger.incarnation.length]).toEqual([4, 36]);
  });

  test('those of the table that is asked for are imported, and no other', async () => {
    const { imported, found } = await importing(all, old);
    expect(imported).toMatchObject({ incarnation: old, completed: 4 });
    expect(found).toEqual([0, 1, 2, 3].map((x) => `/runs/${x}/${old}-1-1`));
    await expect(importing(all, 'dddddddd')).rejects.toThrow(
      '--incarnation: no run is of dddddddd; there are runs of aaaaaaaa, none, bbbbbbbb',
    );
  });

  test('of one point the latest attempt counts, of one attempt the run that ended last', async () => {
    const error = { outcome: 'error', stable: null, error_kind: 'program', attempt: 3 } as const;
    const { imported, found } = await importing([
      run(4, old, 1),
      run(4, old, 2, error),
      run(5, old, 4),
      run(5, old, 3),
    ]);
    expect(imported).toMatchObject({ completed: 1, errors: 1 });
    expect(found).toEqual([`/runs/4/${old}-2-3`, `/runs/5/${old}-4-1`]);
  });

  test('those of a search that was defined otherwise are passed over', async () => {
    const differs = (definition: string) => (definition.includes('other') ? 'search.mode: other' : null);
    const { imported, found } = await importing(
      [
        run(4, old, 1, { definition: { 'search.mode': 'other' } }),
        run(5, old, 1, { definition: { 'search.mode': 'mine' } }),
      ],
      undefined,
      { differs },
    );
    expect(imported).toMatchObject({ completed: 1, redefined: 1, difference: 'search.mode: other' });
    expect(found).toEqual([`/runs/5/${old}-1-1`]);
  });
});
