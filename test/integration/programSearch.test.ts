import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { parseMetadata } from '../../src/artifacts/metadata.js';
import { type Point, Space } from '../../src/space/space.js';
import { Fleet, type Row } from '../support/fleet.js';
import { floodFill } from '../support/floodFill.js';
import { temporaryFolder } from '../support/folder.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let server: RedisServer;

beforeAll(async () => {
  server = await startRedis();
});

const done = { status: 0, signal: null };
const axis = { start: 0, step: [{ below: 1, by: 0.5 }], min: -3, max: 3 };
const space = new Space({ parameters: ['a', 'b'].map((name) => ({ name, ...axis })), mode: 'sides', reach: 1 });
/** Enough for a shell script on a busy machine, several times. */
const run = { timeoutSeconds: 10, attempts: 2 };

const isStable = ({ dictionary: { a = 0, b = 0 } }: Point) => Math.abs(a) + Math.abs(b) <= 1;
const failing = '0.5,0.0';
const hanging = '0.0,0.5';
const lying = '0.0,-0.5';
const flaky = '-0.5,0.0';

/** What the program reads of a point. */
function inputOf(code: string): string {
  const [a, b] = code.split(',');
  return `{"a":${a},"b":${b}}`;
}

/** A shell pattern that matches the parameters of these points. */
const inputs = (codes: readonly string[]) => codes.map((code) => `'${inputOf(code)}'`).join('|');

/**
 * The program: it notes its run and adds a line to its parent's solution. Some points fail, hang, lie, or fail the first
 * time, until a file says that it was mended.
 */
function program(folder: string): string {
  const stable = floodFill(space, isStable).filter((row) => row.stable);
  const path = join(folder, 'program.sh');
  writeFileSync(
    path,
    `
    input=$(cat "$FLEET_INPUT_DIR/parameters.json")
    echo "$input" >> ${folder}/runs
    [ -z "$FLEET_PREVIOUS_DIR" ] || cat "$FLEET_PREVIOUS_DIR/solution" > "$FLEET_OUTPUT_DIR/solution"
    echo "$input" >> "$FLEET_OUTPUT_DIR/solution"
    if [ ! -e ${folder}/mended ]; then
      case $input in
        ${inputs([failing])}) echo 'no such gas'; exit 3;;
        ${inputs([hanging])}) echo 'thinking'; sleep 1000;;
        ${inputs([lying])}) echo '{"stable": "perhaps"}' > "$FLEET_OUTPUT_DIR/result.json"; exit 0;;
        ${inputs([flaky])}) [ -e ${folder}/tried ] || { touch ${folder}/tried; exit 1; };;
      esac
    fi
    case $input in
      ${inputs(stable.map(({ code }) => code))}) stable=true;;
      *) stable=false;;
    esac
    echo "{\\"stable\\": $stable, \\"temperature\\": 288.1, \\"outputs\\": {\\"flux\\": 1e-3}}" > "$FLEET_OUTPUT_DIR/result.json"
    `,
  );
  return path;
}

function programFleet(name: string, folder: string): Fleet {
  return new Fleet({
    name,
    parameters: { a: axis, b: axis },
    simulator: { kind: 'program', command: ['sh', program(folder)], sandbox: { kind: 'local' } },
    artifacts: { url: `file:${folder}/results` },
    run,
    redis: { url: server.url },
    database: { url: Fleet.sqliteUrl() },
  });
}

const told = (rows: readonly Row[]) => rows.map(({ code, state, stable }) => [code, state, stable]);
const expected = (verdict: (point: Point) => boolean | null) =>
  floodFill(space, verdict).map(({ code, stable }) => [
    code,
    stable === null ? 'error' : 'completed',
    stable === null ? null : Number(stable),
  ]);

/** Code → runs of the program. */
function runsOf(folder: string): Map<string, number> {
  const runs = new Map<string, number>();
  for (const line of readFileSync(join(folder, 'runs'), 'utf8').trimEnd().split('\n')) {
    const { code } = space.pointWith(JSON.parse(line));
    runs.set(code, (runs.get(code) ?? 0) + 1);
  }
  return runs;
}

const solutionOf = (row: Row | undefined) => (row ? readFileSync(join(row.out_path ?? '', 'solution'), 'utf8') : '');

/** Each run's files are kept, and began with its parent's. */
function expectFilesOf(rows: readonly Row[]): void {
  const byHash = new Map(rows.map((row) => [row.hash, row]));
  for (const row of rows) {
    const out = row.out_path ?? '';
    const kept = ['fleet_log.txt', 'result.json', 'run_metadata.json', 'solution'];
    expect(readdirSync(out).sort(), row.code).toEqual(kept);
    const own = `${inputOf(row.code)}\n`;
    expect(solutionOf(row), row.code).toBe(solutionOf(byHash.get(row.previous_hash ?? '')) + own);
    const { code, hash, stable, attempt, outcome, depth } = parseMetadata(
      readFileSync(join(out, 'run_metadata.json'), 'utf8'),
    );
    expect([code, hash, stable, attempt, outcome, depth]).toEqual([
      row.code,
      row.hash,
      row.stable === 1,
      row.attempts,
      'completed',
      row.depth,
    ]);
  }
}

