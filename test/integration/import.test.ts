import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Fleet, type Row } from '../support/fleet.js';
import { startRedis } from '../support/redis.js';

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
  expect(await fleet.run('verify')).toMatchObject({ status: 0 });
});
