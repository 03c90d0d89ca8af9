import { beforeAll, describe, expect, test } from 'vitest';
import { Fleet, type FleetConfig } from '../support/fleet.js';
import type { ExpectedRow } from '../support/floodFill.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { planeFleet, planeRows, planeUpTo } from '../support/plane.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { Wire } from '../support/wire.js';

let server: RedisServer;
let mariadb: MariadbServer;

beforeAll(async () => {
  [server, mariadb] = await Promise.all([startRedis(), startMariadb()]);
});

interface Extension {
  how: string;
  name: string;
  database: 'MariaDB' | 'SQLite';
  /** What the configuration says at first, what `verify` then says, and how many rows there are. */
  first: Partial<FleetConfig>;
  verdict: { status: number; stdout: RegExp };
  rows: number;
  /** What it says later, and the rows that this leads to. */
  later: Partial<FleetConfig>;
  expected: readonly ExpectedRow[];
}

const [narrow, wide] = [planeUpTo(0.5), planeUpTo(1.5)];
const atMost = (maxPoints: number) => ({ search: { mode: 'sides', reach: 1, maxPoints } });
const complete = { status: 0, stdout: /\ncomplete: every neighbour of every stable point is there and settled\n$/ };

const extensions: Extension[] = [
  {
    how: 'wider bounds',
    name: 'wider',
    database: 'MariaDB',
    ...{ first: { parameters: narrow.parameters }, verdict: complete, rows: narrow.rows.length },
    ...{ later: { parameters: wide.parameters }, expected: wide.rows },
  },
  {
    how: 'a larger maxPoints',
    name: 'larger',
    database: 'SQLite',
    ...{ first: atMost(30), verdict: { status: 1, stdout: /\nincomplete: maxPoints kept \d+ points out\n/ }, rows: 30 },
    ...{ later: atMost(1000), expected: planeRows },
  },
];

async function runToItsEnd(fleet: Fleet, ...rebuild: '--rebuild'[]): Promise<void> {
  fleet.masters.push(await fleet.start('sql-client-master', ...rebuild));
  await fleet.crew({ masters: 0 });
  if (rebuild.length === 0) await fleet.run('starter');
  await fleet.over();
  await fleet.stop();
}

/** Whether `status` says that there might be more points. */
async function keptOut(fleet: Fleet): Promise<boolean> {
  const { status, stdout } = await fleet.run('status');
  expect(status).toBe(0);
  return stdout.includes('maxPoints kept proposals out');
}

describe('a search that is over', () => {
  test.each(extensions)(
    'goes on with $how: settled rows stay as they are, only the frontier runs',
    async ({ name, database, first, verdict, rows, later, expected }) => {
      const url = database === 'MariaDB' ? await mariadb.createDatabase() : Fleet.sqliteUrl();
      const fleet = planeFleet(server, name, { database: { url }, ...first });
      await runToItsEnd(fleet);
      const before = await fleet.rows();
      expect(before).toHaveLength(rows);
      const judged = await fleet.run('verify');
      expect(judged).toMatchObject({ status: verdict.status, stdout: expect.stringMatching(verdict.stdout) });
      expect(await keptOut(fleet)).toBe(verdict !== complete);

      const wire = await Wire.tapped(server);
      const extended = planeFleet(server, name, { database: { url }, ...later });
      await runToItsEnd(extended, '--rebuild');

      const after = await extended.rows();
      expect(after.map(({ hash, code, state, stable }) => ({ hash, code, state, stable }))).toEqual(
        expected.map(({ hash, code, stable }) => ({ hash, code, state: 'completed', stable: Number(stable) })),
      );
      const settled = new Set(before.map(({ hash }) => hash));
      expect(after.filter(({ hash }) => settled.has(hash))).toEqual(before);
      const frontier = expected.filter(({ hash }) => !settled.has(hash));
      const once = new Map(frontier.map(({ code }) => [code, 1]));
      expect(once.size).toBeGreaterThan(0);
      await until(
        () => expect(wire.entered(extended.key('processing_Q'))).toEqual(once),
        'the frontier was leased once',
      );
      expect(await extended.run('verify')).toMatchObject({
        status: complete.status,
        stdout: expect.stringMatching(complete.stdout),
      });
      expect(await keptOut(extended)).toBe(false);
    },
  );

  test('does not go on in another mode', async () => {
    const fleet = planeFleet(server, 'mode');
    const client = await fleet.start('sql-client', '-c');
    await client.line(/^serving/);
    client.kill('SIGTERM');
    await client.exited;
    const other = planeFleet(server, 'mode', {
      database: fleet.config.database,
      search: { mode: 'diagonals', reach: 1 },
    });
    const { status, stderr } = await other.run('sql-client-master', '--rebuild');
    expect(status).toBe(2);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(
      'the table is of another search: search.mode: this configuration says diagonals, the running search sides',
    );
  });
});
