import { createHash } from 'node:crypto';
import { Ledger } from '../../src/ledger/ledger.js';
import { openSqlite } from './sqlite.js';

/** Six axes around the Earth's air, 1,131,350 points: what a large search looks like. The filler N2 takes the rest. */
export const syntheticParameters = {
  O2: { start: 0.21, step: 0.01, max: 0.5 },
  N2: { start: 0.7772982887, filler: true },
  H2O: { start: 0.0123, step: 0.005, max: 0.08 },
  CH4: { start: 0.00000163, step: 0.005, max: 0.05 },
  CO2: { start: 0.0004, step: 0.005, max: 0.05 },
  H2: { start: 0.0000000813, step: 0.005, max: 0.05 },
};

const names = Object.keys(syntheticParameters);
const moved = names.filter((name) => name !== 'N2');

/** The values of one axis: its start, then the steps up to its max. */
function valuesOf(name: string): number[] {
  const { start, step, max } = syntheticParameters[name as 'O2'];
  const values = [start];
  for (let count = 1; count * step <= max + 1e-12; count++) values.push(Number((count * step).toFixed(6)));
  return [...new Set(values)];
}

/** The n-th point of a walk over the whole lattice that jumps about, its numbers in the order of the names. */
function pointOf(n: number): number[] {
  const axes = moved.map(valuesOf);
  const size = axes.reduce((product, values) => product * values.length, 1);
  let place = (n * 7919 + 12345) % size;
  const chosen = axes.map((values) => {
    const value = values[place % values.length] as number;
    place = Math.floor(place / values.length);
    return value;
  });
  const rest = Number((1 - chosen.reduce((sum, value) => sum + value, 0)).toFixed(10));
  chosen.splice(names.indexOf('N2'), 0, rest);
  return chosen;
}

/** Fills a SQLite file with so many rows of plausible climates; 97 of 100 settled, one of a thousand an error. */
export async function fillSynthetic(
  path: string,
  fingerprint: string,
  rows: number,
  { from = 0, table = 'parameterspace' } = {},
): Promise<void> {
  const ledger = new Ledger(`sqlite:${path}`, table, names);
  await ledger.create(fingerprint);
  await ledger.close();
  const db = openSqlite(path);
  db.pragma('synchronous = OFF');
  const columns = [
    ...['hash', 'code', ...names, 'previous_hash', 'depth', 'state', 'stable', 'attempts', 'worker', 'queued_at'],
    ...[
      'start_time',
      'end_time',
      'run_time',
      'error_kind',
      'error_msg',
      'complete_msg',
      'temperature',
      'pressure',
      'outputs',
    ],
  ];
  const insert = db.prepare(
    `insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`,
  );
  db.transaction(() => {
    for (let n = from; n < from + rows; n++) insert.run(...rowOf(n));
  })();
  db.close();
}

function rowOf(n: number): (string | number | null)[] {
  const values = pointOf(n);
  const code = values.join(',');
  const hash = createHash('md5').update(code).digest('hex');
  const [, , water = 0, methane = 0, carbon = 0] = values;
  const temperature = Math.round(1000 * (262 + 900 * water + 500 * carbon + 300 * Math.sqrt(methane))) / 1000;
  const state = n % 1000 === 999 ? 'error' : n % 100 > 97 ? 'queue' : n % 100 > 96 ? 'running' : 'completed';
  const done = state === 'completed';
  const stable = done ? Number(temperature >= 273.15 && temperature < 340) : null;
  const at = '2026-01-31 12:00:00.000';
  return [
    ...[hash, code, ...values, null, n % 40, state, stable, 1, done ? `worker-${n % 8}` : null, at],
    ...[at, done ? at : null, done ? 1.5 : null],
    ...[state === 'error' ? 'program' : null, state === 'error' ? `no convergence after ${n} steps` : null],
    ...[done ? `${stable ? 'stable' : 'unstable'}, ${temperature} K` : null, done ? temperature : null],
    ...[done ? 1.01325 : null, done ? `{"optical_depth":${0.85 + 10 * water}}` : null],
  ];
}
