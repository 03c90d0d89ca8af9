import { once } from 'node:events';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { createArtifactStore } from '../../src/artifacts/index.js';
import type { Cells, Field, Now } from '../../src/dashboard/api.js';
import type { SettledRow } from '../../src/ledger/ledger.js';
import { barriers, openPage, screenshot, startBrowser } from '../support/browser.js';
import { temporaryFolder } from '../support/folder.js';
import { type Role, runRole, startRole } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { openSqlite } from '../support/sqlite.js';
import { type TestSearch, testSearch } from '../support/testSearch.js';
import { until } from '../support/until.js';

const parameters = {
  O2: { start: 0.21, step: 0.1, max: 0.4 },
  N2: { start: 0.7772982887, filler: true },
  H2O: { start: 0.0123, step: 0.01, max: 0.06 },
  CH4: { start: 0.00000163 },
  CO2: { start: 0.0004, step: 0.01, max: 0.05 },
  H2: { start: 0.0000000813 },
};
const token = 'a token for tests only';
const hostile = '<script>document.title = "taken"</script><img src=x onerror="document.title = \'taken\'">';

startBrowser();

interface Stage {
  search: TestSearch;
  url: string;
  config: string;
  rows<T>(sql: string, ...values: unknown[]): T[];
}

/** A search on a Redis and a SQLite file of its own, and a dashboard that shows it. */
async function stage(
  env: Record<string, string> = {},
  args: readonly string[] = [],
): Promise<Stage & { dashboard: Role; redis: RedisServer }> {
  const redis = await startRedis();
  const search = testSearch({ parameters, search: { mode: 'sides', reach: 1 }, redis: { url: redis.url } });
  const ledger = search.ledger();
  await ledger.create(search.fingerprint);
  await ledger.close();
  const dashboard = await startRole('dashboard', ['--port', '0', ...args], { config: search.path, env });
  const { message } = await dashboard.line(/the page is at/);
  const url = /http:\/\/\S+?(?=,|$)/.exec(message)?.[0] as string;
  const db = openSqlite(join(search.folder, 'atmos-fleet.db'));
  atEnd(() => db.close());
  return {
    search,
    url,
    config: search.path,
    ...{ dashboard, redis },
    rows: (sql, ...values) => db.prepare(sql).all(...values) as never,
  };
}

/** Runs the whole search by a fleet. */
async function runFleet({ config }: Stage): Promise<void> {
  for (const role of ['sql-client', 'sql-client-master']) await startRole(role, [], { config });
  await startRole('worker', ['--concurrency', '2'], { config });
  expect((await runRole('starter', [], { config })).status).toBe(0);
}

/** Rows as a run leaves them, without a fleet: two settled, and one whose message would be markup. */
async function seed({ search }: Stage): Promise<{ hash: string; code: string }[]> {
  const { space } = search;
  const [start, ...neighbours] = [space.start, ...space.neighbours(space.start)];
  const points = [start, ...neighbours.slice(0, 2)].map(({ hash, code }) => ({ hash, code }));
  const ledger = search.ledger();
  await ledger.open();
  const folder = join(search.folder, 'run');
  mkdirSync(join(folder, 'deep'), { recursive: true });
  writeFileSync(join(folder, 'deep', 'profile.html'), hostile);
  const store = await createArtifactStore(`file:${search.folder}/results`, 'test');
  const out_path = await store.save(folder, points[0]?.hash ?? '', 'token-1');
  const nothing = {
    start_time: null,
    end_time: '2026-01-31T12:00:00.000Z',
    run_time: 2.5,
    error_kind: null,
    error_msg: null,
  };
  const numbers = { complete_msg: null, out_path: null, temperature: null, pressure: null, outputs: null, attempts: 1 };
  const plain = {
    ...nothing,
    ...numbers,
    worker: hostile,
    state: 'completed' as const,
    stable: true,
    previous_hash: null,
    depth: 0,
  };
  const parent = { previous_hash: points[0]?.hash as string, depth: 1 };
  await ledger.settle([
    { ...plain, ...(points[0] as (typeof points)[0]), temperature: 288.1, out_path, outputs: { [hostile]: 1.5 } },
    { ...plain, ...(points[1] as (typeof points)[0]), ...parent, stable: false, temperature: 250.5 },
    {
      ...plain,
      ...(points[2] as (typeof points)[0]),
      ...parent,
      state: 'error',
      stable: null,
      error_kind: 'program',
      error_msg: hostile,
    },
  ]);
  await ledger.close();
  return points;
}

