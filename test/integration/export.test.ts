import { execFileSync } from 'node:child_process';
import { lstatSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, test } from 'vitest';
import type { Ledger, SettledRow } from '../../src/ledger/ledger.js';
import type { Point } from '../../src/space/space.js';
import { Child } from '../support/child.js';
import { startMariadb } from '../support/mariadb.js';
import { runRole } from '../support/processes.js';
import { atEnd } from '../support/scope.js';
import { fillSynthetic, syntheticParameters } from '../support/synthetic.js';
import { type TestSearch, testSearch } from '../support/testSearch.js';

const parameters = {
  O2: { start: 0.21, step: 0.1, max: 0.5 },
  N2: { start: 0.7896, filler: true },
  CO2: { start: 0.0004, step: 0.01, max: 0.05 },
};
const hostile = 'failed, "badly"\n<script>alert(1)</script>; = 1+1';

/** Four rows: stable, unstable, an error with a hostile message, and one that waits. */
async function fill(search: TestSearch): Promise<Point[]> {
  const { space } = search;
  const ledger = search.ledger();
  atEnd(() => ledger.close());
  await ledger.create(search.fingerprint);
  const [start, ...neighbours] = [space.start, ...space.neighbours(space.start)] as [Point, Point, Point, Point];
  const points = [start, ...neighbours.slice(0, 3)] as [Point, Point, Point, Point];
  await settle(ledger, points[0], { stable: true, temperature: 288.1, outputs: { optical_depth: 0.85 } });
  await settle(ledger, points[1], { stable: false, temperature: 250.5, previous_hash: start.hash, depth: 1 });
  await settle(ledger, points[2], { state: 'error', error_kind: 'program', error_msg: hostile, depth: 1 });
  const { hash, code } = points[3];
  await ledger.insertQueued([{ hash, code, previous_hash: points[1].hash, depth: 2 }]);
  return points;
}

function settle(ledger: Ledger, { hash, code }: Point, row: Partial<SettledRow>): Promise<void> {
  const nothing = { start_time: null, worker: 'worker-1', error_kind: null, error_msg: null, complete_msg: null };
  const numbers = { run_time: 1.5, temperature: null, pressure: null, outputs: null, out_path: null };
  return ledger.settle([
    {
      hash,
      code,
      previous_hash: null,
      depth: 0,
      state: 'completed',
      stable: null,
      attempts: 1,
      ...nothing,
      ...numbers,
      end_time: '2026-01-31T12:00:00.250Z',
      ...row,
    },
  ]);
}

async function exported(search: TestSearch, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runRole('export', args, { config: search.path });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout;
}

