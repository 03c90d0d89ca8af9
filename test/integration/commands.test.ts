import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { commandNames } from '../../src/cli/main.js';
import { Child } from '../support/child.js';
import type { Fleet } from '../support/fleet.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { planeFleet, planeRows, planeRowsFrom } from '../support/plane.js';
import { runRole } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let server: RedisServer;
let mariadb: MariadbServer;
let redis: Redis;

beforeAll(async () => {
  [server, mariadb] = await Promise.all([startRedis(), startMariadb()]);
  redis = server.connect();
});

const done = { status: 0, signal: null };
const ofMariadb = async () => ({ database: { url: await mariadb.createDatabase() } });
const verdicts = async (fleet: Fleet) =>
  (await fleet.rows()).map(({ hash, stable }) => ({ hash, stable: stable === 1 }));
const expected = (rows = planeRows) => rows.map(({ hash, stable }) => ({ hash, stable }));

describe("the seed's own lines", () => {
  test('lead a search from a clean start to its end', async () => {
    const fleet = planeFleet(server, 'seed', await ofMariadb());
    expect(await fleet.run('kill', '-r', '1')).toMatchObject({
      ...done,
      stdout: expect.stringMatching(/^0 keys deleted/),
    });
    const roles = [
      await fleet.start('sql-client', '-r', '1'),
      await fleet.start('sql-client', '-c', '1'),
      await fleet.start('sql-client', '-m', '1'),
      await fleet.start('worker'),
    ];
    for (const role of roles) await role.line(/^serving/);
    expect(roles[2]?.log[0]).toMatchObject({ role: 'sql-client-master' });
    const started = await fleet.run('starter');
    expect(started).toMatchObject(done);
    expect(started.stdout).toMatch(/^the lattice has 169 points\n[0-9a-f]{32} 0\.0,0\.0: (queue|running|completed)/);

    const watching = await fleet.run('kill', '-f', '2', '--interval', '300ms');
    expect(watching).toMatchObject(done);
    expect(watching.stdout).toMatch(/empty, 1 of 2\nempty, 2 of 2\nnothing is left: the kill switch is on\n$/);
    for (const role of roles) expect(await role.exited, role.stderr).toEqual(done);
    expect(await verdicts(fleet)).toEqual(expected());

    expect(await fleet.run('kill', '-k', '1')).toMatchObject({ ...done, stdout: 'the kill switch is on\n' });
    expect(await fleet.run('kill', '-r', '1')).toMatchObject({
      ...done,
      stdout: expect.stringMatching(/^[1-9]\d* keys deleted, no unsaved result among them\n$/),
    });
    expect(await redis.keys('{seed}:*')).toEqual([]);
  });

  test('begin anew with -r, which -r 0 does not', async () => {
    const fleet = planeFleet(server, 'anew', await ofMariadb());
    await fleet.crew();
    await fleet.run('starter');
    await fleet.over();
    await fleet.stop();
    const same = await fleet.start('sql-client', '-r', '0', '-c', '1', '-m', '0');
    expect(await same.line(/^serving/)).toMatchObject({ role: 'sql-client' });
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    const anew = await fleet.start('sql-client', '-r');
    await anew.line(/^serving/);
    expect(await fleet.rows()).toEqual([]);
  });
});

test('sql-client-master --rebuild makes Redis anew from SQL, and loses nothing', async () => {
  const fleet = planeFleet(server, 'rebuilt');
  await fleet.crew();
  await fleet.run('starter');
  await fleet.over();
  const rows = await fleet.rows();
  const master = await fleet.start('sql-client-master', '--rebuild');
  await master.line(/^making Redis whole from SQL: asked for by --rebuild$/);
  await master.line(/^the search is open/);
  await fleet.done();
  expect(await fleet.rows()).toEqual(rows);
  await fleet.stop();
  master.kill('SIGTERM');
  expect(await master.exited, master.stderr).toEqual(done);
});

describe('many roles at once', () => {
  test.each(['MariaDB', 'SQLite'])('create one table and share one search: %s', async (kind) => {
    const fleet = planeFleet(server, `many-${kind}`, kind === 'MariaDB' ? await ofMariadb() : {});
    const times = (role: string) => Array.from({ length: 4 }, () => fleet.start(role, '-c', '1'));
    const roles = await Promise.all([...times('sql-client'), ...times('sql-client-master'), fleet.start('worker')]);
    fleet.masters.push(...roles.slice(4, 8));
    expect(await fleet.run('starter', '--no-wait')).toMatchObject(done);
    await fleet.over();
    expect(await verdicts(fleet)).toEqual(expected());
    for (const role of roles) role.kill('SIGTERM');
    for (const role of roles) expect(await role.exited, role.stderr).toEqual(done);
  });
});

