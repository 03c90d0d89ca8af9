/**
 * How long `verify` takes, and what memory: on a search whose points are all stable, so that there is most to look up.
 *
 *     npx tsx test/bench/verify.ts [--values 16] [--mariadb]
 *
 * values: of each of five axes, so 16 make 1,048,576 rows. In a SQLite file, or a MariaDB of its own, that goes in the end.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { verify } from '../../src/audit/verify.js';
import { Ledger, type SettledRow } from '../../src/ledger/ledger.js';
import { type Point, Space } from '../../src/space/space.js';
import { temporaryFolder } from '../support/folder.js';
import { startMariadb } from '../support/mariadb.js';
import { closeScope } from '../support/scope.js';
import { settledRow } from '../support/searched.js';

const { values: options } = parseArgs({
  options: {
    values: { type: 'string', default: '16' },
    mariadb: { type: 'boolean', default: false },
    /** Where a process of its own, so that its memory is not counted, enters the rows. */
    fill: { type: 'string' },
  },
});
const values = Number(options.values);
const axes = ['O2', 'H2O', 'CH4', 'CO2', 'H2'];
const axis = (name: string) => ({ name, start: 0.01, step: [{ below: 1, by: 0.01 }], max: values / 100 });
const space = new Space({ parameters: [...axes.map(axis), { name: 'N2', filler: true }], mode: 'sides', reach: 2 });
const count = values ** axes.length;

/** The point at these places of the axes, from 0. */
function pointAt(places: readonly number[]): Point {
  return space.pointWith(Object.fromEntries(axes.map((name, axis) => [name, ((places[axis] as number) + 1) / 100])));
}

/** The row of a point that was proposed from two steps (or one) nearer to the start, on the last axis that left it. */
function rowAt(number: number): SettledRow {
  const places = axes.map((_, axis) => Math.floor(number / values ** axis) % values);
  const last = places.findLastIndex((place) => place > 0);
  const parent = pointAt(places.map((place, axis) => (axis === last ? Math.max(0, place - 2) : place)));
  const depth = places.reduce((depth, place) => depth + Math.ceil(place / 2), 0);
  const row = settledRow(pointAt(places), true, last < 0 ? null : { hash: parent.hash, depth: depth - 1 });
  const outputs = { optical_depth: 0.85, flux_up: 238.2, flux_down: 238.1 };
  return { ...row, complete_msg: 'stable, 288.1 K', out_path: `bench/${row.hash}`, temperature: 288.1, outputs };
}

async function fill(ledger: Ledger): Promise<void> {
  await ledger.create('bench');
  const numbers = Array.from({ length: count }, (_, number) => number);
  for (let from = 0; from < count; from += 1000) await ledger.settle(numbers.slice(from, from + 1000).map(rowAt));
}

async function measure(ledger: Ledger): Promise<void> {
  const before = process.memoryUsage();
  const since = performance.now();
  const cpu = process.cpuUsage();
  const verdict = await verify(ledger, space, null, ({ text }) => console.log(text));
  const seconds = (performance.now() - since) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const arrays = (process.memoryUsage().arrayBuffers - before.arrayBuffers) / verdict.rows;
  const peak = process.resourceUsage().maxRSS / 1024;
  console.log(`${verdict.rows} rows, ${verdict.complete ? 'complete' : 'incomplete'}`);
  console.log(`${seconds.toFixed(1)} s, ${((user + system) / 1e6).toFixed(1)} s of them on a core`);
  console.log(`${arrays.toFixed(1)} bytes a row in the table`);
  console.log(`${(before.rss / 2 ** 20).toFixed(0)} MiB resident before, ${peak.toFixed(0)} MiB at most`);
}

async function bench(): Promise<void> {
  const url = options.mariadb
    ? (await startMariadb({ durable: true })).url
    : `sqlite:${join(temporaryFolder(), 'l.db')}`;
  const own = [...process.execArgv, process.argv[1] as string, '--values', options.values];
  await promisify(execFile)(process.execPath, [...own, '--fill', url]);
  await withLedger(url, measure);
}

async function withLedger(url: string, work: (ledger: Ledger) => Promise<void>): Promise<void> {
  const ledger = new Ledger(url, 'verify_bench', space.names);
  try {
    await work(ledger);
  } finally {
    await ledger.close();
  }
}

try {
  await (options.fill === undefined ? bench() : withLedger(options.fill, fill));
} finally {
  await closeScope();
}
