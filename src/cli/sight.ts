import type { FullRow } from '../ledger/reader.js';
import type { NeighbourSight, PointSight } from '../roles/point.js';
import { formatNumber } from '../space/decimal.js';

/** More links and neighbours than a screen holds are counted, not listed. */
const listed = 40;

/** A point's row, chain and neighbours, for a terminal. */
export function describeSight(sight: PointSight, names: readonly string[]): string {
  const { hash, code, row, chain, neighbours } = sight;
  const values = code.split(',').map((text, index) => `  ${(names[index] ?? '').padEnd(14)}${text}`);
  const lines = [
    `hash            ${hash}`,
    `code            ${code}`,
    ...values,
    ...(row ? describeRow(row) : ['', 'no row: the search has not met this point']),
    ...(row ? ['', chainTitle(row, chain), ...shortened(chain.map(describeLink))] : []),
    '',
    `neighbours      ${countsOf(neighbours)}`,
    ...shortened(neighbours.map((one) => `  ${stateOf(one).padEnd(10)}${one.code}`)),
  ];
  return `${lines.join('\n')}\n`;
}

function describeRow(row: FullRow): string[] {
  const facts: [string, string | null][] = [
    ['state', stateOf(row)],
    ['message', row.complete_msg ?? row.error_msg],
    ['error kind', row.error_kind],
    ['temperature', row.temperature === null ? null : `${formatNumber(row.temperature)} K`],
    ['pressure', row.pressure === null ? null : `${formatNumber(row.pressure)} bar`],
    ...Object.entries(row.outputs ?? {}).map(([name, value]): [string, string] => [name, formatNumber(value)]),
    ['attempts', String(row.attempts)],
    ['worker', row.worker],
    ['queued', row.queued_at],
    ['started', row.start_time],
    ['ended', row.end_time],
    ['ran', row.run_time === null ? null : `${row.run_time} s`],
    ['files', row.out_path],
  ];
  return facts.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(16)}${printable(value)}`]));
}

function chainTitle({ depth }: FullRow, chain: readonly FullRow[]): string {
  return chain.length === 0
    ? `chain           a root (depth ${depth})`
    : `chain           ${chain.length} points led to it`;
}

function describeLink(row: FullRow): string {
  const temperature = row.temperature === null ? '' : `  ${formatNumber(row.temperature)} K`;
  return `  ${row.hash}  ${row.code}${temperature}`;
}

export function stateOf({ state, stable }: Pick<NeighbourSight, 'state' | 'stable'>): string {
  if (state === undefined) return 'no row';
  if (state !== 'completed') return state;
  return stable ? 'stable' : 'unstable';
}

function countsOf(neighbours: readonly NeighbourSight[]): string {
  const counts = new Map<string, number>();
  for (const one of neighbours) counts.set(stateOf(one), (counts.get(stateOf(one)) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ') || 'none';
}

function shortened(lines: string[]): string[] {
  return lines.length <= listed ? lines : [...lines.slice(0, listed), `  … and ${lines.length - listed} more (--json)`];
}

/** What a program wrote may hold control characters, which would drive the terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, '�').replaceAll('\n', '\n                ');
}