describe('status', () => {
  test('tells where the search stands, for machines and for people', async () => {
    const fleet = planeFleet(server, 'status');
    await fleet.crew();
    await fleet.masters[0]?.line(/^serving/);
    await fleet.workers[0]?.line(/^serving/);
    const lists = {
      main_sql_Q: 0,
      main_Q: 0,
      processing_Q: 0,
      running_sql_Q: 0,
      error_sql_Q: 0,
      complete0_sql_Q: 0,
      complete1_sql_Q: 0,
      kill: 0,
    };
    const before = { name: 'status', states: { queue: 0, running: 0, error: 0, completed: 0 }, stable: 0, unstable: 0 };
    expect(await fleet.status()).toMatchObject({ ...before, lists, workers: 1, done: false });

    await fleet.run('starter');
    const watched = await fleet.run('status', '--watch', '--interval', '100ms');
    expect(watched).toMatchObject(done);
    expect(watched.stdout).toMatch(/\] 61 settled, 0 to go · 41 stable · 20 unstable · .* · over\n$/);
    expect(watched.stdout).not.toContain('\r');
    expect(await fleet.status()).toMatchObject({
      ...before,
      states: { queue: 0, running: 0, error: 0, completed: 61 },
      stable: 41,
      unstable: 20,
      lists,
      workers: 1,
      done: true,
    });
    const people = await fleet.run('status');
    expect(people).toMatchObject(done);
    expect(people.stdout).toMatch(/^status: the search is over\n/);
    expect(people.stdout).toMatch(/completed 61 \(41 stable, 20 unstable\)/);
    await fleet.stop();
    expect(await fleet.status()).toMatchObject({ workers: 0, done: true });
  });

  test('ends its watching, and nothing else, when it is told to', async () => {
    const fleet = planeFleet(server, 'watch');
    await fleet.crew({ workers: 0 });
    await fleet.masters[0]?.line(/^serving/);
    const watching = await fleet.start('status', '--watch', '--interval', '100ms');
    await watching.child.line((line) => line.includes('to go'), 'how far it is');
    watching.kill('SIGINT');
    expect(await watching.exited).toEqual(done);
    expect(fleet.masters[0]?.child.running).toBe(true);
    await fleet.stop();
  });
});

