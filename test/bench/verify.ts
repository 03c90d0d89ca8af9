/**
 * How long `verify` takes, and what memory: on a search whose points are all stable, so that there is most to look up.
 *
 *     npx tsx test/bench/verify.ts [--values 16] [--database mysql://…]
 *
 * values: of each of five axes, so 16 make 1,048,576 rows. Without a database: a temporary SQLite file.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Ledger, type SettledRow } from '../../src/ledger/ledger.js';
import { verify } from '../../src/roles/verify.js';
import { type Point, Space } from '../../src/space/space.js';

const { values: options } = parseArgs({
  options: { values: { type: 'string', default: '16' }, database: { type: 'string' } },
});
const values = Number(options.values);
const step = 0.01;
const axes = ['O2', 'H2O', 'CH4', 'CO2', 'H2'];
const space = new Space({
  parameters: [
    ...axes.map((name) => ({
      name,
      start: step,
      step: [{ below: 1, by: step }],
      max: Number((values * step).toFixed(2)),
    })),
    { name: 'N2', filler: true },
  ],
  mode: 'sides',
  reach: 2,
});

/** Places on the axes, from 0, as a point. */
function pointAt(places: readonly number[]): Point {
  return space.pointWith(Object.fromEntries(axes.map((name, axis) => [name, ((places[axis] as number) + 1) / 100])));
}

function rowAt(places: readonly number[]): SettledRow {
  const { hash, code } = pointAt(places);
  const last = places.findLastIndex((place) => place > 0);
  const parent = places.map((place, axis) => (axis === last ? Math.max(0, place - 2) : place));
  return {
    ...{ hash, code, previous_hash: last < 0 ? null : pointAt(parent).hash },
    depth: places.reduce((depth, place) => depth + Math.ceil(place / 2), 0),
    ...{ state: 'completed', stable: true, attempts: 1, worker: 'bench', out_path: `bench/${hash}` },
    ...{ start_time: '2026-01-01T00:00:00.000Z', end_time: '2026-01-01T00:01:00.000Z', run_time: 60 },
    ...{ error_kind: null, error_msg: null, complete_msg: 'stable, 288.1 K' },
    ...{ temperature: 288.1, pressure: 1.013, outputs: { optical_depth: 0.85, flux_up: 238.2, flux_down: 238.1 } },
  };
}

async function fill(ledger: Ledger): Promise<void> {
  await ledger.create('bench');
  const count = values ** axes.length;
  const batch = 1000;
  for (let from = 0; from < count; from += batch) {
    const numbers = Array.from({ length: Math.min(batch, count - from) }, (_, index) => from + index);
    const rows = numbers.map((number) => rowAt(axes.map((_, axis) => Math.floor(number / values ** axis) % values)));
    await ledger.settle(rows);
  }
}

const folder = mkdtempSync(join(tmpdir(), 'fleet-bench-'));
const ledger = new Ledger(options.database ?? `sqlite:${join(folder, 'bench.db')}`, 'verify_bench', space.names);
try {
  console.log(`filling ${values ** axes.length} rows`);
  await fill(ledger);
  let peak = 0;
  const before = process.memoryUsage();
  const since = performance.now();
  const cpu = process.cpuUsage();
  const verdict = await verify(
    ledger,
    space,
    null,
    ({ text }) => console.log(text),
    () => {
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      peak = Math.max(peak, heapUsed + arrayBuffers);
    },
  );
  const seconds = (performance.now() - since) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  console.log(verdict);
  const arrays = process.memoryUsage().arrayBuffers - before.arrayBuffers;
  console.log(
    `${seconds.toFixed(1)} s (${((user + system) / 1e6).toFixed(1)} s of CPU), ${(verdict.rows / seconds).toFixed(0)} rows a second`,
  );
  console.log(
    `typed arrays: ${(arrays / verdict.rows).toFixed(1)} bytes a row; peak of heap and arrays ${(peak / 2 ** 20).toFixed(0)} MiB, before ${((before.heapUsed + before.arrayBuffers) / 2 ** 20).toFixed(0)} MiB`,
  );
} finally {
  await ledger.drop();
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
}
