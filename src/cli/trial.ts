import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Outcome, Simulator } from '../simulators/simulator.js';
import type { Point } from '../space/space.js';
import { onDisk } from '../support/files.js';

const trialSeconds = 20;

/**
 * Runs a point for a short while, and keeps nothing: it shows what no look can tell, such as a script whose modules are
 * missing. Answers what there is to tell; throws where the run fails.
 */
export async function tryPoint(simulator: Simulator, point: Point): Promise<string> {
  const folder = await onDisk('making a folder for a trial', () => mkdtemp(join(tmpdir(), 'atmos-fleet-trial-')));
  const signal = AbortSignal.timeout(trialSeconds * 1000);
  try {
    const outcome = await runPoint(simulator, point, folder, signal);
    if (outcome.kind === 'error') throw new Error(`the start, ${point.code}, failed: ${outcome.message}`);
    if (outcome.stable) return `the start, ${point.code}, is stable`;
    return `the start, ${point.code}, is unstable: the search would end with it`;
  } catch (error) {
    if (!signal.aborted) throw error;
    return `the start, ${point.code}, ran for ${trialSeconds} s without an end and was ended: \`run\` runs it to its end`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runPoint(simulator: Simulator, point: Point, folder: string, signal: AbortSignal): Promise<Outcome> {
  const { dictionary: parameters, code, hash } = point;
  const attempt = { parameters, code, hash, warm: false, token: `trial-${process.pid}`, slot: 0, signal };
  if (!simulator.keepsFiles) return simulator.run(attempt);
  const directories = { input: join(folder, 'input'), output: join(folder, 'output') };
  for (const path of Object.values(directories)) await mkdir(path);
  return simulator.run({ ...attempt, directories });
}
