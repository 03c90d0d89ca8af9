import { flawOf, parseFortran } from './fortran.js';

/** The step at which a run that has not converged is given up, less one; compiled into the program. */
const mostSteps = 10_000;
/** Model time that a converged state has reached, s. */
const steadyTime = 1e17;
const completedMark = 'PhotoMain run completed';
const fluxHeading = 'FLUXES OF LONG-LIVED SPECIES';
const fluxEnd = 'AQUEOUS PHASE SPECIES';

/** Gases whose surface fluxes are results. CO's is fixed by the template, NH3's has no source; both are told all the same. */
export const fluxGases = ['H2O', 'CO2', 'CH4', 'CO', 'NH3', 'O3'];

/** What a run of the photochemistry left. */
export interface PhotochemOutput {
  status: number;
  log: string;
  /** `out.out`, the report. */
  report: Buffer | undefined;
  /** `out.dist`, the final profile. */
  profile: Buffer | undefined;
}

export type PhotochemVerdict =
  | { kind: 'converged'; iterations: number; fluxes: Map<string, number> }
  | { kind: 'nonconverged'; iterations: number }
  | { kind: 'error'; sentence: string };

/** One line of progress: ` N =10001  EMAX = 2.37E+00 FOR O2 … TIME = 7.33E+08`. */
const progressLine = /^\s*N =\s*(\d+)\s+EMAX =\s*(\S+).*TIME =\s*(\S+)/;

/** Whether a line of the log shows that the run has lost its numbers: it would go on for all its steps. */
export function showsNaN(line: string): boolean {
  return Number.isNaN(progressOf(line)?.change);
}

/** Step, largest relative change and model time (s) of a line of progress; NaN where the line has no finite number. */
export function progressOf(line: string): { step: number; change: number; time: number } | undefined {
  const [, step, change = '', time = ''] = progressLine.exec(line) ?? [];
  if (step === undefined) return undefined;
  return { step: Number(step), change: parseFortran(change) ?? Number.NaN, time: parseFortran(time) ?? Number.NaN };
}

/** Judges by all the marks of a whole run: its exit status alone means nothing, and a killed run can look converged. */
export function judgePhotochem(output: PhotochemOutput, pattern: Buffer): PhotochemVerdict {
  const { status, log } = output;
  if (status !== 0) return error(`ended with status ${status}`);
  if (!log.includes(completedMark)) return error('ended before it was complete');
  const report = output.report?.toString('latin1') ?? '';
  const progress = report.split('\n').findLast((line) => progressLine.test(line));
  const last = progress === undefined ? undefined : progressOf(progress);
  if (!last) return error('wrote no line of progress into out.out');
  const headings = report.split(fluxHeading).length - 1;
  if (headings !== 1) return error(`wrote ${headings} tables of fluxes into out.out, not 1`);
  const flaw = flawOf(output.profile, pattern);
  if (last.step >= mostSteps) return { kind: 'nonconverged', iterations: last.step };
  if (!Number.isFinite(last.change)) return error(`lost its numbers at step ${last.step}`);
  if (!(last.time >= steadyTime)) return error(`stopped at step ${last.step}, before a steady state`);
  if (flaw !== undefined) return error(`left an out.dist that is ${flaw}`);
  if (!report.includes(fluxEnd, report.indexOf(fluxHeading))) return error('wrote tables of fluxes that have no end');
  const fluxes = surfaceFluxes(report);
  const missing = fluxGases.filter((gas) => !fluxes.has(gas));
  if (missing.length > 0) return error(`wrote tables of fluxes without a number for ${missing.join(', ')}`);
  return { kind: 'converged', iterations: last.step, fluxes };
}

/** Fluxes at the ground, molecules/cm²/s, upward positive: the rows with Z = 0 of the tables below the heading. */
export function surfaceFluxes(report: string): Map<string, number> {
  const fluxes = new Map<string, number>();
  const [block = ''] = (report.split(fluxHeading)[1] ?? '').split(fluxEnd);
  let names: string[] = [];
  for (const line of block.split('\n')) {
    const [height = '', ...fields] = line.trim().split(/\s+/);
    if (height === 'Z') names = fields;
    else if (parseFortran(height) === 0 && fields.length === names.length) {
      for (const [index, name] of names.entries()) {
        const value = parseFortran(fields[index] ?? '');
        if (value !== undefined) fluxes.set(name, value);
      }
    }
  }
  return fluxes;
}

function error(what: string): PhotochemVerdict {
  return { kind: 'error', sentence: `photochemistry ${what}` };
}