/** The status of an answer to a request that asks for a host of that name. */
async function askedAs(url: string, host: string): Promise<number | undefined> {
  const [response] = (await once(request(url, { headers: { host } }).end(), 'response')) as [IncomingMessage];
  response.destroy();
  return response.statusCode;
}

const tile = (page: Page, name: string) => page.locator(`[data-tile="${name}"]`);
const mapRows = (page: Page) => page.locator('#map').getAttribute('data-rows').then(Number);
const number = async (page: Page, name: string) => Number((await tile(page, name).textContent())?.replaceAll(',', ''));

describe('the page, while a fleet runs', () => {
  test('shows what SQL holds, live, and filters and opens points', async () => {
    const shown = await stage();
    const page = await openPage(shown.url);
    await page.evaluate(() => Object.assign(globalThis, { never: 'reloaded' }));
    await runFleet(shown);
    const count = (where: string) =>
      shown.rows<{ n: number }>(`select count(*) n from parameterspace where ${where}`)[0]?.n;
    await page.getByText('the search is over').waitFor();
    expect(await page.evaluate(() => (globalThis as { never?: string }).never)).toBe('reloaded');
    expect(count('1')).toBeGreaterThan(100);
    await until(async () => (await mapRows(page)) === count('1'), 'the map has every row');
    for (const [name, where] of [
      ['Points', '1'],
      ['Stable', 'stable = 1'],
      ['Unstable', 'stable = 0'],
      ['Errors', "state = 'error'"],
      ['Waiting', "state = 'queue'"],
    ] as const) {
      expect(await number(page, name), name).toBe(count(where));
    }
    await expectCells(shown, page);
    await expectFilters(page, count);
    await expectVerdicts(page);
    await expectClicks(shown, page);
    await expectBrush(shown, page);
    await screenshot(page, 'dashboard-light');
  });
});

describe('the page, while a service hangs', () => {
  test('says how old its figures are, greys them, and calls nothing over', async () => {
    const shown = await stage();
    await seed(shown);
    const page = await openPage(shown.url);
    const settled = 'all 3 points are settled; no master runs to confirm the end';
    await page.locator('#status', { hasText: settled }).waitFor();
    await runFleet(shown);
    await page.locator('#status', { hasText: 'the search is over' }).waitFor();
    const stale = page.locator('.aged.stale');
    expect(await stale.count()).toBe(0);
    for (const age of await page.locator('[data-age-of]').allTextContents()) expect(age).toMatch(/^\d+(\.\d)? s ago$/);
    await shown.redis.kill('SIGSTOP');
    await page.locator('#status', { hasText: 'no answer from Redis: figures in grey are old' }).waitFor();
    expect(((await (await fetch(`${shown.url}/api/now`)).json()) as Now).done).toBe(false);
    const titles = await page.locator('.tile.stale dt').allTextContents();
    expect(titles).toEqual(['Settled a second', 'Frontier', 'Workers']);
    expect(await barriers(page)).toEqual([]);
    await screenshot(page, 'dashboard-stale');
    await shown.redis.kill('SIGCONT');
    await page.locator('#status', { hasText: 'the search is over' }).waitFor();
  });

  test('greys everything when the dashboard itself hangs', async () => {
    const shown = await stage();
    const page = await openPage(shown.url);
    await page.locator('#status', { hasText: 'no point yet' }).waitFor();
    await until(async () => (await page.locator('.aged').count()) > 12, 'the figures are there');
    shown.dashboard.kill('SIGSTOP');
    await until(async () => (await page.locator('.aged:not(.stale)').count()) === 0, 'all figures are grey');
    shown.dashboard.kill('SIGCONT');
    await until(async () => (await page.locator('.aged.stale').count()) === 0, 'no figure is grey');
  });
});

/** Every cell of the map has as many stable and unstable points as SQL counts there. */
async function expectCells({ rows }: Stage, page: Page): Promise<void> {
  const { x, y, cells } = await page.evaluate(
    async () => (await (await fetch('/api/cells?x=O2&y=CO2&colour=temperature')).json()) as Cells,
  );
  const found = cells.map((cell) => ({
    ...{ O2: x.from[cell.x], CO2: y.from[cell.y], unstable: cell.counts[3], stable: cell.counts[4] },
    temperature: cell.means[0]?.toFixed(6),
  }));
  const expected = rows<{ temperature: number; O2: number; CO2: number }>(
    `select O2, CO2, sum(stable = 0) unstable, sum(stable) stable, avg(temperature) temperature
      from parameterspace group by O2, CO2 order by CO2, O2`,
  );
  expect(found).toEqual(expected.map((row) => ({ ...row, temperature: row.temperature.toFixed(6) })));
}

