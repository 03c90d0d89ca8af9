import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';
import { atEnd } from './scope.js';

const output = fileURLToPath(new URL('../../test-output/', import.meta.url));
const axe = readFileSync(fileURLToPath(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8');
const quiet = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-sync',
];

let browser: Promise<Browser> | undefined;

/** Starts the Chromium that is on the PATH. */
export function launchBrowser(): Promise<Browser> {
  const names = ['chromium', 'chromium-browser', 'google-chrome'];
  const places = (process.env.PATH ?? '').split(':').flatMap((folder) => names.map((name) => join(folder, name)));
  const executablePath = places.find((path) => existsSync(path));
  if (!executablePath) throw new Error('no Chromium on the PATH: scripts/test installs it');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-component-update', ...quiet] });
}

/** One Chromium a test file. Asked for outside the tests, so that it lives as long as the file. */
export function startBrowser(): void {
  browser = launchBrowser();
  atEnd(async () => (await browser)?.close());
}

/**
 * Opens an address; when the test ends, nothing may have been reported on the console, but what the test expects, nor asked of
 * another host.
 */
export async function openPage(url: string, options: BrowserContextOptions = {}, expected = /^$/): Promise<Page> {
  const page = await ((await browser) as Browser).newPage({ viewport: { width: 1400, height: 1000 }, ...options });
  const complaints: string[] = [];
  page.on('console', (message) => {
    const matters = ['error', 'warning'].includes(message.type()) && !expected.test(message.text());
    if (matters) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error.stack)));
  page.on('request', (request) => {
    if (!request.url().startsWith(url) && !request.url().startsWith('blob:'))
      complaints.push(`asked for ${request.url()}`);
  });
  atEnd(async () => {
    await page.context().close();
    expect(complaints).toEqual([]);
  });
  await page.goto(url);
  return page;
}

/** Keeps a picture of the whole page under test-output/, to be looked at. */
export async function screenshot(page: Page, name: string): Promise<void> {
  mkdirSync(output, { recursive: true });
  await page.screenshot({ path: join(output, `${name}.png`), fullPage: true });
}

/** What axe finds that keeps people out: violations of serious or critical impact. */
export async function barriers(page: Page): Promise<string[]> {
  // By the debugger, which the page's policy does not bind.
  await page.evaluate(axe);
  const violations = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
    interface Violation {
      id: string;
      impact: string;
      nodes: { html: string }[];
    }
    return (await axe.run()).violations.map(({ id, impact, nodes }) => ({ id, impact, html: nodes[0]?.html }));
  });
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map((one) => JSON.stringify(one));
}
