import type { Cells, Field } from '../api.js';

export function count(value: number): string {
  return value.toLocaleString('en');
}

/** Four digits tell points apart on a chart. */
export function brief(value: number | null): string {
  if (value === null) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(2).replace(/\.?0+e/, 'e');
  return String(Number(value.toPrecision(5)));
}

export function withUnit(value: number | null, { unit }: Pick<Field, 'unit'>): string {
  return value !== null && ['K', 'bar', 's'].includes(unit) ? `${brief(value)} ${unit}` : brief(value);
}

/** `outputs.optical_depth` is called `optical depth`. */
export function titleOf(name: string): string {
  return name.replace(/^outputs\./, '').replaceAll('_', ' ');
}

export function axisTitle(field: Field): string {
  return field.unit === '' ? titleOf(field.name) : `${titleOf(field.name)} (${field.unit})`;
}

export function ago(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  return seconds < 90 ? `${seconds.toFixed(1)} s ago` : `${Math.round(seconds / 60)} min ago`;
}

export function points(number: number): string {
  return number === 1 ? '1 point' : `${count(number)} points`;
}

/** What a map shows, and what it sums up. `over`: parameters whose values fall together in its cells. */
export function describeMap(
  { x, y, cells, rows }: Cells,
  { shape, over, field }: { shape: 'cells' | 'circles'; over: readonly string[]; field: Field | undefined },
): string {
  const one = shape === 'circles' ? 'circle' : 'cell';
  const ones = cells.length === 1 ? `1 ${one}` : `${count(cells.length)} ${one}s`;
  const title = `${points(rows)} in ${ones}: ${titleOf(y.field)} over ${titleOf(x.field)}`;
  const totals = cells.map(({ counts }) => counts.reduce((sum, number) => sum + number, 0));
  const [least, most] = totals.reduce(([low, high], total) => [Math.min(low, total), Math.max(high, total)], [rows, 0]);
  if (most === 0) return `${title}.`;
  if (most === 1) return `${title}. Each ${one} is one point${field ? `, coloured by ${titleOf(field.name)}` : ''}.`;
  const what = field
    ? `the mean ${titleOf(field.name)} of its points`
    : shape === 'circles'
      ? 'divided by the states of its points (a state that is there takes a twelfth at least)'
      : 'the share of stable points among those settled';
  const all = over.length === 0 ? '' : `, over all values of ${listOf(over.map(titleOf))} together`;
  const number = least === most ? points(most) : `${count(least)} to ${points(most)}`;
  const errors =
    shape === 'cells' && cells.some(({ counts }) => (counts[2] ?? 0) > 0) ? ' A red frame: errors among them.' : '';
  return `${title}. Each ${one} is ${what}${all}: ${number} a ${one}.${errors}`;
}

export function listOf(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

export const leftOutText =
  'Rows have more names of outputs than can be shown: only the most frequent, 100 at most, are offered here.';

/** What is there is seen: no part of a circle is smaller. */
const minPart = 1 / 12;

/** The parts of a circle, 1 in all: each by its count, but none that is there below the smallest that is seen. */
export function partsOf(counts: readonly number[]): number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const raised = counts.map((count) => (count === 0 ? 0 : Math.max(minPart, count / total)));
  const small = raised.map((part) => part === minPart);
  const fixed = raised.reduce((sum, part, kind) => sum + (small[kind] ? part : 0), 0);
  const rest = raised.reduce((sum, part, kind) => sum + (small[kind] ? 0 : part), 0);
  return raised.map((part, kind) => (small[kind] || rest === 0 ? part : (part * (1 - fixed)) / rest));
}