const jsonLines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe.each(['SQLite', 'MariaDB'])('export from %s', (database) => {
  async function prepared(): Promise<{ search: TestSearch; points: Point[] }> {
    const url = database === 'SQLite' ? {} : { database: { url: await (await startMariadb()).createDatabase() } };
    const search = testSearch({ parameters, ...url });
    return { search, points: await fill(search) };
  }

  test('writes every row as JSON lines and CSV', async () => {
    const { search, points } = await prepared();
    const rows = jsonLines(await exported(search, '--format', 'jsonl'));
    expect(rows.map(({ hash }) => hash)).toEqual(points.map(({ hash }) => hash).sort());
    const start = rows.find(({ hash }) => hash === points[0]?.hash);
    expect(start).toMatchObject({
      ...{ O2: 0.21, N2: 0.7896, CO2: 0.0004, state: 'completed', stable: true, temperature: 288.1 },
      ...{ outputs: { optical_depth: 0.85 }, end_time: '2026-01-31T12:00:00.250Z', run_time: 1.5, previous_hash: null },
    });
    expect(rows.find(({ state }) => state === 'error').error_msg).toBe(hostile);
    const csv = await exported(search);
    expect(csv.split('\n')[0]).toMatch(/^hash,code,O2,N2,CO2,previous_hash,depth,state,stable/);
    expect(csv).toContain(`${points[0]?.hash},"0.21,0.7896,0.0004",0.21,0.7896,0.0004,,0,completed,true,1,worker-1,`);
    expect(csv).toContain('"failed, ""badly""\n<script>alert(1)</script>; = 1+1"');
  });

  test('writes Parquet that DuckDB reads: types, nulls, units', async () => {
    const { search } = await prepared();
    const file = join(search.folder, 'rows.parquet');
    expect(await exported(search, '--out', file)).toContain('4 rows');
    const types = await duckdb(`select name, type from (describe from '${file}') t(name, type, n, k, d, e)`);
    expect(Object.fromEntries(types.map(({ name, type }) => [name, type]))).toMatchObject({
      ...{ hash: 'VARCHAR', O2: 'DOUBLE', stable: 'BOOLEAN', depth: 'INTEGER', outputs: 'JSON' },
      temperature: 'DOUBLE',
    });
    const columns = 'hash, O2, stable, temperature, error_msg, depth, cast(outputs as varchar) as outputs';
    const read = await duckdb(`select ${columns}, epoch_ms(end_time) as ended from '${file}' order by hash`);
    const rows = jsonLines(await exported(search, '--format', 'jsonl'));
    expect(read).toEqual(
      rows.map(({ hash, O2, stable, temperature, error_msg, depth, outputs, end_time }) => ({
        ...{ hash, O2, stable, temperature, error_msg, depth },
        outputs: outputs && JSON.stringify(outputs),
        ended: end_time && BigInt(Date.parse(end_time)),
      })),
    );
    const metadata = await duckdb(
      `select decode(key) as key, decode(value) as value from parquet_kv_metadata('${file}') where key = 'atmos-fleet.units'`,
    );
    expect(JSON.parse(String(metadata[0]?.value))).toMatchObject({
      ...{ O2: 'volume mixing ratio', temperature: 'K', pressure: 'bar', run_time: 's' },
    });
  });

  test('writes Parquet whose times are UTC wherever it is read', async () => {
    const { search } = await prepared();
    const file = join(search.folder, 'rows.parquet');
    await exported(search, '--out', file);
    const [types] = await duckdb(
      `select typeof(end_time) as type, epoch_ms(end_time) as ms from '${file}' where stable`,
    );
    expect(types).toEqual({ type: 'TIMESTAMP WITH TIME ZONE', ms: BigInt(Date.parse('2026-01-31T12:00:00.250Z')) });
    const { rows, schema } = readByArrow(file);
    expect([rows, schema.includes('UTC')]).toEqual([4, true]);
  });

  test('keeps to states and ranges', async () => {
    const { search, points } = await prepared();
    const hashesOf = async (...args: string[]) =>
      jsonLines(await exported(search, '--format', 'jsonl', ...args)).map(({ hash }) => hash);
    expect(await hashesOf('--state', 'stable')).toEqual([points[0]?.hash]);
    const settled = [points[0]?.hash, points[1]?.hash, points[2]?.hash].sort();
    expect(await hashesOf('--state', 'completed,error')).toEqual(settled);
    expect(await hashesOf('--range', 'temperature=..260')).toEqual([points[1]?.hash]);
    expect(await hashesOf('--range', 'O2=0.21', '--range', 'temperature=280..290')).toEqual([points[0]?.hash]);
  });
});

