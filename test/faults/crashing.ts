import type { AsyncLocalStorage } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { climateOf } from '../../src/simulators/reference.js';
import { Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';
import { temporaryFolder } from '../support/folder.js';
import { type Serving, type ServingRole, startDist } from './dist.js';
import type { Findings, TestSearch } from './search.js';

/** What a fault does: the process ends before a call, or after it; or the call takes effect and is reported as failed. */
type Form = 'before' | 'after' | 'lied';

/** Where: at the first call of a site, or at the k-th call of all. */
interface Point {
  form: Form;
  site?: string;
  k?: number;
}

/** A fault that a process told of before it met it. */
interface Met {
  fault: Form;
  site: string;
  k: number;
}

/** What a search came to: the faults that its processes met, and what was counted at its end. */
export interface Outcome {
  met: Met[];
  found: Findings;
}

/** Runs a search in which a process, and each that takes its place, meets what its environment tells. */
export type Run = (faults: readonly Record<string, string>[]) => Promise<Outcome>;

export const long = process.env.FAULTS === 'long';
const atOnce = 5;
const deaths: Form[] = ['before', 'after'];
/** How often a crash point is tried that is not met, as time goes otherwise. */
const mostTries = 3;
/** What only slow work comes to: a lock is prolonged while what it guards lasts, a run that lasts is announced. */
const ofSlowWork = ['redis pexpire lock', 'script announce'];

const axis = { start: 0, step: [{ below: 100, by: 1 }], min: -2, max: 2 };
export const space = new Space({
  parameters: [
    { name: 'a', ...axis },
    { name: 'b', ...axis },
  ],
  mode: 'sides',
  reach: 1,
});
export const expected = floodFill(space, ({ dictionary }) => climateOf(dictionary).stable);
export const config = { parameters: { a: axis, b: axis }, lease: { seconds: 1 }, run: { losses: 1000 } };

const file = (name: string) => new URL(name, import.meta.url);
const injected = ['inject.mjs', 'model.mjs'].map((name) => fileURLToPath(file(name)));

/** The environment of a process of a search that is to meet faults. */
export function withFaults({ runsFile }: TestSearch, faults: Record<string, string>): Record<string, string> {
  const options = injected.map((path) => `--import=${path}`).join(' ');
  return { NODE_OPTIONS: options, KEEP_FILES: '1', RUNS: runsFile, ...faults };
}

/** Serves a role within the test's process, and has its runs counted. */
export async function serveHere({ runsFile, configPath }: TestSearch, role: ServingRole): Promise<Serving> {
  const { serve } = await startDist();
  const model = (await import(/* @vite-ignore */ file('model.mjs').href)) as { runsFile: AsyncLocalStorage<string> };
  return model.runsFile.run(runsFile, () => serve(role, configPath));
}

/** The faults that processes met, by what they wrote. */
export function faultsIn(stderr: string): Met[] {
  return (stderr.match(/^\{"fault":.*\}$/gm) ?? []).map((line) => JSON.parse(line) as Met);
}

interface Choice {
  /** The sites to try; all of them else. */
  chosen?: (site: string) => boolean;
  /** Crash points that one search meets, one after the other. */
  together?: number;
}

/** Short form: each call site once in each of the three forms. Long form: every call besides. */
export async function everyCrashPoint(who: string, run: Run, { chosen = () => true, together = 1 }: Choice = {}) {
  const trial = new Trial(who, run, together);
  const file = join(temporaryFolder(), 'calls');
  await trial.search([{ FAULT_CALLS: file }]);
  const calls = readFileSync(file, 'utf8').trimEnd().split('\n');
  const sites = [...new Set(calls)].filter(chosen);
  const pointsOf = (form: Form) => sites.map((site): Point => ({ form, site }));
  const lies = pointsOf('lied');
  const liedTo = await trial.search([{ FAULT: JSON.stringify({ form: 'lied' }) }]);
  let missed = [...lies.filter((point) => !isAmong(liedTo, point)), ...(await trial.all(deaths.flatMap(pointsOf)))];
  for (let tries = 1; tries < mostTries && missed.length > 0; tries++) missed = await trial.all(missed);
  trial.say(`${sites.length} call sites`, (1 + deaths.length) * sites.length - missed.length, missed);
  expect(missed.filter(({ site = '' }) => !ofSlowWork.includes(site))).toEqual([]);
  if (long) await everyCall(trial, calls.length);
}

/** As many calls as an undisturbed process made: one that waits longer makes more, one like the other. */
async function everyCall(trial: Trial, calls: number): Promise<void> {
  let tried = 0;
  for (let k = 1; k <= calls; k += atOnce) {
    const ks = Array.from({ length: atOnce }, (_, i) => k + i);
    const points = ks.flatMap((k) => [...deaths, 'lied' as const].map((form): Point => ({ form, k })));
    const missed = await trial.all(points);
    tried += points.length - missed.length;
    if (k % 50 === 1) console.log(`${trial.who}: calls 1 to ${k + atOnce - 1} tried`);
  }
  trial.say(`each of its ${calls} calls`, tried);
}

/** Searches in which one kind of process meets faults, and what was counted in them. */
class Trial {
  private readonly findings: Findings[] = [];

  constructor(
    readonly who: string,
    private readonly run: Run,
    private readonly together: number,
  ) {}

  async search(faults: readonly Record<string, string>[]): Promise<Met[]> {
    const { met, found } = await this.run(faults);
    this.findings.push(found);
    return met;
  }

  /** Tries crash points, in some searches at once; answers those that were not met, as time went otherwise. */
  async all(points: readonly Point[]): Promise<Point[]> {
    const left = [...points];
    const missed: Point[] = [];
    const lane = async () => {
      while (left.length > 0) {
        const some = left.splice(0, this.together);
        const met = await this.search(some.map((point) => ({ FAULT: JSON.stringify(point) })));
        missed.push(...some.filter((point) => !isAmong(met, point)));
      }
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
    return missed;
  }

  /** Tells what was found since it told last. */
  say(where: string, tried: number, missed: readonly Point[] = []): void {
    const searches = this.findings.splice(0);
    const sum = (what: keyof Findings) => searches.reduce((total, found) => total + found[what], 0);
    const [lost, duplicated, changed] = [sum('lost'), sum('duplicated'), sum('changed')];
    const notMet =
      missed.length === 0 ? '' : ` (not met: ${missed.map(({ form, site }) => `${form} ${site}`).join(', ')})`;
    console.log(
      `${this.who}: ${tried} crash points tried at ${where}${notMet}, in ${searches.length} searches; ` +
        `lost ${lost}, duplicated ${duplicated}, settled rows changed ${changed}; ${sum('runs')} runs, ${sum('repeated')} repeated`,
    );
  }
}

function isAmong(met: readonly Met[], { form, site, k }: Point): boolean {
  return met.some((at) => at.fault === form && at.site === (site ?? at.site) && at.k === (k ?? at.k));
}