async function expectFilters(page: Page, count: (where: string) => number | undefined): Promise<void> {
  await page.getByLabel('H2O from').selectOption('0.03');
  await until(async () => (await mapRows(page)) === count('H2O >= 0.03'), 'the map keeps to the slice');
  await page.getByLabel('temperature to').fill('320');
  await page.keyboard.press('Tab');
  await until(
    async () => (await mapRows(page)) === count('H2O >= 0.03 and temperature <= 320'),
    'the map keeps to both',
  );
  await page.getByLabel('unstable', { exact: true }).uncheck();
  const kept = 'H2O >= 0.03 and temperature <= 320 and stable = 1';
  await until(async () => (await mapRows(page)) === count(kept), 'the map keeps to stable points');
  await page.getByLabel('Show as').selectOption('circles');
  await page
    .getByText(new RegExp(`^${count(kept)} points in \\d+ circles: .* Left out: points that are unstable`))
    .waitFor();
  await page.getByLabel('Show as').selectOption('cells');
  await page.getByLabel('unstable', { exact: true }).check();
  await page.getByRole('button', { name: 'All points' }).click();
  await until(async () => (await mapRows(page)) === count('1'), 'the map has every row again');
}

/** Points of both verdicts coincide at all places of this map: both are seen, and words say what falls together. */
async function expectVerdicts(page: Page): Promise<void> {
  const [across, up] = await Promise.all(
    ['Across', 'Up'].map((name) => page.getByLabel(name, { exact: true }).inputValue()),
  );
  await page.getByLabel('Across', { exact: true }).selectOption('O2');
  await page.getByLabel('Up', { exact: true }).selectOption('CO2');
  await page.getByText(/Each cell is the share of stable points among those settled, over all values of H2O/).waitFor();
  await page.getByLabel('Show as').selectOption('circles');
  await page.getByText(/Each circle is divided by the states of its points .*, over all values of H2O/).waitFor();
  const [stable, unstable] = await pixelsOf(page, ['--stable', '--unstable']);
  expect(stable).toBeGreaterThan(1000);
  expect(unstable).toBeGreaterThan(300);
  await screenshot(page, 'dashboard-points');
  await page.getByLabel('Show as').selectOption('cells');
  await page.getByLabel('Across', { exact: true }).selectOption(across as string);
  await page.getByLabel('Up', { exact: true }).selectOption(up as string);
}

/** How many pixels of the map have each of these colours of the page. */
function pixelsOf(page: Page, colours: readonly string[]): Promise<number[]> {
  return page.evaluate<number[]>(`(() => {
    const canvas = document.querySelector('#map canvas');
    const style = getComputedStyle(document.documentElement);
    const wanted = ${JSON.stringify(colours)}.map((name) => parseInt(style.getPropertyValue(name).trim().slice(1), 16));
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const counts = wanted.map(() => 0);
    for (let at = 0; at < data.length; at += 4) {
      const index = wanted.indexOf(data[at] * 65536 + data[at + 1] * 256 + data[at + 2]);
      if (index >= 0) counts[index]++;
    }
    return counts;
  })()`);
}

