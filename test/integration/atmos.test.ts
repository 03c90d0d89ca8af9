import { execFile } from 'node:child_process';
import { cp, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createSimulator } from '../../src/simulators/index.js';
import { simulatorSettings } from '../../src/simulators/settings.js';
import type { Outcome, Simulator } from '../../src/simulators/simulator.js';
import { MachineFault, UsageError } from '../../src/support/errors.js';
import { attemptWith } from '../support/attempt.js';
import { attemptDirectories, temporaryDirectory } from '../support/directories.js';
import { containersOf, standInImage } from '../support/docker.js';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 });

const run = promisify(execFile);
const standIn = fileURLToPath(new URL('../../docker/atmos-standin/atmos', import.meta.url));

const earth = { O2: 0.21, N2: 0.7772982887, H2O: 0.0123, CH4: 1.63e-6, CO2: 4e-4, H2: 8.13e-8 };

/** The stand-in's own language of faults: SO2, in thousandths. */
const faults = {
  nonconvergence: 1,
  crash: 2,
  hang: 3,
  noOutput: 4,
  truncated: 5,
  hugeLog: 6,
  forkBomb: 7,
  memory: 8,
  nan: 9,
  climaCrash: 11,
  climaTruncated: 12,
  climaHang: 13,
};

/** The stand-in as a checkout on this machine, as it is in its image. */
async function checkout(): Promise<string> {
  const directory = await temporaryDirectory();
  await cp(standIn, directory, { recursive: true });
  for (const program of ['./make_templates', './Photo.run', './Clima.run']) await run(program, { cwd: directory });
  return directory;
}

const places = [
  {
    kind: 'local',
    ready: async () => {},
    sandbox: async () => ({ kind: 'local', scratch: await temporaryDirectory(), directory: await checkout() }),
  },
  {
    kind: 'docker',
    ready: standInImage,
    sandbox: async () => ({ kind: 'docker', image: await standInImage(), memory: '96m', scratch: '64m', pids: 64 }),
  },
];

