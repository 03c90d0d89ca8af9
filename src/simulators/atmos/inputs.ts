import { decimalOf, formatNumber, snap, toNumber } from '../../space/decimal.js';
import type { Dictionary, Parameter } from '../../space/space.js';
import { formatFortran } from './fortran.js';

/** Columns of a species line, counted in blank-separated words. */
const column = { type: 1, inertRatio: 8, lowerBound: 8, fixedRatio: 10 } as const;
const fixedMixingRatio = '1';
/** Volume mixing ratio of CH4 above which the climate program counts it; below, it cannot. */
const methaneCounts = 1e-4;
const presentMethane = 1.8e-6;

/** The names that a species file lets one set: the long-lived species and the inert ones. */
export function settableSpecies(template: string): Set<string> {
  const lines = template.split('\n').filter((line) => !isComment(line));
  return new Set(lines.map(words).flatMap(([name, type]) => (name && (type === 'LL' || type === 'IN') ? [name] : [])));
}

/** The template with the lowest layer's mixing ratios fixed at the point's. Its species must all be settable. */
export function speciesFile(template: string, parameters: Dictionary): string {
  const lines = template.split('\n').map((line) => {
    const [name = ''] = words(line);
    if (isComment(line) || !Object.hasOwn(parameters, name)) return line;
    const ratio = formatFortran(parameters[name] as number);
    const changes: Record<number, string> =
      words(line)[column.type] === 'IN'
        ? { [column.inertRatio]: ratio }
        : { [column.lowerBound]: fixedMixingRatio, [column.fixedRatio]: ratio };
    return withWords(line, changes);
  });
  return lines.join('\n');
}

/**
 * The climate program's switches for a point. It reads them by position, so no line moves; undefined where the template
 * has not all of them.
 */
export function climaFile(template: string, steps: number, parameters: Dictionary): string | undefined {
  const methane = parameters.CH4 ?? presentMethane;
  const values = { NSTEPS: steps, IUP: 0, IMET: methane > methaneCounts ? 1 : 0, ICOUPLE: 1 };
  let text = template;
  for (const [key, value] of Object.entries(values)) {
    const line = new RegExp(`^(${key}=[ \\t]+)[^\\s!]+`, 'm');
    if (!line.test(text)) return undefined;
    text = text.replace(line, `$1${value}`);
  }
  return text;
}

/** Warns of steps, and of a start beside the lattice, that Atmos does not see: its files have four significant digits. */
export function tooFine({ name, start = 0, step = [], max = 1 }: Parameter): string[] {
  const warnings: string[] = [];
  for (const { below, by } of step) {
    const largest = Math.min(below, max);
    const digit = Number(`1e${Math.floor(Math.log10(largest * 0.999999)) - 3}`);
    if (by > 0 && by < digit) {
      const where = `${formatNumber(digit)} at ${formatNumber(largest)}`;
      warnings.push(
        `${name}: steps of ${formatNumber(by)} are below the four digits that Atmos gets (${where}): such points are one input`,
      );
    }
  }
  const by = (step.find(({ below }) => start < below) ?? step.at(-1))?.by ?? 0;
  const place = by === 0 ? start : toNumber(snap(decimalOf(start), decimalOf(by), 0));
  if (warnings.length === 0 && place !== start && formatFortran(place) === formatFortran(start)) {
    warnings.push(
      `${name}: the start ${formatNumber(start)} and ${formatNumber(place)} are one input of four digits to Atmos`,
    );
  }
  return warnings;
}

function isComment(line: string): boolean {
  return words(line)[0]?.includes('*') ?? false;
}

function words(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== '');
}

/** The line with some words replaced, the others where they were as far as there is room. */
function withWords(line: string, changes: Record<number, string>): string {
  let index = 0;
  return line.replace(/\S+\s*/g, (chunk) => {
    const change = changes[index++];
    return change === undefined ? chunk : `${change} `.padEnd(chunk.length);
  });
}