test('a search by a program keeps files, starts warm, tries again, tells errors apart, and takes errors up once mended', async () => {
  const folder = temporaryFolder();
  const fleet = programFleet('program', folder);
  await fleet.crew({ workers: 2, workerArgs: ['--concurrency', '2'] });
  expect(await fleet.run('starter')).toMatchObject(done);
  await fleet.over();

  const rows = await fleet.rows();
  const broken = [failing, hanging, lying];
  expect(told(rows)).toEqual(expected((point) => (broken.includes(point.code) ? null : isStable(point))));
  expectFilesOf(rows.filter(({ state }) => state === 'completed'));
  const errors = Object.fromEntries(rows.filter(({ state }) => state === 'error').map((row) => [row.code, row]));
  expect(errors[failing]).toMatchObject({
    error_kind: 'program',
    error_msg: 'exit status 3\nno such gas',
    attempts: 2,
  });
  expect(errors[hanging]).toMatchObject({
    error_kind: 'timeout',
    error_msg: 'killed after 10 s without an end\nthinking',
    attempts: 2,
  });
  expect(errors[lying]).toMatchObject({
    error_kind: 'program',
    error_msg: expect.stringMatching(/^its result.json is wrong at stable/),
    attempts: 2,
  });
  for (const { out_path } of Object.values(errors))
    expect(existsSync(join(out_path ?? '', 'fleet_log.txt'))).toBe(true);
  const attempts = new Map(rows.map(({ code, attempts }) => [code, attempts]));
  expect(attempts).toEqual(new Map(rows.map(({ code }) => [code, [...broken, flaky].includes(code) ? 2 : 1])));
  expect(runsOf(folder)).toEqual(attempts);

  writeFileSync(join(folder, 'mended'), '');
  const [timedOut, rest] = [
    await fleet.run('starter', '--retry', 'errors', '--kind', 'timeout'),
    await fleet.run('starter', '--retry', 'errors'),
  ];
  expect([timedOut.stdout, rest.stdout]).toEqual([
    '1 errored points are queued again\n',
    '2 errored points are queued again\n',
  ]);
  await fleet.done();
  const mended = await fleet.rows();
  expect(told(mended)).toEqual(expected(isStable));
  expectFilesOf(mended);
  expect(
    mended
      .filter(({ attempts }) => attempts === 3)
      .map(({ code }) => code)
      .sort(),
  ).toEqual(broken.toSorted());
  expect(runsOf(folder)).toEqual(new Map(mended.map(({ code, attempts }) => [code, attempts])));

  const island = await fleet.run('starter', '--point', 'a=2.5', '--previous', space.decode(flaky).hash);
  expect(island).toMatchObject(done);
  await fleet.done();
  const [root] = (await fleet.rows()).filter(({ code }) => code === '2.5,0.0');
  expect(root).toMatchObject({ previous_hash: null, state: 'completed', stable: 0 });
  expect(solutionOf(root)).toBe(`${solutionOf(mended.find(({ code }) => code === flaky))}{"a":2.5,"b":0.0}\n`);
  await fleet.stop();
});

test('a program that hangs ends with its worker, and its point goes back', async () => {
  const folder = temporaryFolder();
  const fleet = programFleet('stopped', folder);
  // Its timeout never comes.
  fleet.config.run = { timeoutSeconds: 3600 };
  writeFileSync(join(folder, 'program.sh'), `echo x >> ${folder}/runs; sleep 1000 & sleep 1000`);
  await fleet.crew({ workerArgs: ['--grace', '0s'] });
  await fleet.run('starter');
  await until(() => existsSync(join(folder, 'runs')), 'the program runs');
  await until(async () => (await fleet.rows())[0]?.state === 'running', 'its row says so');
  // A process that the worker leaves behind fails the test.
  await fleet.stop();
  expect(readdirSync(join(folder, 'results', 'stopped')).filter((name) => !name.startsWith('.'))).toEqual([]);
  const { lists, leases } = await fleet.status();
  expect([lists.main_Q, lists.processing_Q, leases]).toEqual([1, 0, 0]);
});

test('a point whose files cannot be stored is an error, and neither pauses a worker nor keeps the others', async () => {
  const folder = temporaryFolder();
  const script = `
    case $(cat "$FLEET_INPUT_DIR/parameters.json") in
      '{"a":1.0}') touch "$FLEET_OUTPUT_DIR/$(printf 'a\\377')";;
      '{"a":-1.0}') mkdir -p "$FLEET_OUTPUT_DIR/$(printf 'deep/%.0s' $(seq 300))";;
    esac
    echo '{"stable": true}' > "$FLEET_OUTPUT_DIR/result.json"`;
  writeFileSync(join(folder, 'program.sh'), script);
  const fleet = new Fleet({
    name: 'names',
    parameters: { a: { start: 0, step: [{ below: 9, by: 1 }], min: -1, max: 3 } },
    simulator: { kind: 'program', command: ['sh', join(folder, 'program.sh')], sandbox: { kind: 'local' } },
    artifacts: { url: `file:${folder}/results` },
    run: { ...run, attempts: 1 },
    search: { mode: 'sides', reach: 2 },
    redis: { url: server.url },
    database: { url: Fleet.sqliteUrl() },
  });
  await fleet.crew({ workers: 2 });
  expect(await fleet.run('starter')).toMatchObject(done);
  await fleet.done();
  const errors = (await fleet.rows()).filter(({ state }) => state === 'error');
  expect((await fleet.rows()).length).toBe(5);
  expect(Object.fromEntries(errors.map(({ code, error_msg }) => [code, error_msg]))).toEqual({
    '1.0': expect.stringMatching(/^it left a file whose name is not UTF-8/),
    '-1.0': expect.stringMatching(/^it left a path of more than 700 bytes/),
  });
  expect(errors.map(({ error_kind }) => error_kind)).toEqual(['program', 'program']);
  for (const { stderr } of fleet.workers) expect(stderr).not.toContain('benched');
  await fleet.stop();
});
