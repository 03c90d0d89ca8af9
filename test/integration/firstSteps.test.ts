import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BucketServer } from '../support/bucket-server.js';
import { dockerEngine, standInImage } from '../support/docker.js';
import { temporaryFolder } from '../support/folder.js';
import { runRole, startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { testSearch } from '../support/testSearch.js';
import { until } from '../support/until.js';

const parameters = { mass: { start: 1, step: [{ below: 9, by: 1 }], min: 1, max: 3 }, size: { start: 2 } };
/** Heavier than two it fails, and says why. */
const model = `
  const { readFileSync, writeFileSync } = require('node:fs');
  const { mass } = JSON.parse(readFileSync(process.env.FLEET_INPUT_DIR + '/parameters.json'));
  console.log('weighing', mass);
  if (mass > 2) { console.error('\\u001b[31mtoo heavy'); process.exit(3); }
  writeFileSync(process.env.FLEET_OUTPUT_DIR + '/profile.txt', 'a profile');
  writeFileSync(process.env.FLEET_OUTPUT_DIR + '/result.json', JSON.stringify({ stable: true, temperature: 288.5, outputs: { weight: mass } }));
`;
/** Species that Atmos knows. */
const air = { CO2: { start: 0.0004, step: [{ below: 1, by: 0.01 }] }, CH4: { start: 1.63e-6 } };
const simulator = { kind: 'program', command: [process.execPath, '--eval', model], sandbox: { kind: 'local' } };

describe('init', () => {
  test.each(['reference', 'program', 'atmos'])(
    'writes a configuration for %s that is valid and keeps what is there',
    async (kind) => {
      const cwd = temporaryFolder();
      const first = await runRole('init', ['--for', kind], { cwd });
      expect([first.status, first.stdout]).toEqual([0, expect.stringContaining('atmos-fleet.yaml is written')]);
      const text = readFileSync(join(cwd, 'atmos-fleet.yaml'), 'utf8');
      expect(text).toContain(`kind: ${kind}`);
      // Valid: `run` gets as far as its point's name.
      const { status, stderr } = await runRole('run', ['--point', 'nothing=1'], { cwd });
      expect([status, stderr]).toEqual([2, expect.stringContaining('nothing is no parameter')]);
      const second = await runRole('init', [], { cwd });
      expect([second.status, second.stderr]).toEqual([2, 'atmos-fleet.yaml is there already\n']);
      expect(readFileSync(join(cwd, 'atmos-fleet.yaml'), 'utf8')).toBe(text);
    },
  );
});

describe('doctor', () => {
  test('finds all well where it is', async () => {
    const redis = await startRedis();
    const search = testSearch({ parameters, redis: { url: redis.url } });
    const { status, stdout, stderr } = await runRole('doctor', [], { config: search.path });
    expect(stderr).toBe('');
    expect(stdout.match(/^(ok|WRONG) +\w+/gm)).toEqual(
      ['configuration', 'Redis', 'database', 'simulator', 'artifacts'].map((name) => `ok     ${name}`),
    );
    expect(stdout).toContain('All is well.');
    expect(stdout).toContain('sql-client -c creates it');
    expect(status).toBe(0);
  });

  test('says of each trouble what is wrong and what to do, and no password', async () => {
    const search = testSearch({ parameters, artifacts: { url: 'file:./atmos-fleet.yaml/below-a-file' } });
    const env = {
      REDIS_URL: 'redis://:a-secret-word@127.0.0.1:1',
      DATABASE_URL: 'mysql://user:a-secret-word@127.0.0.1:1/fleet',
    };
    const { status, stdout, stderr } = await runRole('doctor', [], { config: search.path, env });
    expect(status).toBe(1);
    expect(stdout.match(/^WRONG +\w+/gm)).toEqual(['WRONG  Redis', 'WRONG  database', 'WRONG  artifacts']);
    expect(stdout.match(/^ +-> /gm)).toHaveLength(3);
    expect(stdout).toContain('3 of 5 checks found something wrong');
    expect(stdout).toContain('Redis (redis://:***@127.0.0.1:1): connect ECONNREFUSED');
    expect(stdout + stderr).not.toContain('a-secret-word');
  });

  test('looks at Docker, the image and the bucket', async () => {
    const [redis, image, server] = [await startRedis(), await standInImage(), new BucketServer('models')];
    const env = { STORAGE_EMULATOR_HOST: await server.start(), DOCKER_HOST: process.env.DOCKER_HOST ?? '' };
    atEnd(() => server.stop());
    const doctor = (image: string) => {
      const simulator = { kind: 'atmos', sandbox: { kind: 'docker', image, pull: 'never' } };
      const search = testSearch({
        parameters: air,
        simulator,
        artifacts: { url: 'gs://models' },
        redis: { url: redis.url },
      });
      return runRole('doctor', [], { config: search.path, env });
    };
    const well = await doctor(image);
    expect([well.status, well.stdout]).toEqual([0, expect.stringMatching(/image_digest sha256:[\s\S]*gs:\/\/models/)]);
    server.permissions = ['storage.objects.get'];
    const ill = await doctor('nowhere/nothing:1');
    expect(ill.status).toBe(1);
    expect(ill.stdout.match(/^WRONG +\w+/gm)).toEqual(['WRONG  simulator', 'WRONG  artifacts']);
    expect(ill.stdout).toContain('nowhere/nothing:1');
    expect(ill.stdout).toContain('lacks storage.objects.create');
  });

  test.each([
    [
      { start: 1, step: 1e-9, min: 0.5, max: 2 },
      /the lattice has 1,500,000,001 points\n +warning: the lattice is vast/,
    ],
    [{ start: -5, step: 1 }, /warning: a: no step leads anywhere .* not over 0, and no min is given/],
    [{ start: 1e308, step: 1e308 }, /^\S+: parameters\.a\.step: found 1e\+308, wants a step that does not lead out/],
  ])('warns of a search that is hardly meant: %j', async (axis, sentence) => {
    const search = { name: 'odd', parameters: { a: axis }, redis: { url: 'redis://127.0.0.1:1' } };
    const { stdout, stderr } = await runRole('doctor', [], { config: search });
    expect(stdout + stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('refuses a Redis that may forget, and a table of another search', async () => {
    const redis = await startRedis({ options: ['--maxmemory-policy', 'allkeys-lru'] });
    const search = testSearch({ parameters, redis: { url: redis.url } });
    const ledger = search.ledger();
    await ledger.create(JSON.stringify({ parameters: 'others' }));
    await ledger.close();
    const { status, stdout } = await runRole('doctor', [], { config: search.path });
    expect(status).toBe(2);
    expect(stdout).toContain('set it to noeviction');
    expect(stdout).toContain('the table is of another search');
  });
});

test('a command that cannot be started is a wrong configuration, to doctor and to a worker at its start', async () => {
  const redis = await startRedis();
  const command = { kind: 'program', command: ['nosuchprog'], sandbox: { kind: 'local' } };
  const search = testSearch({ parameters, simulator: command, redis: { url: redis.url } });
  const doctor = await runRole('doctor', [], { config: search.path });
  expect([doctor.status, doctor.stdout]).toEqual([2, expect.stringMatching(/nosuchprog: not found on the PATH/)]);
  expect(doctor.stdout.match(/^WRONG +\w+/gm)).toEqual(['WRONG  simulator']);
  for (const role of ['worker', 'run']) {
    const { status, stderr } = await runRole(role, [], { config: search.path });
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/simulator\.command: nosuchprog: not found on the PATH/),
    ]);
    expect(stderr).not.toMatch(/^ +at /m);
  }
});

test('doctor runs the start, by a script beside the configuration', async () => {
  const redis = await startRedis();
  const command = [process.execPath, 'model.cjs'];
  const search = testSearch({ parameters, simulator: { ...simulator, command }, redis: { url: redis.url } });
  writeFileSync(join(search.folder, 'model.cjs'), model);
  const cwd = temporaryFolder();
  const well = await runRole('doctor', [], { config: search.path, cwd });
  expect(well.stdout).toContain('ok     simulator\n       program is ready: the start, 1.0,2.0, is stable\n');
  writeFileSync(join(search.folder, 'model.cjs'), `console.error('no-such-module'); process.exit(1); ${model}`);
  const ill = await runRole('doctor', [], { config: search.path, cwd });
  expect([ill.status, ill.stdout]).toEqual([
    1,
    expect.stringMatching(/WRONG {2}simulator\n {7}the start, 1\.0,2\.0, failed: exit status 1\n.*no-such-module/s),
  ]);
  expect(readdirSync(cwd)).toEqual([]);
});

describe('run', () => {
  test('runs one point here, and shows its numbers and files', async () => {
    const search = testSearch({ parameters, simulator });
    const out = join(search.folder, 'here');
    const { status, stdout } = await runRole('run', ['--point', 'mass=2', '--out', out], { config: search.path });
    expect(stdout).toMatch(
      /point +2\.0,2\.0\n[\s\S]*outcome +stable\n[\s\S]*temperature +288\.5 K\n[\s\S]*weight +2\.0/,
    );
    expect(stdout).toMatch(/profile\.txt {2}9 bytes/);
    expect(readFileSync(join(out, 'output', 'profile.txt'), 'utf8')).toBe('a profile');
    expect(status).toBe(0);
  });

  test('shows no result of an earlier run, and keeps its files', async () => {
    const search = testSearch({ parameters, simulator });
    const at = { config: search.path, cwd: search.folder };
    const good = await runRole('run', [], at);
    expect([good.status, good.stdout]).toEqual([0, expect.stringMatching(/temperature +288\.5 K/)]);
    const folder = /^files in (.*)\/output$/m.exec(good.stdout)?.[1] as string;
    const idle = testSearch({ parameters, simulator: { ...simulator, command: ['true'] } });
    const next = await runRole('run', [], { ...at, config: idle.path });
    expect([next.status, next.stdout]).toEqual([1, expect.stringMatching(/outcome +error \(program\)/)]);
    expect(next.stdout).toContain(`files in ${folder}-2/output`);
    expect(next.stdout).not.toContain('288.5');
    expect(readFileSync(join(folder, 'output', 'profile.txt'), 'utf8')).toBe('a profile');
  });

  test('takes no folder in which something is, and leaves that as it is', async () => {
    const search = testSearch({ parameters, simulator });
    const cwd = join(search.folder, 'work');
    mkdirSync(join(cwd, 'input'), { recursive: true });
    writeFileSync(join(cwd, 'input', 'mine.txt'), 'mine');
    const { status, stderr } = await runRole('run', ['--out', '.'], { config: search.path, cwd });
    expect([status, stderr]).toEqual([2, `--out: ${cwd} is not empty: name another folder\n`]);
    expect(readFileSync(join(cwd, 'input', 'mine.txt'), 'utf8')).toBe('mine');
  });

  test.each([
    ['a folder that cannot be made', {}, ['--out', '/proc/nowhere'], {}, /^ENOENT: .*\/proc\/nowhere'\n$/],
    [
      'an engine that is down',
      { kind: 'docker', image: 'x' },
      [],
      { DOCKER_HOST: 'unix:///nowhere.sock' },
      /nowhere\.sock/,
    ],
    ['an image that is missing', { kind: 'docker', image: 'no/such:1', pull: 'never' }, [], {}, /no\/such:1/],
  ])('says in a sentence what is the matter: %s', async (_, sandbox, args, env, sentence) => {
    await dockerEngine();
    const program = { ...simulator, sandbox: { ...simulator.sandbox, ...sandbox } };
    const search = testSearch({ parameters, simulator: program });
    const { status, stderr } = await runRole('run', args, { config: search.path, cwd: search.folder, env });
    expect(status).toBe(1);
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('tells a failure by its exit status', async () => {
    const search = testSearch({ parameters, simulator });
    const { status, stdout } = await runRole('run', ['--point', '3.0,2.0'], {
      config: search.path,
      cwd: search.folder,
    });
    expect([status, stdout]).toEqual([1, expect.stringMatching(/outcome +error \(program\)[\s\S]*too heavy/)]);
    expect(stdout).not.toContain('\u001b');
  });

  test('needs no files where the model keeps none', async () => {
    const search = testSearch({ parameters: { CO2: { start: 0.0004 } } });
    const { status, stdout } = await runRole('run', [], { config: search.path, cwd: search.folder });
    expect([status, stdout]).toEqual([0, expect.stringMatching(/outcome +stable/)]);
    expect(existsSync(join(search.folder, 'run-'))).toBe(false);
  });
});

test('logs show what a failed run said, by hash and by code', async () => {
  const redis = await startRedis();
  const search = testSearch({ parameters, simulator, redis: { url: redis.url }, run: { attempts: 1 } });
  const config = search.path;
  await startRole('sql-client', ['-c'], { config });
  await startRole('sql-client-master', ['-c'], { config });
  await startRole('worker', [], { config });
  await runRole('starter', [], { config });
  const ledger = search.ledger();
  const failed = async () => (await ledger.rows({ state: 'error' }).next()).value?.[0];
  const row = (await until(failed, 'a run has failed')) as { hash: string; code: string };
  await ledger.close();
  const byHash = await runRole('logs', ['--point', row.hash], { config });
  expect(byHash.stdout).toContain(`${row.hash}: error`);
  expect(byHash.stdout).toMatch(/--- fleet_log\.txt\nweighing 3/);
  expect(byHash.stdout).not.toContain('\u001b');
  expect((await runRole('logs', ['--point', row.code], { config })).stdout).toBe(byHash.stdout);
  expect((await runRole('logs', ['--point', 'mass=3'], { config })).stdout).toBe(byHash.stdout);
  const again = await runRole('run', ['--point', row.hash], { config, cwd: search.folder });
  expect([again.status, again.stdout]).toEqual([1, expect.stringContaining(`hash         ${row.hash}`)]);
  const unknown = await runRole('logs', ['--point', '9.0,2.0'], { config });
  expect([unknown.status, unknown.stderr]).toEqual([2, expect.stringContaining('the search has not met 9.0,2.0')]);
});