/** The cell in the middle of the map opens a point of that very cell; the points that led to it lead to the root. */
async function expectClicks({ rows }: Stage, page: Page): Promise<void> {
  const [across, up] = await Promise.all(
    ['Across', 'Up'].map((name) => page.getByLabel(name, { exact: true }).inputValue()),
  );
  const axis = async (name: string) =>
    rows<{ value: number }>(`select distinct ${name} value from parameterspace order by 1`).map(({ value }) => value);
  const [xs, ys] = [await axis(across as string), await axis(up as string)];
  const [column, line] = [Math.floor(xs.length / 2), Math.floor(ys.length / 2)];
  const box = (await page.locator('#map').boundingBox()) as { x: number; y: number; width: number; height: number };
  // The margins around the plot, as the page draws it.
  const plot = { left: 64, top: 44, width: box.width - 64 - 18, height: box.height - 44 - 48 };
  await page.locator('#map').click({
    position: {
      x: plot.left + ((column + 0.5) * plot.width) / xs.length,
      y: plot.top + plot.height - ((line + 0.5) * plot.height) / ys.length,
    },
  });
  await page.locator('#points-title', { hasText: 'of the cell' }).waitFor();
  const hash = (await page.locator('#point dd.code').textContent()) as string;
  const [row] = rows<Record<string, unknown>>('select * from parameterspace where hash = ?', hash);
  expect(row).toMatchObject({ [across as string]: xs[column], [up as string]: ys[line] });
  const facts = await page.locator('#point dl').innerText();
  expect(facts).toContain(String(row?.temperature));
  expect(await page.locator('#point ol li').count()).toBe(row?.depth);
  const root = rows<{ code: string }>('select code from parameterspace where previous_hash is null')[0]?.code;
  expect(await page.locator('#point ol li button').last().textContent()).toBe(root);
  // By keyboard alone: the last link of the chain opens the root.
  await page.locator('#point ol li button').last().focus();
  await page.keyboard.press('Enter');
  await page.getByText('A root: no point led to it').waitFor();
}

/** Dragging along an axis of the parallel coordinates keeps its range, a click on the axis lets go. */
async function expectBrush({ rows }: Stage, page: Page): Promise<void> {
  const chart = page.locator('#parallel');
  await chart.scrollIntoViewIfNeeded();
  const box = (await chart.boundingBox()) as { x: number; y: number; width: number; height: number };
  const [x, top, bottom] = [box.x + 48, box.y + 40, box.y + box.height - 22];
  const at = (share: number) => bottom - share * (bottom - top);
  await page.mouse.move(x, at(0.45));
  await page.mouse.down();
  for (const share of [0.3, 0.1, -0.05]) await page.mouse.move(x, at(share), { steps: 4 });
  await page.mouse.up();
  const all = rows<{ n: number }>('select count(*) n from parameterspace')[0]?.n as number;
  const kept = rows<{ n: number }>('select count(*) n from parameterspace where O2 <= 0.21')[0]?.n;
  await until(
    async () => (await mapRows(page)) === kept,
    `the map keeps to the ${kept} points of the brush, of ${all}`,
  );
  await page.getByRole('button', { name: 'All points' }).click();
  await until(async () => (await mapRows(page)) === all, 'the map has every row again');
}

describe('the page over a table that is done', () => {
  test('shows hostile texts as texts', async () => {
    const shown = await stage();
    const [start, , broken] = await seed(shown);
    const page = await openPage(shown.url);
    await page.locator('#errors').getByText(hostile).waitFor();
    await page.locator('#points').getByRole('button', { name: 'error' }).click();
    await page.locator('#point dd.code', { hasText: broken?.hash as string }).waitFor();
    await page.locator('#point dd', { hasText: hostile }).first().waitFor();
    await page.getByLabel('Colour', { exact: true }).selectOption(`outputs.${hostile}`);
    await page
      .getByText(start?.code as string)
      .first()
      .click();
    await page.locator('#files a', { hasText: 'deep/profile.html' }).waitFor();
    expect(await page.title()).toBe('test – atmos-fleet');
  });

  test('has no barriers, in light and dark and on a phone', async () => {
    const shown = await stage({ ATMOS_FLEET_DASHBOARD_TOKEN: token });
    await seed(shown);
    for (const [name, options] of [
      ['light', { colorScheme: 'light' as const }],
      ['dark', { colorScheme: 'dark' as const }],
      ['narrow', { viewport: { width: 390, height: 844 }, isMobile: true }],
    ] as const) {
      const page = await openPage(shown.url, options);
      await page.locator('#points').getByRole('button', { name: 'unstable' }).click();
      await page.getByText('points that led to it').waitFor();
      expect(await barriers(page), name).toEqual([]);
      await screenshot(page, `dashboard-seeded-${name}`);
      const width = await page.evaluate<number>('document.documentElement.scrollWidth');
      expect(width, name).toBeLessThanOrEqual(page.viewportSize()?.width ?? 0);
    }
  });

  test('notices a root that another process pushed, and a table made anew', async () => {
    const shown = await stage();
    await seed(shown);
    const page = await openPage(shown.url);
    await until(async () => (await number(page, 'Points')) === 3, 'the page has the rows');
    const ledger = shown.search.ledger();
    await ledger.open();
    const point = shown.search.space.pointWith({ O2: 0.33 });
    await ledger.insertQueued([{ hash: point.hash, code: point.code, previous_hash: null, depth: 0 }]);
    await until(async () => (await number(page, 'Waiting')) === 1, 'the page has the new row');
    const db = openSqlite(join(shown.search.folder, 'atmos-fleet.db'));
    db.exec('drop table parameterspace; drop table parameterspace_meta');
    db.close();
    await page.getByText('is not there yet').waitFor();
    await ledger.create(shown.search.fingerprint);
    await until(async () => (await number(page, 'Points')) === 0, 'the page has forgotten the old rows');
    await ledger.close();
  });
});

