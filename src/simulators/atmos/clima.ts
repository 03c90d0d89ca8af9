import { flawOf, parseFortran } from './fortran.js';

const completedMark = /^\s*output photo\s*$/m;
const tableHeading = /^\s*J\s+P\s+ALT\s+T\s/;
/** A heading above and below each of two tables: after the first step, and after the last. */
const headings = 4;
const stepLine = /^\s*NST=\s*(\d+).*DIVFrms=\s*(\S+)\s+DT\(ND\)=\s*(\S+)/;
const column = { pressure: 1, height: 2, temperature: 3 } as const;

/** What a run of the climate program left. */
export interface ClimaOutput {
  status: number;
  log: string;
  /** `clima_allout.tab`, the report. */
  report: Buffer | undefined;
  /** `TempOut.dat`, the final profile. */
  profile: Buffer | undefined;
}

export type ClimaVerdict = ({ kind: 'finished' } & Climate) | { kind: 'error'; sentence: string };

export interface Climate {
  /** Surface temperature, K. */
  temperature: number;
  /** Surface pressure, bar; the program makes it from the temperature that it started from. */
  pressure: number;
  /** How far from settled: root mean square of the flux divergence above the convection, and the last change, K. */
  divergence: number;
  change: number;
}

/** Judges by all the marks of a whole run of that many steps. */
export function judgeClima(output: ClimaOutput, steps: number, pattern: Buffer): ClimaVerdict {
  const { status, log, profile } = output;
  if (status !== 0) return error(`ended with status ${status}`);
  if (!completedMark.test(log)) return error('ended before it was complete');
  const lines = (output.report?.toString('latin1') ?? '').split('\n');
  const tables = lines.flatMap((line, index) => (tableHeading.test(line) ? [index] : []));
  if (tables.length !== headings)
    return error(`wrote ${tables.length} table headings into clima_allout.tab, not ${headings}`);
  const [, step, divergence = '', change = ''] =
    stepLine.exec(lines.findLast((line) => stepLine.test(line)) ?? '') ?? [];
  if (Number(step) !== steps) return error(`made ${step ?? 'no'} steps, not ${steps}`);
  const flaw = flawOf(profile, pattern);
  if (flaw !== undefined) return error(`left a TempOut.dat that is ${flaw}`);
  const ground = groundOf(lines.slice(tables[2], tables[3]));
  const numbers = { ...ground, divergence: parseFortran(divergence), change: parseFortran(change) };
  return isClimate(numbers) ? { kind: 'finished', ...numbers } : error('wrote a final table that cannot be read');
}

/** The row of a table whose height is 0. */
function groundOf(table: string[]): { temperature: number | undefined; pressure: number | undefined } {
  const row = table
    .map((line) => line.trim().split(/\s+/))
    .find((fields) => parseFortran(fields[column.height] ?? '') === 0);
  return {
    temperature: parseFortran(row?.[column.temperature] ?? ''),
    pressure: parseFortran(row?.[column.pressure] ?? ''),
  };
}

function isClimate(numbers: { [Name in keyof Climate]: number | undefined }): numbers is Climate {
  const { temperature = 0, pressure = 0 } = numbers;
  return temperature > 0 && pressure > 0 && Object.values(numbers).every((value) => value !== undefined);
}

function error(what: string): ClimaVerdict {
  return { kind: 'error', sentence: `the climate program ${what}` };
}
