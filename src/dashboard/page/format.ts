import type { Field } from '../api.js';

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