describe('a program that names its outputs differently at each point', () => {
  test('costs bounded memory, and the page and the report say what is left out', async () => {
    const shown = await stage();
    const ledger = shown.search.ledger();
    await ledger.open();
    for (let from = 0; from < 400; from += 20)
      await ledger.settle(Array.from({ length: 20 }, (_, n) => oddRow(shown, from + n)));
    await ledger.close();
    const page = await openPage(shown.url);
    await until(async () => (await number(page, 'Stable')) === 400, 'the page has the rows');
    await page.getByText('only the most frequent, 100 at most').waitFor();
    const fields = (await (await fetch(`${shown.url}/api/fields`)).json()) as Field[];
    const outputs = fields.filter(({ group }) => group === 'output').map(({ name }) => name);
    expect(outputs).toHaveLength(100);
    expect(outputs).toContain('outputs.z common');
    const peak = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${shown.dashboard.pid}/status`, 'utf8'))?.[1];
    expect(Number(peak)).toBeLessThan(500_000);
    const out = join(shown.search.folder, 'report.html');
    expect(await runRole('report', ['--out', out], { config: shown.config })).toMatchObject({ status: 0 });
    const report = await openPage(`file://${out}`);
    await report.getByText('only the most frequent, 100 at most').waitFor();
  });
});

/** A stable row with a thousand outputs of names that no other has, and one that all have. */
function oddRow({ search }: Stage, n: number): SettledRow {
  const { hash, code } = search.space.pointWith({ O2: 0.1 + n / 10_000 });
  const names = Array.from({ length: 1000 }, (_, index) => `output ${index} of point ${n}`);
  const outputs = Object.fromEntries([...names, 'z common'].map((name, index) => [name, index + n]));
  const at = '2026-01-31T12:00:00.000Z';
  return {
    ...{ hash, code, previous_hash: null, depth: 0, state: 'completed', stable: true, attempts: 1, worker: 'worker' },
    ...{ start_time: at, end_time: at, run_time: 1, error_kind: null, error_msg: null, complete_msg: null },
    ...{ out_path: null, temperature: 288, pressure: null, outputs },
  };
}

