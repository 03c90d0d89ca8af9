import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { definitionOf } from '../../src/config/definition.js';
import { Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';
import { temporaryFolder } from '../support/folder.js';
import {
  docker,
  FleetNetwork,
  fleetImage,
  healthy,
  servicesImage,
  textsIn,
  withLog,
  workerImage,
} from '../support/images.js';
import { searchConfig, smallParameters } from '../support/search.js';
import { until } from '../support/until.js';

const buildMilliseconds = 900_000;
const mebibyte = 2 ** 20;
const root = fileURLToPath(new URL('../..', import.meta.url));
/** What of the repository the images are built from, and more that they are not. */
const contextOf = ['.dockerignore', 'docker', 'scripts', 'src', 'package.json', 'package-lock.json', 'tsconfig.json'];

let fleet = '';
let services = '';

beforeAll(async () => {
  fleet = await fleetImage();
  services = await servicesImage();
}, buildMilliseconds);

/** Redis, MariaDB, a master and an SQL client on a network of their own, and a configuration of all. */
async function startServices(simulator: object) {
  const network = await FleetNetwork.create();
  await network.run('redis', services, ['redis-server', '--protected-mode', 'no', '--save', '']);
  const database = await network.run('database', services, ['sh', '-c', startDatabase], ['-p', '127.0.0.1::3306']);
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'results'));
  chmodSync(join(folder, 'results'), 0o777);
  const config = searchConfig('redis://redis:6379', {
    database: { url: 'mysql://root@database:3306/fleet' },
    artifacts: { url: 'file:/results' },
    simulator,
  });
  writeFileSync(join(folder, 'atmos-fleet.yaml'), stringify(config), { mode: 0o644 });
  const master = await network.role('master', fleet, ['sql-client-master'], folder);
  const client = await network.role('client', fleet, ['sql-client', '-c'], folder);
  for (const role of [master, client]) await healthy(role);
  await network.command(fleet, ['starter'], folder);
  const status = async () =>
    JSON.parse(await network.command(fleet, ['status', '--json', '--log-level', 'error'], folder));
  return { network, folder, database, status };
}

const startDatabase = `mariadb-install-db --no-defaults --user=root --datadir=/tmp/data --auth-root-authentication-method=normal \
  --skip-test-db --skip-name-resolve >/dev/null &&
  printf '%s\\n' "create database fleet;" "create user root@'%';" "grant all on *.* to root@'%';" >/tmp/init &&
  exec mariadbd --no-defaults --user=root --datadir=/tmp/data --socket=/tmp/my.sock --skip-name-resolve \
  --character-set-server=utf8mb4 --init-file=/tmp/init`;

async function rowsIn(database: string) {
  const address = await docker('port', database, '3306');
  const connection = await createConnection({
    host: '127.0.0.1',
    port: Number(address.split(':').at(-1)),
    user: 'root',
  });
  const [rows] = await connection.query('select code, hash, state, stable from fleet.parameterspace order by hash');
  await connection.end();
  return rows as { code: string; hash: string; state: string; stable: number }[];
}

/** The rows are the closure that their own verdicts ask for, and none is unsettled. */
async function expectClosure(database: string, most: number) {
  const rows = await rowsIn(database);
  expect(rows.length).toBeGreaterThan(100);
  expect(rows.length).toBeLessThan(most);
  expect(new Set(rows.map(({ state }) => state))).toEqual(new Set(['completed']));
  const parameters = Object.entries(smallParameters).map(([name, { start, ...rest }]) => ({
    name,
    start,
    ...('step' in rest ? { step: [{ below: 1, by: rest.step }], max: rest.max } : rest),
  }));
  const space = new Space(definitionOf({ parameters, search: { mode: 'sides', reach: 1 } }));
  const verdicts = new Map(rows.map(({ code, stable }) => [code, stable === 1]));
  const closure = floodFill(space, ({ code }) => verdicts.get(code) ?? null);
  expect(rows.map(({ code, hash, stable }) => ({ code, hash, stable: stable === 1 }))).toEqual(closure);
}

/** Kills one worker and disconnects another while runs go on, and waits for the end of the search. */
async function exploreThroughFaults(
  image: string,
  { network, folder, status }: Awaited<ReturnType<typeof startServices>>,
) {
  const start = (name: string) =>
    network.role(name, image, ['worker', '--concurrency', '4', '--exit-when-done'], folder);
  const [killed = '', cut = '', kept = ''] = await Promise.all(['killed', 'cut', 'kept'].map(start));
  await withLog(kept, () => until(async () => (await status()).states.completed > 20, 'runs go on'));
  await docker('kill', killed);
  await docker('network', 'disconnect', network.name, cut);
  await until(async () => (await status()).done, 'the search is over', 150);
  expect(await docker('wait', kept)).toBe('0');
  expect(await docker('inspect', '--format', '{{.State.Running}}', cut)).toBe('true');
}

describe('the image of all roles', () => {
  test('is small, runs as nobody in particular, and says what it is', async () => {
    const size = async (image: string) => Number(await docker('image', 'inspect', '--format', '{{.Size}}', image));
    expect((await size(fleet)) - (await size('node:24-bookworm-slim'))).toBeLessThan(200 * mebibyte);
    const [facts] = JSON.parse(await docker('image', 'inspect', fleet));
    expect(facts.Config.User).toBe('1000:1000');
    expect(facts.Config.Labels['org.opencontainers.image.title']).toBe('atmos-fleet');
    expect(facts.Config.Entrypoint.join(' ')).not.toMatch(/\bsh\b/);
    expect(await docker('run', '--rm', fleet, '--version')).toBe(
      facts.Config.Labels['org.opencontainers.image.version'],
    );
  });

  test('makes a fleet that explores to the closure while one worker is killed and one is cut off', async () => {
    const fleetOf = await startServices({ kind: 'reference', delayMs: 100 });
    await exploreThroughFaults(fleet, fleetOf);
    await expectClosure(fleetOf.database, 2000);
  });
});

test(
  'images hold nothing of secrets beside the sources, or in the environment of who builds them',
  async () => {
    const secret = 'a-secret-that-nobody-may-see';
    const context = temporaryFolder();
    for (const name of [...contextOf, 'LICENSE', 'README.md', 'k8s'])
      cpSync(join(root, name), join(context, name), { recursive: true });
    const files = ['.env', 'atmos-fleet.yaml', '.npmrc', 'docker/.env', 'scripts/gcp/fleet.env', 'k8s/users.acl'];
    for (const name of files) writeFileSync(join(context, name), `SECRET=${secret}\n`);
    for (const name of ['REDIS_URL', 'DATABASE_URL', 'ATMOS_FLEET_DASHBOARD_TOKEN', 'NPM_TOKEN'])
      vi.stubEnv(name, secret);
    const built = await fleetImage(context);
    for (const image of [built, await workerImage(built, context)]) {
      // Of what is there one in the configuration, one in its history, one in a layer: so the search looks everywhere.
      const there = ['9464/tcp', 'COPY', 'const { ok } = await fetch('];
      expect(await textsIn(image, [secret, ...there]), image).toEqual(there);
    }
  },
  buildMilliseconds,
);

describe("the worker in a simulator's image", () => {
  test(
    'explores with the simulator as its child processes',
    async () => {
      const image = await workerImage(fleet);
      const fleetOf = await startServices({ kind: 'atmos', sandbox: { kind: 'local' } });
      await exploreThroughFaults(image, fleetOf);
      await expectClosure(fleetOf.database, 2000);
    },
    buildMilliseconds,
  );
});
