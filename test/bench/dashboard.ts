// The dashboard and the export over many rows: `npx tsx test/bench/dashboard.ts [ROWS]` (1,000,000), after a build. Prints what it measures.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { launchBrowser } from '../support/browser.js';
import { Child } from '../support/child.js';
import { startRole } from '../support/processes.js';
import { startRedis } from '../support/redis.js';
import { closeScope } from '../support/scope.js';
import { fillSynthetic, syntheticParameters } from '../support/synthetic.js';
import { testSearch } from '../support/testSearch.js';
import { until } from '../support/until.js';

const rows = Number(process.argv[2] ?? 1_000_000);
const rounds = 9;

function tell(what: string, value: string): void {
  console.log(`${what.padEnd(52)} ${value}`);
}

const milliseconds = (value: number) => `${Math.round(value).toLocaleString('en')} ms`;

async function timed<T>(work: () => Promise<T>): Promise<[number, T]> {
  const begun = performance.now();
  const result = await work();
  return [performance.now() - begun, result];
}

/** Median and worst of some rounds, each begun at rest. */
async function repeated(
  what: string,
  work: (round: number) => Promise<unknown>,
  rest: () => Promise<unknown> = async () => undefined,
): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await rest();
    times.push((await timed(() => work(round)))[0]);
  }
  times.sort((a, b) => a - b);
  tell(what, `${milliseconds(times[rounds >> 1] as number)} (worst ${milliseconds(times.at(-1) as number)})`);
}

function peakMegabytes(status: string): string {
  return `${Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024)} MB`;
}

const shown = (page: Page, act: () => Promise<unknown>) => async () => {
  // Drawn: the caption tells of another answer, and the browser has painted since.
  const before = await page.locator('#map').getAttribute('data-drawn');
  await act();
  await page.locator(`#map[data-drawn]:not([data-drawn="${before}"])`).waitFor();
  await page.evaluate('new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))');
};

/** The parallel coordinates are drawn after the map. */
const atRest = (page: Page) => () =>
  until(
    () =>
      page.evaluate(
        'document.querySelector("#map").dataset.drawn === document.querySelector("#parallel").dataset.drawn',
      ),
    'all is drawn',
  );

async function main(): Promise<void> {
  const redis = await startRedis();
  const search = testSearch({ parameters: syntheticParameters, redis: { url: redis.url } });
  const database = join(search.folder, 'atmos-fleet.db');
  const [filling] = await timed(() => fillSynthetic(database, search.fingerprint, rows));
  tell(
    `${rows.toLocaleString('en')} rows written, ${Math.round(statSync(database).size / 2 ** 20)} MB`,
    milliseconds(filling),
  );

  const dashboard = await startRole('dashboard', ['--port', '0'], { config: search.path });
  const url = /http:\/\/[^,\s]+/.exec((await dashboard.line(/the page is at/)).message)?.[0] as string;
  const now = async () => (await (await fetch(`${url}/api/now`)).json()) as { rows: number; whole: boolean };
  const [reading] = await timed(() => until(async () => (await now()).whole, 'every row is read', 300));
  tell('the dashboard reads all rows, once', milliseconds(reading));

  for (const path of [
    '/api/cells?x=O2&y=CO2',
    '/api/cells?x=O2&y=temperature&colour=outputs.optical_depth',
    '/api/dots?fields=O2,CO2,temperature&most=6000',
  ]) {
    await repeated(`server: ${path}`, async () => (await fetch(url + path)).text());
  }
  const limits = (round: number) => JSON.stringify({ limits: [{ field: 'H2O', from: 0.005 * round }] });
  await repeated('server: cells within a range', async (round) =>
    (await fetch(`${url}/api/cells?x=O2&y=CO2&selection=${encodeURIComponent(limits(round))}`)).text(),
  );
  const browser = await launchBrowser();
  const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
  const [paint] = await timed(async () => {
    await page.goto(url);
    await page.locator('#map[data-drawn]').waitFor();
  });
  tell('page: from the address to the drawn map', milliseconds(paint));
  const choices = ['0.01', '0.02', '0.03', '0.04', '0.05', '0.06', '0.03', '0.02', '0.01'];
  await repeated(
    'page: another slice, until it is drawn',
    (round) => shown(page, () => page.getByLabel('H2O from').selectOption(choices[round] as string))(),
    atRest(page),
  );
  const colours = ['temperature', 'state', 'outputs.optical_depth'];
  await repeated(
    'page: another colour, until it is drawn',
    (round) =>
      shown(page, () => page.getByLabel('Colour', { exact: true }).selectOption(colours[round % 3] as string))(),
    atRest(page),
  );
  await page.getByLabel('Show as').selectOption('circles');
  await repeated(
    'page: another slice of points, until it is drawn',
    (round) => shown(page, () => page.getByLabel('H2O from').selectOption(choices[round] as string))(),
    atRest(page),
  );
  await browser.close();
  tell('memory of the dashboard, at its peak', peakMegabytes(readFileSync(`/proc/${dashboard.pid}/status`, 'utf8')));
  dashboard.kill('SIGTERM');
  await dashboard.exited;
  for (const format of ['csv', 'jsonl', 'parquet'])
    await exportOnce(search.path, join(search.folder, `rows.${format}`));
}

/** GNU time is not everywhere: the child tells its own peak. */
async function exportOnce(config: string, out: string): Promise<void> {
  const exporter = new URL('../../dist/bin/export.js', import.meta.url).pathname;
  const code = `process.on('exit', () => console.log(process.resourceUsage().maxRSS)); process.argv[1] = ''; import(${JSON.stringify(exporter)})`;
  const [time, child] = await timed(async () => {
    const started = await Child.start(process.execPath, ['--eval', code, 'export', '--config', config, '--out', out]);
    await started.exited;
    return started;
  });
  const peak = Math.round(Number(child.stdout.trim().split('\n').at(-1)) / 1024);
  tell(
    `export to ${out.split('.').at(-1)}, ${Math.round(statSync(out).size / 2 ** 20)} MB`,
    `${milliseconds(time)}, ${peak} MB at its peak`,
  );
}

try {
  await main();
} finally {
  await closeScope();
}