describe('actions', () => {
  test('ask once, and want the token', async () => {
    const shown = await stage({ ATMOS_FLEET_DASHBOARD_TOKEN: token });
    await seed(shown);
    const page = await openPage(shown.url, {}, /status of 400/);
    const say = async (answer: string) => page.getByRole('dialog').getByRole('button', { name: answer }).click();
    const status = async () => JSON.parse((await runRole('status', ['--json'], { config: shown.config })).stdout);

    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Stop now' }).click();
    await say('Leave it');
    expect((await status()).killed).toBe(false);
    await page.getByRole('button', { name: 'Drain' }).click();
    await say('Do it');
    await page.getByText('the kill switch is on: running points finish first').waitFor();
    expect((await status()).killed).toBe(true);
    await page.locator('#status', { hasText: 'kill switch on' }).waitFor();
    await page.getByRole('button', { name: 'Add the point' }).click();
    await say('Do it');
    await page.getByText('Not done: refused: the kill switch is on').waitFor();
    await page.getByRole('button', { name: 'Lift the kill switch' }).click();
    await say('Do it');
    await page.getByText('the kill switch is lifted').waitFor();

    await startRole('sql-client-master', [], { config: shown.config });
    await page.getByLabel('O2', { exact: true }).fill('0.37');
    await page.getByRole('button', { name: 'Add the point' }).click();
    await say('Do it');
    await until(() => shown.rows('select 1 from parameterspace where O2 = 0.37').length === 1, 'the point has a row');
    await page.getByRole('button', { name: 'Retry errors' }).click();
    await say('Do it');
    await page.getByText('1 errored points are queued again').waitFor();
    expect(shown.rows("select 1 from parameterspace where state = 'error'")).toEqual([]);
  });

  test('are refused without the token, and without one set', async () => {
    const withToken = await stage({ ATMOS_FLEET_DASHBOARD_TOKEN: token });
    const ask = (url: string, headers: Record<string, string>, name = 'kill') =>
      fetch(`${url}/api/actions/${name}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ how: 'now' }),
      });
    const right = { authorization: `Bearer ${token}` };
    expect((await ask(withToken.url, {})).status).toBe(401);
    expect((await ask(withToken.url, { authorization: `Bearer ${token}x` })).status).toBe(401);
    expect((await ask(withToken.url, right, 'constructor')).status).toBe(404);
    const wrong = await fetch(`${withToken.url}/api/actions/kill`, { method: 'POST', headers: right });
    expect(wrong.status).toBe(400);
    const readOnly = await stage();
    expect((await ask(readOnly.url, right)).status).toBe(403);
    const page = await openPage(readOnly.url);
    await page.getByText('This dashboard only shows').waitFor();
    const { stdout } = await runRole('status', ['--json'], { config: withToken.config });
    expect(JSON.parse(stdout).killed).toBe(false);
  });

  test('are refused for a while after wrong tokens, with the right one too', async () => {
    const { url } = await stage({ ATMOS_FLEET_DASHBOARD_TOKEN: token });
    const ask = (shown: string) =>
      fetch(`${url}/api/actions/constructor`, { method: 'POST', headers: { authorization: `Bearer ${shown}` } });
    const statuses: number[] = [];
    for (let guess = 0; guess < 8; guess++) statuses.push((await ask(`guess ${guess}`)).status);
    expect(statuses.slice(0, 4)).toEqual([401, 401, 401, 401]);
    await until(async () => {
      await ask('wrong again'); // The refusals grow until one is certain to last.
      const right = await ask(token);
      return right.status === 429 && Number(right.headers.get('retry-after')) > 0;
    }, 'the address is refused');
  });

  test('a token that can be guessed is refused', async () => {
    const search = testSearch({ parameters });
    const env = { ATMOS_FLEET_DASHBOARD_TOKEN: 'short' };
    const { status, stderr } = await runRole('dashboard', ['--port', '0'], { config: search.path, env });
    expect([status, stderr]).toEqual([2, expect.stringContaining('wants 16 characters or more')]);
    expect(stderr).not.toContain('short');
  });
});

describe('the server', () => {
  test('binds loopback, sets a strict policy, and answers to its own name alone', async () => {
    const { url } = await stage();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const response = await fetch(url);
    const policy = response.headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|http|data:/);
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await askedAs(url, 'elsewhere.example')).toBe(421);
  });

  test('on another address answers to addresses and the names that it was told, and to no others', async () => {
    const { url } = await stage({}, [
      '--host',
      '0.0.0.0',
      '--allowed-host',
      'Fleet.example',
      '--allowed-host',
      'fleet',
    ]);
    const here = `http://127.0.0.1:${new URL(url).port}`;
    for (const path of ['/', '/api/now', '/metrics', '/api/events']) {
      expect(await askedAs(here + path, 'elsewhere.example:80'), path).toBe(421);
    }
    for (const name of ['fleet.example:8080', 'fleet', '10.1.2.3:8080', 'localhost']) {
      expect(await askedAs(`${here}/metrics`, name), name).toBe(200);
    }
  });

  test('gives the files of a run as downloads, and nothing beside them', async () => {
    const shown = await stage();
    const [start] = await seed(shown);
    const files = `${shown.url}/api/points/${start?.hash}/files`;
    expect(await (await fetch(files)).json()).toEqual([{ path: 'deep/profile.html', bytes: hostile.length }]);
    const file = await fetch(`${files}/deep/profile.html`);
    expect(await file.text()).toBe(hostile);
    expect(file.headers.get('content-disposition')).toBe('attachment; filename="profile.html"');
    expect(file.headers.get('content-type')).toBe('application/octet-stream');
    for (const path of ['..%2F..%2Fatmos-fleet.yaml', '%2Fetc%2Fpasswd', 'deep']) {
      expect((await fetch(`${files}/${path}`)).status, path).toBe(404);
    }
  });

  test('streams the files of a run from where they are, a few at once, until their reader goes', async () => {
    const absent = join(temporaryFolder(), 'absent'); // a temporary folder that nothing can be copied to
    const shown = await stage({ TMPDIR: absent });
    const [start] = await seed(shown);
    const large = join(shown.search.folder, 'results/test', start?.hash as string, 'token-1/large');
    writeFileSync(large, '');
    truncateSync(large, 64 * 1024 * 1024);
    const files = `${shown.url}/api/points/${start?.hash}/files`;
    expect(await (await fetch(files)).json()).toHaveLength(2);
    const readers: IncomingMessage[] = [];
    for (let reader = 0; reader < 16; reader++) {
      const [response] = (await once(get(`${files}/large`), 'response')) as [IncomingMessage];
      expect(response.headers['content-length']).toBe(String(64 * 1024 * 1024));
      readers.push(response);
    }
    const refused = await fetch(files);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
    const open = () => {
      const folder = `/proc/${shown.dashboard.pid}/fd`;
      const names = readdirSync(folder).flatMap((name) => {
        try {
          return readlinkSync(join(folder, name));
        } catch {
          return []; // It was closed meanwhile.
        }
      });
      return names.filter((name) => name.endsWith('/large')).length;
    };
    expect(open()).toBe(16);
    for (const reader of readers) reader.destroy();
    await until(async () => open() === 0 && (await fetch(files)).ok, 'the files are closed, and others are served');
    // Answers that wait behind one another on one connection go with it.
    const { hostname, port, pathname } = new URL(files);
    const impatient = connect(Number(port), hostname);
    impatient.write(`GET ${pathname}/large HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`.repeat(8));
    await until(async () => open() > 1, 'files are open for it');
    impatient.destroy();
    await until(async () => open() === 0, 'its files are closed');
  });

  test('follows no link in the place of a run', async () => {
    const shown = await stage();
    const [start] = await seed(shown);
    const place = join(shown.search.folder, 'results/test', start?.hash as string);
    const elsewhere = join(temporaryFolder(), 'elsewhere');
    renameSync(place, elsewhere);
    symlinkSync(elsewhere, place);
    const files = `${shown.url}/api/points/${start?.hash}/files`;
    expect(await (await fetch(files)).json()).toEqual([]);
    expect((await fetch(`${files}/deep/profile.html`)).status).toBe(404);
  });

  test('answers what is wrong with a request', async () => {
    const { url } = await stage();
    for (const path of [
      '/api/cells?x=O2&y=nothing',
      '/api/cells?x=O2&y=CO2&selection={',
      '/api/dots?fields=O2&most=999999999',
      `/api/points/${'0'.repeat(32)}`,
      '/api/points/x',
    ]) {
      const response = await fetch(url + path);
      expect([path, response.status]).toEqual([path, 400]);
      expect(((await response.json()) as { error: string }).error).toMatch(/\w/);
    }
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
  });

  test('tells its health and metrics, and ends at once', async () => {
    const shown = await stage();
    await seed(shown);
    await until(
      async () => ((await (await fetch(`${shown.url}/api/now`)).json()) as Now).rows === 3,
      'the rows are read',
    );
    await until(async () => (await fetch(`${shown.url}/healthz`)).ok, 'Redis and the database were looked at');
    expect(await (await fetch(`${shown.url}/healthz`)).json()).toEqual({ ok: true, troubles: [] });
    const metrics = await (await fetch(`${shown.url}/metrics`)).text();
    expect(metrics).toContain('atmos_fleet_points{state="stable",search="test"} 1');
    expect(metrics).toContain('atmos_fleet_list_length{list="main_Q",search="test"} 0');
    const events = await fetch(`${shown.url}/api/events`);
    expect(events.headers.get('content-type')).toBe('text/event-stream');
    shown.dashboard.kill('SIGTERM');
    expect(await shown.dashboard.exited).toEqual({ status: 0, signal: null });
    await events.body?.cancel().catch(() => undefined);
  });

  test('stays up while Redis is away, and says so', async () => {
    const redis = await startRedis();
    const search = testSearch({ parameters, redis: { url: redis.url } });
    const dashboard = await startRole('dashboard', ['--port', '0'], { config: search.path });
    const url = /http:\/\/[^,\s]+/.exec((await dashboard.line(/the page is at/)).message)?.[0];
    await dashboard.line(/is not there yet/);
    await redis.kill('SIGTERM');
    await dashboard.line(/waiting: Redis/);
    const health = await fetch(`${url}/healthz`);
    expect(health.status).toBe(503);
    expect(((await health.json()) as Now).troubles).toHaveLength(2);
  });
});
