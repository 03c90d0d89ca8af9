import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { climateOf } from '../../src/simulators/reference.js';
import { Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';
import { temporaryFolder } from '../support/folder.js';

/** What a fault does: the process ends before a call, or after it; or the call takes effect and is reported as failed. */
type Form = 'before' | 'after' | 'lied';

/** Where: at the first call of a site, or at the k-th call of all. */
interface Point {
  form: Form;
  site?: string;
  k?: number;
}

/** Runs a search in which a process, and each that takes its place, meets what its environment tells; answers how many faults. */
export type Run = (faults: readonly Record<string, string>[]) => Promise<number>;

export const long = process.env.FAULTS === 'long';
const atOnce = 5;
const deaths: Form[] = ['before', 'after'];

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

const injected = ['inject.mjs', 'model.mjs'].map((file) => fileURLToPath(new URL(file, import.meta.url)));

/** The environment of a process that is to meet faults. */
export function withFaults(faults: Record<string, string>): Record<string, string> {
  return { NODE_OPTIONS: injected.map((file) => `--import=${file}`).join(' '), KEEP_FILES: '1', ...faults };
}

/** How many faults a process met, by what it wrote. */
export function faultsIn(stderr: string): number {
  return stderr.match(/^\{"fault":/gm)?.length ?? 0;
}

interface Choice {
  /** The sites to try; all of them else. */
  chosen?: (site: string) => boolean;
  /** Crash points that one search meets, one after the other. */
  together?: number;
}

/** Short form: each call site once in each of the three forms. Long form: every call besides. */
export async function everyCrashPoint(who: string, run: Run, { chosen = () => true, together = 1 }: Choice = {}) {
  const file = join(temporaryFolder(), 'sites');
  await run([{ FAULT_SITES: file }]);
  const sites = readFileSync(file, 'utf8').trimEnd().split('\n').filter(chosen);
  const lies = await run([{ FAULT: JSON.stringify({ form: 'lied' }) }]);
  const points = sites.flatMap((site) => deaths.map((form): Point => ({ form, site })));
  const missed = await tryAll(run, points, together);
  say(who, `${sites.length} call sites`, points.length - missed + lies, missed);
  expect(missed + Math.max(0, sites.length - lies)).toBeLessThanOrEqual(sites.length / 4);
  if (long) await everyCall(who, run);
}

/** Tries crash points, in some searches at once; answers how many were not met, as time went otherwise. */
async function tryAll(run: Run, points: readonly Point[], together = 1): Promise<number> {
  const left = [...points];
  let missed = 0;
  const lane = async () => {
    while (left.length > 0) {
      const some = left.splice(0, together);
      missed += some.length - (await run(some.map((point) => ({ FAULT: JSON.stringify(point) }))));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return missed;
}

/** One call after another, until none is met any more. */
async function everyCall(who: string, run: Run): Promise<void> {
  let tried = 0;
  for (let k = 1; ; k += atOnce) {
    const ks = Array.from({ length: atOnce }, (_, i) => k + i);
    const points = ks.flatMap((k) => [...deaths, 'lied' as const].map((form): Point => ({ form, k })));
    const missed = await tryAll(run, points);
    tried += points.length - missed;
    if (missed === points.length) break;
    if (k % 50 === 1) console.log(`${who}: calls 1 to ${k + atOnce - 1} tried`);
  }
  say(who, 'each of its calls', tried, 0);
}

function say(who: string, where: string, tried: number, missed: number): void {
  const notMet = missed === 0 ? '' : ` (${missed} not met, as time went otherwise)`;
  console.log(`${who}: ${tried} crash points tried at ${where}${notMet}; lost 0, duplicated 0, settled rows changed 0`);
}
