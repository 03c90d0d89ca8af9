import type { FullRow } from '../ledger/reader.js';
import { formatNumber } from '../space/decimal.js';
import { oneLine } from '../support/text.js';
import type { NeighbourSight, PointSight } from '../view/point.js';
import { describeRow, stateOf } from '../view/sight.js';

/** More links and neighbours than a screen holds are counted, not listed. */
const listed = 40;

/** A point's row, chain and neighbours, for a terminal. */
export function describePoint(sight: PointSight, names: readonly string[]): string {
  const { hash, code, row, chain, neighbours } = sight;
  const values = code.split(',').map((text, index): [string, string] => [names[index] ?? '', text]);
  const lines = [
    ...table([['hash', hash], ['code', code], ...values]),
    '',
    ...(row ? table(describeRow(row).facts) : ['no row: the search has not met this point']),
    ...(row ? ['', chainTitle(row, chain), ...shortened(chain.map(describeLink))] : []),
    '',
    `neighbours: ${countsOf(neighbours)}`,
    ...shortened(neighbours.map((one) => `  ${stateOf(one).padEnd(10)}${one.code}`)),
  ];
  return lines.join('\n');
}

function table(facts: readonly (readonly [string, string])[]): string[] {
  const names = facts.map(([name]) => oneLine(name));
  const width = names.reduce((widest, { length }) => Math.max(widest, length), 0) + 2;
  return facts.map(([, value], index) => {
    return (names[index] ?? '').padEnd(width) + value.replaceAll('\n', `\n${' '.repeat(width)}`);
  });
}

function chainTitle({ depth }: FullRow, chain: readonly FullRow[]): string {
  if (chain.length === 0) return `chain: none, it is a root (depth ${depth})`;
  return `chain: ${chain.length} ${chain.length === 1 ? 'point' : 'points'} led to it, the nearest first`;
}

function describeLink({ hash, code, temperature }: FullRow): string {
  return `  ${hash}  ${oneLine(code)}${temperature === null ? '' : `  ${formatNumber(temperature)} K`}`;
}

function countsOf(neighbours: readonly NeighbourSight[]): string {
  const counts = new Map<string, number>();
  for (const one of neighbours) counts.set(stateOf(one), (counts.get(stateOf(one)) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(', ') || 'none';
}

function shortened(lines: string[]): string[] {
  return lines.length <= listed ? lines : [...lines.slice(0, listed), `  … and ${lines.length - listed} more (--json)`];
}
