import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { barriers, openPage, screenshot, startBrowser } from '../support/browser.js';
import { runRole } from '../support/processes.js';
import { fillSynthetic, syntheticParameters } from '../support/synthetic.js';
import { testSearch } from '../support/testSearch.js';

const hostile = '</script><script>document.title = "taken"</script>';

startBrowser();

test('a report is one file: its maps, counts, errors and configuration open without a network', async () => {
  const search = testSearch({ parameters: syntheticParameters, database: { table: 'points' } });
  await fillSynthetic(join(search.folder, 'atmos-fleet.db'), search.fingerprint, 5000, { table: 'points' });
  const ledger = search.ledger();
  await ledger.open();
  const { hash, code } = search.space.start;
  await ledger.insertQueued([{ hash, code, previous_hash: null, depth: 0 }]);
  const nothing = {
    worker: null,
    start_time: null,
    end_time: null,
    run_time: null,
    complete_msg: null,
    out_path: null,
  };
  await ledger.settle([
    {
      ...{ hash, code, previous_hash: null, depth: 0, state: 'error', stable: null, attempts: 1, ...nothing },
      ...{ error_kind: 'timeout', error_msg: hostile, temperature: null, pressure: null, outputs: null },
    },
  ]);
  await ledger.close();
  const out = join(search.folder, 'report.html');
  const env = { DATABASE_URL: `sqlite:${join(search.folder, 'atmos-fleet.db')}` };
  const { status, stdout } = await runRole('report', ['--out', out], { config: search.path, env });
  expect([status, stdout]).toEqual([0, `${out}: 10 maps of 5,001 points\n`]);
  expect(readFileSync(out, 'utf8')).not.toContain(search.folder);

  const page = await openPage(`file://${out}`);
  expect(await page.title()).toBe('test – atmos-fleet report');
  expect(await page.locator('[data-tile="Points"]').textContent()).toBe('5,001');
  await page.locator('#errors').getByText(hostile).waitFor();
  expect(await page.locator('#configuration').textContent()).toMatch(
    /name: test\nparameters:\n {2}O2:\n {4}start: 0.21/,
  );
  await page.getByLabel('Map', { exact: true }).selectOption({ label: 'CO2 over H2O' });
  await page.getByLabel('Colour', { exact: true }).selectOption('temperature');
  const over = 'over all values of O2, CH4 and H2 together: ';
  await page
    .getByText(new RegExp(`^5,001 points in \\d+ cells: CO2 over H2O. Each cell is .*${over}\\d+ to \\d+ points`))
    .waitFor();
  expect(await barriers(page)).toEqual([]);
  await screenshot(page, 'report');
});