describe('starter', () => {
  test('pushes roots, each once, and says what became of them', async () => {
    const fleet = planeFleet(server, 'roots');
    await fleet.crew();
    // Far off, an island of its own: its neighbours are unstable.
    const island = await fleet.run('starter', '--point', 'a=2.5,b=-2.25');
    expect(island.stdout).toMatch(/[0-9a-f]{32} 2\.5,-2\.25: /);
    expect(await fleet.run('starter', '--no-wait')).toMatchObject({
      ...done,
      stdout: expect.stringMatching(/\npushed 0\.0,0\.0\n$/),
    });
    await fleet.done();
    const again = await fleet.run('starter', '--point', 'a=2.5,b=-2.25');
    expect(again).toMatchObject({ ...done, stdout: expect.stringMatching(/2\.5,-2\.25: completed, unstable\n$/) });
    expect(await verdicts(fleet)).toEqual(expected(planeRowsFrom('2.5,-2.25')));
    const roots = (await fleet.rows()).filter(({ previous_hash }) => previous_hash === null);
    expect(roots.map(({ code, depth, attempts }) => [code, depth, attempts]).sort()).toEqual([
      ['0.0,0.0', 0, 1],
      ['2.5,-2.25', 0, 1],
    ]);
    await fleet.stop();
  });

  test('wants a point with files for --previous', async () => {
    const fleet = planeFleet(server, 'previous');
    await fleet.crew();
    const started = await fleet.run('starter');
    const hash = /[0-9a-f]{32}/.exec(started.stdout)?.[0] ?? '';
    const nowhere = await fleet.run('starter', '--point', 'a=0.25', '--previous', '0'.repeat(32));
    expect(nowhere).toMatchObject({ status: 2, stderr: `--previous: no row has the hash ${'0'.repeat(32)}\n` });
    const without = await fleet.run('starter', '--point', 'a=0.25', '--previous', hash);
    expect(without).toMatchObject({
      status: 2,
      stderr: `--previous: the point ${hash} has left no files to start from\n`,
    });
    await fleet.over();
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    await fleet.stop();
  });

  test('puts errored points back, all or those of a kind or message', async () => {
    const fleet = planeFleet(server, 'retry');
    await fleet.crew({ workers: 0 });
    const failure = (code: string, error_kind: string, error_msg: string) =>
      `${code};${JSON.stringify({ depth: 0, attempt: 3, error_kind, error_msg })}`;
    const told = 'exit status 3\nno such gas? it\'s "H2" \\ 🌍 %s $1 :a';
    await redis.lpush(
      fleet.key('error_sql_Q'),
      failure('0.0,0.0', 'program', told),
      failure('0.5,0.0', 'timeout', 'killed after 5 s'),
      failure('1.0,0.0', 'poison', '5 workers vanished'),
      failure('1.5,0.0', 'program', 'exit status 1'),
    );
    const states = async () =>
      Object.fromEntries((await fleet.rows()).map(({ code, state, attempts }) => [code, `${state} ${attempts}`]));
    await until(async () => (await fleet.rows()).length === 4, 'the errors have rows');
    await fleet.masters[0]?.line(/^serving/);

    expect((await fleet.rows()).find(({ code }) => code === '0.0,0.0')).toMatchObject({ error_msg: told });
    const byKind = await fleet.run('starter', '--retry', 'errors', '--kind', 'timeout');
    expect(byKind).toMatchObject({ ...done, stdout: '1 errored points are queued again\n' });
    const byMessage = await fleet.run('starter', '--retry', 'errors', '--kind', 'program', '--message', 'such gas');
    expect(byMessage).toMatchObject({ ...done, stdout: '1 errored points are queued again\n' });
    expect(await states()).toEqual({
      '0.0,0.0': 'queue 4',
      '0.5,0.0': 'queue 4',
      '1.0,0.0': 'error 3',
      '1.5,0.0': 'error 3',
    });
    const rest = await fleet.run('starter', '--retry', 'errors');
    expect(rest).toMatchObject({ ...done, stdout: '2 errored points are queued again\n' });
    expect(await fleet.run('starter', '--retry', 'errors')).toMatchObject({
      ...done,
      stdout: '0 errored points are queued again\n',
    });

    await fleet.crew({ masters: 0, clients: 0, workers: 1 });
    await fleet.done();
    expect(await verdicts(fleet)).toEqual(expected());
    expect(
      (await fleet.rows()).filter(({ error_kind, error_msg }) => error_kind !== null || error_msg !== null),
    ).toEqual([]);
    await fleet.stop();
  });
});

describe('what destroys', () => {
  /** Runs a role on a terminal on which a person types that. */
  async function typed(fleet: Fleet, typing: string, role: string, ...args: string[]) {
    const config = join(fleet.folder, 'atmos-fleet.yaml');
    writeFileSync(config, stringify(fleet.config));
    const program = fileURLToPath(new URL(`../../dist/bin/${role}.js`, import.meta.url));
    const line = `node ${program} ${args.join(' ')} --config ${config}`;
    const typist = `printf '${typing}' | script --quiet --return --command '${line}' /dev/null`;
    const child = await Child.start('bash', ['-c', typist], { cwd: fleet.folder });
    return { child, ended: child.exited.then(({ status }) => ({ status, shown: child.stdout })) };
  }

  test('asks on a terminal what is about to be lost, and takes only yes', async () => {
    const fleet = planeFleet(server, 'asked');
    await redis.lpush(fleet.key('main_Q'), '0.0,0.0', '0.5,0.0');
    await redis.lpush(fleet.key('complete0_sql_Q'), '1.0,0.0');
    const loss =
      'This deletes what Redis holds of asked: 1 results that SQL has not got, 2 points to run. Rows in SQL stay.';
    for (const typing of ['n\\n', '\\n']) {
      const { status, shown } = await (await typed(fleet, typing, 'kill', '-r')).ended;
      expect([status, shown]).toEqual([1, expect.stringContaining(loss)]);
      expect(shown).toContain('nothing is deleted');
      expect(await redis.llen(fleet.key('main_Q'))).toBe(2);
    }
    const { status, shown } = await (await typed(fleet, 'y\\n', 'kill', '-r')).ended;
    expect([status, shown]).toEqual([0, expect.stringContaining('2 keys deleted, 1 results went with them')]);
    for (const args of [['-r', '1'], ['-r', '--yes'], ['-r']]) {
      // The last one finds nothing that could be lost.
      if (args.length > 1) await redis.lpush(fleet.key('main_Q'), '0.0,0.0');
      const again = await (await typed(fleet, '', 'kill', ...args)).ended;
      expect([again.status, again.shown]).toEqual([0, expect.not.stringContaining('Delete it?')]);
    }
  });

  test('asks before a table is dropped', async () => {
    const fleet = planeFleet(server, 'dropped');
    await fleet.crew();
    await fleet.run('starter');
    await fleet.over();
    await fleet.stop();
    const { status, shown } = await (await typed(fleet, 'n\\n', 'sql-client', '-r')).ended;
    expect([status, shown]).toEqual([
      1,
      expect.stringContaining('This drops table parameterspace with its 61 rows, and what Redis'),
    ]);
    expect(await fleet.rows()).toHaveLength(planeRows.length);
    const agreed = await typed(fleet, 'y\\n', 'sql-client', '-r');
    await agreed.child.line((line) => line.includes('"serving'), 'that it serves');
    expect(await fleet.rows()).toEqual([]);
    await fleet.run('kill', '-k');
    expect((await agreed.ended).status).toBe(0);
  });
});

