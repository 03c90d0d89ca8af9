import type { FullRow } from '../ledger/reader.js';
import { formatNumber } from '../space/decimal.js';
import type { PointSight } from './point.js';
import type { Row, Sight } from './shapes.js';

const mostLinks = 500;

/** A point as the page shows it. */
export function describeSight({ hash, code, row, chain, neighbours }: PointSight): Sight {
  return {
    hash,
    code,
    row: row ? describeRow(row) : null,
    chain: chain.slice(0, mostLinks).map(({ hash, code, temperature }) => ({ hash, code, temperature })),
    neighbours: neighbours.map((one) => ({ hash: one.hash, code: one.code, state: stateOf(one) })),
  };
}

/** `stable` and `unstable` instead of `completed`. */
export function stateOf({ state, stable }: { state: FullRow['state'] | undefined; stable: boolean | null }): string {
  if (state === undefined) return 'no row';
  if (state !== 'completed') return state;
  return stable ? 'stable' : 'unstable';
}

/** What is known of a row beside its parameters, in words; nothing that is null. */
export function describeRow(row: FullRow): Row {
  const facts: [string, string | number | null][] = [
    ['state', stateOf(row)],
    ['message', row.complete_msg],
    ['error kind', row.error_kind],
    ['error message', row.error_msg],
    ['temperature', row.temperature === null ? null : `${formatNumber(row.temperature)} K`],
    ['pressure', row.pressure === null ? null : `${formatNumber(row.pressure)} bar`],
    ...Object.entries(row.outputs ?? {}).map(([name, value]): [string, string] => [name, formatNumber(value)]),
    ['depth', row.depth],
    ['attempts', row.attempts],
    ['worker', row.worker],
    ['queued', row.queued_at],
    ['started', row.start_time],
    ['ended', row.end_time],
    ['ran', row.run_time === null ? null : `${formatNumber(Number(row.run_time.toPrecision(4)))} s`],
    ['files', row.out_path],
  ];
  return {
    hash: row.hash,
    code: row.code,
    state: stateOf(row),
    facts: facts.flatMap(([name, value]): [string, string][] => (value === null ? [] : [[name, String(value)]])),
  };
}