describe.each(places)('Atmos in the sandbox $kind', ({ kind, ready, sandbox }) => {
  beforeAll(ready);

  async function atmos(timeoutSeconds = 60): Promise<Simulator> {
    const settings = simulatorSettings.parse({ kind: 'atmos', sandbox: await sandbox() });
    const simulator = createSimulator(settings, { timeoutSeconds, parameters: Object.keys(earth) });
    onTestFinished(() => simulator.close());
    await simulator.prepare();
    return simulator;
  }

  /** One run of a point, and the directory of its files. `previous`: null where its parent's files are gone. */
  async function outcomeOf(simulator: Simulator, parameters: object, previous?: string | null) {
    const { input, output } = await attemptDirectories();
    const outcome = await simulator.run(
      attemptWith({
        parameters: { ...earth, ...parameters },
        warm: previous !== undefined,
        directories: { input, output, ...(previous && { previous }) },
      }),
    );
    return { outcome, output };
  }

  const faulty = async (simulator: Simulator, fault: keyof typeof faults) =>
    (await outcomeOf(simulator, { SO2: faults[fault] / 1000 })).outcome;

  const sound = (outcome: Outcome) => expect(outcome).toMatchObject({ kind: 'completed', stable: true });

  it('says that it starts cold because the files it was to start from are gone', async () => {
    const { outcome } = await outcomeOf(await atmos(), {}, null);
    expect(outcome.message).toMatch(/^stable, .* K; cold start: the parent left no files$/);
  });

  it('runs the first point from a cold start, and keeps all its files', async () => {
    const { outcome, output } = await outcomeOf(await atmos(), {});
    expect(outcome).toMatchObject({
      kind: 'completed',
      stable: true,
      temperature: 288.18,
      pressure: 1.03,
      outputs: { photochem_iterations: 44, flux_CO: 3.7e11, flux_NH3: 0, flux_CH4: expect.any(Number) },
      message: 'stable, 288.18 K',
    });
    expect((await readdir(output)).sort()).toEqual(
      ['Clima_log.txt', 'Photo_log.txt', 'TempIn.dat', 'TempOut.dat', 'clima_allout.tab', 'in.dist', 'input_clima.dat']
        .concat(['mixing_ratios.dat', 'out.dist', 'out.out', 'species.dat'])
        .sort(),
    );
  });

  it('starts from the solution of the point that proposed it', async () => {
    const simulator = await atmos();
    const parent = await outcomeOf(simulator, {});
    const child = await outcomeOf(simulator, { CO2: 0.0104 }, parent.output);
    sound(child.outcome);
    expect(child.outcome).toMatchObject({ message: expect.not.stringContaining('cold') });
    for (const [used, left] of [
      ['in.dist', 'out.dist'],
      ['TempIn.dat', 'TempOut.dat'],
    ] as const) {
      expect(await readFile(join(child.output, used))).toEqual(await readFile(join(parent.output, left)));
    }
    const again = await outcomeOf(simulator, { CO2: 0.0104 }, child.output);
    expect(again.outcome).toMatchObject({ outputs: { photochem_iterations: 40 } });
  });

  it.each([
    ['cut off', (path: string) => truncate(path, 1000), 'cut off, or of another size'],
    ['empty', (path: string) => truncate(path, 0), 'empty'],
    ['full of NaN', (path: string) => writeFile(path, 'NaN '), 'no set of finite numbers'],
    ['a directory', async (path: string) => run('sh', ['-c', 'rm "$0"; mkdir "$0"', path]), 'missing'],
  ])("starts cold, and says so, where the parent's solution is %s", async (_, damage, reason) => {
    const simulator = await atmos();
    const parent = await outcomeOf(simulator, {});
    await damage(join(parent.output, 'TempOut.dat'));
    const { outcome } = await outcomeOf(simulator, {}, parent.output);
    sound(outcome);
    expect(outcome).toMatchObject({ message: `stable, 288.18 K; cold start: the parent's TempOut.dat is ${reason}` });
  });

  it('calls a point unstable where photochemistry does not converge', async () => {
    const simulator = await atmos();
    for (const parameters of [{ O2: 1e-8 }, { SO2: faults.nonconvergence / 1000 }]) {
      expect((await outcomeOf(simulator, parameters)).outcome).toEqual({
        kind: 'completed',
        stable: false,
        outputs: { photochem_iterations: 10_001 },
        message: 'unstable, photochemistry did not converge (step 10001)',
      });
    }
  });

  it('stops a run that shows NaN, and calls its point unstable', async () => {
    const outcome = await faulty(await atmos(), 'nan');
    expect(outcome).toMatchObject({ kind: 'completed', stable: false, outputs: { photochem_iterations: 1 } });
  });

  it('lets no error of a run reach the next one', async () => {
    const simulator = await atmos();
    const expected: [keyof typeof faults, RegExp][] = [
      ['crash', /^photochemistry ended with status 139/],
      ['noOutput', /^photochemistry wrote no line of progress/],
      ['truncated', /^photochemistry ended before it was complete\n N =/],
      ['climaCrash', /^the climate program ended with status 136\n.*SIGFPE/s],
      ['climaTruncated', /^the climate program ended before it was complete/],
    ];
    for (const [fault, message] of expected) {
      expect(await faulty(simulator, fault), fault).toEqual({
        kind: 'error',
        errorKind: 'program',
        message: expect.stringMatching(message),
      });
      sound((await outcomeOf(simulator, {})).outcome);
    }
    expect((await outcomeOf(simulator, { O2: 0 })).outcome).toMatchObject({ kind: 'error', errorKind: 'program' });
    sound((await outcomeOf(simulator, {})).outcome);
  });

  it('bears a huge log', async () => {
    const simulator = await atmos();
    const { outcome, output } = await outcomeOf(simulator, { SO2: faults.hugeLog / 1000 });
    sound(outcome);
    expect((await readFile(join(output, 'Photo_log.txt'))).length).toBeLessThan(600_000);
  });

  it.each(['hang', 'climaHang'] as const)('ends a %s in time', async (fault) => {
    const simulator = await atmos(3);
    expect(await faulty(simulator, fault)).toMatchObject({ kind: 'error', errorKind: 'timeout' });
    if (kind === 'docker') expect(await containersOf()).toEqual([]);
  });

  it('refuses a search with a species that Atmos does not have', async () => {
    const settings = simulatorSettings.parse({ kind: 'atmos', sandbox: await sandbox() });
    const simulator = createSimulator(settings, { timeoutSeconds: 60, parameters: ['O2', 'Xe', 'HNO2'] });
    onTestFinished(() => simulator.close());
    await expect(simulator.prepare()).rejects.toThrow(UsageError);
    await expect(simulator.prepare()).rejects.toThrow('Atmos has no species Xe, HNO2');
  });

  it('blames the machine where there is no Atmos', async () => {
    const directory = kind === 'local' ? await temporaryDirectory() : '/nowhere';
    const settings = simulatorSettings.parse({ kind: 'atmos', sandbox: { ...(await sandbox()), directory } });
    const simulator = createSimulator(settings, { timeoutSeconds: 60 });
    onTestFinished(() => simulator.close());
    await expect(simulator.prepare()).rejects.toThrow(MachineFault);
    await expect(simulator.prepare()).rejects.toThrow('There is no Atmos in');
  });

  // What these ask for would hurt a machine that has no limits.
  it.runIf(kind === 'docker')('bears a fork bomb and a run over its memory', async () => {
    const simulator = await atmos();
    expect(await faulty(simulator, 'forkBomb')).toMatchObject({
      kind: 'error',
      errorKind: 'program',
      message: expect.stringMatching(/can't fork/),
    });
    sound((await outcomeOf(simulator, {})).outcome);
    expect(await faulty(simulator, 'memory')).toMatchObject({
      kind: 'error',
      errorKind: 'program',
      message: expect.stringMatching(/most likely over its memory limit of 96 MiB/),
    });
    sound((await outcomeOf(simulator, {})).outcome);
  });
});