describe('usage', () => {
  test('is told by each role and by the program', async () => {
    const [program, ...helps] = await Promise.all([
      runRole('atmos-fleet', ['--help']),
      ...commandNames.map((role) => runRole(role, ['--help'])),
    ]);
    for (const [index, role] of commandNames.entries()) {
      expect(program).toMatchObject({ ...done, stdout: expect.stringContaining(`atmos-fleet ${role}`) });
      expect(helps[index]).toMatchObject({
        ...done,
        // A command may take an argument of its own, e.g. `init [file]`.
        stdout: expect.stringMatching(new RegExp(`^atmos-fleet ${role}( \\[\\w+\\])?\\n`)),
      });
    }
  });

  test.each([
    [[], /name a role/],
    [['conquer'], /[Uu]nknown|conquer/],
    [['worker', '--speed', '9'], /speed/],
    [['worker', '--concurrency', '0'], /^--concurrency: found '0', wants a whole number from 1; --help tells more$/m],
    [['worker', '--concurrency', 'two'], /^--concurrency: found 'two'/m],
    [['worker', '--grace', 'soon'], /^--grace: found 'soon', wants a time/m],
    [['sql-client', '-r', 'maybe'], /^-r: found 'maybe', wants 1 \(on\), 0 \(off\)/m],
    [['kill'], /^kill wants one of .*found none$/m],
    [['kill', '-k', '0'], /^kill wants one of .*found none$/m],
    [['kill', '-k', '1', '-r', '1'], /^kill wants one of .*found 2$/m],
    [['kill', '-f', '0'], /^-f: found '0', wants a whole number from 1; --help tells more$/m],
    [['kill', '-k', '1', '--interval', '1s'], /interval/],
    [['starter', '--retry', 'errors', '--point', 'a=1'], /retry|point/],
    [['starter', '--kind', 'timeout'], /kind|retry/],
    [['starter', '--kind', 'odd', '--retry', 'errors'], /kind.*odd/s],
    [['starter', '--point'], /point/],
    [['starter', '--point', 'a=1=2'], /^'a=1=2' names no point .*: found 'a=1=2', wants NAME=NUMBER$/m],
    [
      ['starter', '--point', 'a'],
      /^'a' names no point \(a hash, a code or NAME=VALUE,…\): 1 numbers found, wants 2: a, b$/m,
    ],
    [['starter', '--point', '__proto__=1'], /__proto__ is no parameter: there are a, b$/m],
    [['starter', '--point', 'a=1,a=2'], /^'a=1,a=2' names no point .*: a is named twice$/m],
  ])('is refused when it is wrong: %j', async (args, message) => {
    const fleet = planeFleet(server, 'usage');
    const answer = await fleet.run('atmos-fleet', ...args);
    expect(answer).toMatchObject({ status: 2, stdout: '' });
    expect(answer.stderr).toMatch(message);
  });

  test('of kill comes as help where no option is given', async () => {
    const answer = await planeFleet(server, 'help').run('kill');
    expect(answer.status).toBe(2);
    for (const option of ['-k', '--drain', '-f', '--clear', '-r']) expect(answer.stderr).toContain(option);
  });
});
