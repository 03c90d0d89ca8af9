import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DockerSandbox } from '../../src/sandboxes/docker/sandbox.js';
import { createSimulator } from '../../src/simulators/index.js';
import { simulatorSettings } from '../../src/simulators/settings.js';
import type { Simulator } from '../../src/simulators/simulator.js';
import { attemptWith } from '../support/attempt.js';
import { busyboxImage, standInImage } from '../support/docker.js';

const runs = 30;
const parameters = { O2: 0.21, N2: 0.7772982887, H2O: 0.0123, CH4: 1.63e-6, CO2: 4e-4, H2: 8.13e-8 };

/** What sandbox and driver add to a run's own time in a warm container, ms. */
export interface Overhead {
  simulator: string;
  /** Median of a run's whole time. */
  whole: number;
  /** The programs' own time within it. */
  own: number;
  overhead: number;
}

/** Measures both simulators of the sandbox `docker`: `program` with a command that only writes its result, and `atmos`. */
export async function measureOverhead(): Promise<Overhead[]> {
  const sandbox = { kind: 'docker', image: await standInImage(), pull: 'never' };
  const command = ['sh', '-c', `echo '{"stable": true}' >"$FLEET_OUTPUT_DIR/result.json"`];
  const program = { kind: 'program', command, sandbox: { ...sandbox, image: await busyboxImage() } };
  return [
    await measured('program', program, 0),
    await measured('atmos', { kind: 'atmos', sandbox }, await ownTime(sandbox.image)),
  ];
}

async function measured(name: string, settings: object, own: number): Promise<Overhead> {
  const simulator = createSimulator(simulatorSettings.parse(settings), { timeoutSeconds: 60 });
  try {
    await simulator.prepare();
    await timed(simulator); // makes the container
    const times: number[] = [];
    for (let run = 0; run < runs; run++) times.push(await timed(simulator));
    const whole = times.sort((a, b) => a - b)[runs / 2] ?? Number.NaN;
    return { simulator: name, whole, own, overhead: whole - own };
  } finally {
    await simulator.close();
  }
}

async function timed(simulator: Simulator): Promise<number> {
  const root = await mkdtemp(join(tmpdir(), 'atmos-fleet-bench-'));
  const directories = { input: join(root, 'input'), output: join(root, 'output') };
  for (const directory of Object.values(directories)) await mkdir(directory);
  const start = performance.now();
  const outcome = await simulator.run(attemptWith({ parameters, directories }));
  const time = performance.now() - start;
  if (outcome.kind !== 'completed') throw new Error(outcome.message);
  await rm(root, { recursive: true });
  return time;
}

/** The stand-in's own time, by running its programs many times in one command, ms. */
async function ownTime(image: string): Promise<number> {
  const limits = { memory: 2 ** 31, cpus: 1, pids: 256, scratch: 2 ** 29, outputBytes: 2 ** 30, outputFiles: 10_000 };
  const sandbox = new DockerSandbox({ image, pull: 'never', warm: true, ...limits }, '/code/atmos');
  try {
    await sandbox.prepare();
    return await sandbox.use(0, async (cell) => {
      const repeat = async (count: number): Promise<number> => {
        const start = performance.now();
        const script = `for i in $(seq ${count}); do ./Photo.run; ./Clima.run; done >/dev/null`;
        await cell.execute({ argv: ['sh', '-c', script], timeoutSeconds: 600, signal: new AbortController().signal });
        return performance.now() - start;
      };
      const few = await repeat(1);
      return ((await repeat(1 + runs)) - few) / runs;
    });
  } finally {
    await sandbox.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { simulator, whole, own, overhead } of await measureOverhead()) {
    const [total, part, rest] = [whole, own, overhead].map((value) => `${value.toFixed(0)} ms`);
    console.log(`${simulator} in a warm container: ${total} a run, of which its own ${part}: overhead ${rest}`);
  }
}