describe('a CSV file in a spreadsheet', () => {
  const formulas = ['=HYPERLINK("http://x")', '+1+cmd', '-2+cmd', '@SUM(1)', '\t=1', '\r=1', '\uff1d1'];

  test('has texts where they look like formulas, unless they are asked for raw', async () => {
    const search = testSearch({ parameters: { x: { start: -3, step: 1, min: -20, max: 20 } } });
    const ledger = search.ledger();
    atEnd(() => ledger.close());
    await ledger.create(search.fingerprint);
    for (const [index, complete_msg] of formulas.entries()) {
      await settle(ledger, search.space.pointWith({ x: -3 - index }), { stable: true, temperature: -4, complete_msg });
    }
    const csv = await exported(search);
    const raw = await exported(search, '--raw');
    for (const [index, text] of formulas.entries()) {
      const quoted = (cell: string) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
      expect(csv).toContain(`,,,${quoted(`'${text}`)},`);
      expect(raw).toContain(`,,,${quoted(text)},`);
      // Numbers, and codes made of them, stay what they are.
      expect(csv).toContain(`,-${3 + index}.0,-${3 + index}.0,`);
      expect(csv).not.toContain("'-3.0");
    }
  });
});

describe('the output', () => {
  test('may be closed by whoever reads it', async () => {
    const search = testSearch({ parameters: syntheticParameters });
    await fillSynthetic(join(search.folder, 'atmos-fleet.db'), search.fingerprint, 20_000);
    const pipes = ['export | head -1', 'export --format jsonl | head -1', 'status --point O2=0.21 | true'];
    for (const pipe of pipes) {
      const { stdout, stderr } = await piped(pipe, search.path);
      expect(stderr).toBe('status 0\n');
      expect(stdout.split('\n').length).toBeLessThanOrEqual(2);
    }
  });

  test('is never the configuration or the database, by whatever name', async () => {
    const search = testSearch({ parameters });
    await fill(search);
    const [database, link] = [join(search.folder, 'atmos-fleet.db'), join(search.folder, 'rows.csv')];
    symlinkSync(database, link);
    const before = [readFileSync(search.path, 'utf8'), readFileSync(database).subarray(0, 15).toString()];
    for (const args of [
      ['--out', link],
      ['--format', 'csv', '--out', database],
      ['--format', 'csv', '--out', search.path],
    ]) {
      const { status, stderr } = await runRole('export', args, { config: search.path });
      expect([status, stderr]).toEqual([2, expect.stringContaining('is a file of the search itself')]);
    }
    expect([readFileSync(search.path, 'utf8'), readFileSync(database).subarray(0, 15).toString()]).toEqual(before);
  });

  test('goes into a pipe as it is, and replaces what a link leads to', async () => {
    const search = testSearch({ parameters });
    await fill(search);
    const [file, link] = [join(search.folder, 'rows.csv'), join(search.folder, 'link.csv')];
    writeFileSync(file, 'old');
    symlinkSync(file, link);
    const pipe = join(search.folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reader = await Child.start('cat', [pipe]);
    await exported(search, '--format', 'csv', '--out', pipe);
    await reader.exited;
    expect(reader.stdout).toMatch(/^hash,code/);
    expect(lstatSync(pipe).isFIFO()).toBe(true);
    await exported(search, '--out', link);
    expect(readFileSync(file, 'utf8')).toMatch(/^hash,code/);
    expect(lstatSync(link).isSymbolicLink()).toBe(true);
  });
});

test('refuses what it does not understand, and another search', async () => {
  const search = testSearch({ parameters });
  await fill(search);
  const refused = async (...args: string[]) => {
    const { status, stderr } = await runRole('export', args, { config: search.path });
    expect(status).toBe(2);
    return stderr;
  };
  expect(await refused('--state', 'finished')).toContain("found 'finished', wants queue, running");
  expect(await refused('--range', 'N3=1')).toContain('wants one of O2, N2, CO2, temperature');
  expect(await refused('--range', 'O2=a..b')).toContain('wants O2=0.1..0.3');
  expect(await refused('--out', join(search.folder, 'no', 'such.csv'))).toContain('cannot be written (ENOENT)');
  expect(await refused('--out', 'x.xlsx')).toContain(
    'x.xlsx does not say the format: expected a name that ends in .csv',
  );
  expect(await refused('--out', 'rows')).toContain('rows does not say the format');
  expect(await refused('--out', 'x.PARQUET', '--format', 'csv')).toContain(
    'found csv, but x.PARQUET ends as parquet does',
  );
  expect(await refused('--out', search.folder, '--format', 'csv')).toContain('is a folder');
  const other = testSearch({
    parameters: { ...parameters, O2: { start: 0.2, step: 0.1, max: 0.5 }, N2: { start: 0.7996, filler: true } },
    database: { url: `sqlite:${search.folder}/atmos-fleet.db` },
  });
  const { status, stderr } = await runRole('export', [], { config: other.path });
  expect([status, stderr]).toEqual([2, expect.stringContaining('the table is of another search: parameters.O2.start')]);
});

test('writes Parquet of no rows that strict readers take', async () => {
  const search = testSearch({ parameters });
  await fill(search);
  const file = join(search.folder, 'none.parquet');
  expect(await exported(search, '--out', file, '--state', 'running')).toContain('0 rows');
  expect(await duckdb(`select count(*) as rows from '${file}'`)).toEqual([{ rows: 0n }]);
  const types = await duckdb(`select name from (describe from '${file}') t(name, type, n, k, d, e)`);
  const { rows, schema } = readByArrow(file);
  expect(rows).toBe(0);
  for (const { name } of types) expect(schema).toContain(name);
});

test('exports many rows in little memory', async () => {
  const search = testSearch({ parameters: syntheticParameters });
  const rows = 100_000;
  await fillSynthetic(join(search.folder, 'atmos-fleet.db'), search.fingerprint, rows);
  const file = join(search.folder, 'rows.parquet');
  // The rows as objects would take some 200 MB; a page of them must do.
  const env = { NODE_OPTIONS: '--max-old-space-size=80' };
  const { status, stderr } = await runRole('export', ['--out', file], { config: search.path, env });
  expect([status, stderr]).toEqual([0, '']);
  const [count] = await duckdb(`select count(distinct hash) as rows, sum(temperature) as sum from '${file}'`);
  expect(count?.rows).toBe(BigInt(rows));
  const csv = join(search.folder, 'rows.csv');
  await runRole('export', ['--out', csv], { config: search.path, env });
  expect(readFileSync(csv, 'utf8').trimEnd().split('\n')).toHaveLength(rows + 1);
});

describe('status --point', () => {
  test('tells the row, the chain to the root and the neighbours', async () => {
    const search = testSearch({ parameters });
    const points = await fill(search);
    const sightOf = async (name: string) => {
      const { stdout } = await runRole('status', ['--point', name, '--json'], { config: search.path });
      return JSON.parse(stdout);
    };
    const waiting = points[3] as Point;
    const sight = await sightOf(waiting.hash);
    expect(sight).toEqual(await sightOf(waiting.code));
    const { O2, CO2 } = waiting.dictionary;
    expect(sight).toEqual(await sightOf(`O2=${O2},CO2=${CO2}`));
    expect(sight.row).toMatchObject({ state: 'queue', depth: 2 });
    expect(sight.chain.map(({ hash }: Point) => hash)).toEqual([points[1]?.hash, points[0]?.hash]);
    const start = await sightOf(points[0]?.code as string);
    expect(start.neighbours).toHaveLength(search.space.neighbours(search.space.start).length);
    expect(start.neighbours).toContainEqual({
      hash: points[2]?.hash,
      code: points[2]?.code,
      state: 'error',
      stable: null,
    });
    const { stdout } = await runRole('status', ['--point', waiting.hash], { config: search.path });
    expect(stdout).toMatch(/state +queue\n.*2 points led to it.*neighbours/s);
  });

  test('shows what is stored without obeying it', async () => {
    const search = testSearch({ parameters });
    const ledger = search.ledger();
    atEnd(() => ledger.close());
    await ledger.create(search.fingerprint);
    const outputs = { '\u001b[2Jx': 1, 'y\ntemperature  999 K': 2 };
    const message = 'all \u001b]0;is\u0007 \u009b2J\u202ewell\nreally';
    await settle(ledger, search.space.start, { stable: true, complete_msg: message, outputs });
    const point = ['--point', search.space.start.hash];
    const shown = await runRole('status', point, { config: search.path });
    expect(shown.stdout).toContain('\\u{1b}[2Jx');
    expect(shown.stdout).toContain('y\\u{a}temperature  999 K');
    expect(shown.stdout).toMatch(/^message +all \\u\{1b\}\]0;is\\u\{7\} \\u\{9b\}2J\\u\{202e\}well\n {2,}really$/m);
    const asJson = await runRole('status', [...point, '--json'], { config: search.path });
    const logs = await runRole('logs', point, { config: search.path });
    for (const { stdout } of [shown, asJson, logs]) expect(stdout).not.toMatch(/[^\n\P{C}]/u);
    expect(JSON.parse(asJson.stdout).row).toMatchObject({ complete_msg: message, outputs });
  });

  test('tells of a point without a row, and refuses what names none', async () => {
    const search = testSearch({ parameters });
    await fill(search);
    const shown = (name: string) => runRole('status', ['--point', name], { config: search.path });
    expect((await shown('0.5,0.45,0.05')).stdout).toContain('no row: the search has not met this point');
    const unknown = await shown('0'.repeat(32));
    expect([unknown.status, unknown.stderr]).toEqual([2, expect.stringContaining('no row has the hash')]);
    const wrong = await shown('0.5');
    expect([wrong.status, wrong.stderr]).toEqual([
      2,
      expect.stringContaining("'0.5' names no point (a hash, a code or NAME=VALUE,…): 1 numbers found, wants 3"),
    ]);
  });
});

/** The rows and the schema of a Parquet file as the Rust implementation of Arrow has them, a stricter reader than DuckDB. */
function readByArrow(file: string): { rows: number; schema: string } {
  const { readParquet } = createRequire(import.meta.url)('parquet-wasm') as {
    readParquet(bytes: Uint8Array): { recordBatches(): { numRows: number }[]; intoIPCStream(): Uint8Array };
  };
  const rows = readParquet(readFileSync(file)).recordBatches();
  const schema = Buffer.from(readParquet(readFileSync(file)).intoIPCStream()).toString('latin1');
  return { rows: rows.reduce((total, { numRows }) => total + numRows, 0), schema };
}

/** A command line whose output goes into a pipe; its exit status is the last line on standard error. */
async function piped(line: string, config: string): Promise<{ stdout: string; stderr: string }> {
  const program = `node ${fileURLToPath(new URL('../../dist/bin/atmos-fleet.js', import.meta.url))}`;
  const [command = '', reader = ''] = line.split(' | ');
  const script = `{ ${program} ${command}; echo "status $?" >&2; } | ${reader}`;
  const child = await Child.start('bash', ['-c', script], { env: { ...process.env, ATMOS_FLEET_CONFIG: config } });
  await child.exited;
  return child;
}

async function duckdb(sql: string): Promise<Record<string, unknown>[]> {
  const connection = await (await DuckDBInstance.create()).connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJS();
  } finally {
    connection.closeSync();
  }
}
