import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Argv } from 'yargs';
import { createSimulator } from '../../simulators/index.js';
import type { Outcome } from '../../simulators/simulator.js';
import { formatNumber } from '../../space/decimal.js';
import type { Point } from '../../space/space.js';
import { UsageError } from '../../support/errors.js';
import { regularFiles } from '../../support/files.js';
import { oneLine } from '../../support/text.js';
import { pointGrammar, withCommon } from '../options.js';
import { pointFor } from '../reader.js';
import { say } from '../terminal.js';
import { openWorkbench, stopOnSignals, type Workbench } from '../wire.js';

const failed = 1;

export function runCommand(cli: Argv): Argv {
  return cli.command(
    'run',
    'run one point on this machine, without a fleet, and show what became of it; exit 1 where it failed',
    (yargs) =>
      withCommon(yargs)
        .option('point', {
          type: 'string',
          requiresArg: true,
          describe: `${pointGrammar} (else the start)`,
        })
        .option('out', {
          type: 'string',
          requiresArg: true,
          describe: 'a folder for its files, not there yet or empty (run-HASH, run-HASH-2, …)',
        })
        .example('$0 run', 'does the model work here?')
        .example("$0 run --point 'CO2=0.03'", 'one point of the search'),
    async (options) => {
      const bench = openWorkbench('run', { ...options, logLevel: options.logLevel ?? 'warn' });
      const point = await pointFor(bench, options.point);
      const unhook = stopOnSignals(bench.stop, bench.log, 0);
      try {
        const outcome = await runHere(bench, point, options.out);
        if (outcome.kind === 'error') process.exitCode = failed;
      } finally {
        unhook();
      }
    },
  );
}

async function runHere(
  { config, search, log, stop }: Workbench,
  point: Point,
  out: string | undefined,
): Promise<Outcome> {
  const note = (sentence: string) => log.info(sentence);
  const settings = {
    folder: config.folder,
    timeoutSeconds: config.run.timeoutSeconds,
    parameters: search.space.names,
    stable: config.stable,
    note,
  };
  const simulator = createSimulator(config.simulator, settings);
  let folder: string | undefined;
  try {
    await simulator.prepare(stop.abort);
    folder = simulator.keepsFiles ? await freshFolder(point, out) : undefined;
    const directories = folder === undefined ? undefined : await runDirectories(folder);
    const since = performance.now();
    const outcome = await simulator.run({
      ...{ parameters: point.dictionary, code: point.code, hash: point.hash, warm: false },
      ...{ token: `here-${process.pid}`, slot: 0, signal: stop.abort },
      ...(directories ? { directories } : {}),
    });
    say(describeOutcome(point, outcome, (performance.now() - since) / 1000));
    if (directories) await sayFiles(directories.output);
    return outcome;
  } finally {
    await simulator.close();
    if (folder !== undefined) await rm(join(folder, 'input'), { recursive: true, force: true });
  }
}

/** A folder for one run alone: what an earlier run, or anybody, left somewhere is neither read nor removed. */
async function freshFolder({ hash }: Point, out: string | undefined): Promise<string> {
  if (out !== undefined) {
    const folder = resolve(out);
    if ((await made(folder)) || (await readdir(folder)).length === 0) return folder;
    throw new UsageError(`--out: ${folder} is not empty: name another folder`);
  }
  const name = `run-${hash.slice(0, 8)}`;
  for (let number = 1; ; number++) {
    const folder = resolve(number === 1 ? name : `${name}-${number}`);
    if (await made(folder)) return folder;
  }
}

/** False: something is there already. */
async function made(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

async function runDirectories(folder: string): Promise<{ input: string; output: string }> {
  const directories = { input: join(folder, 'input'), output: join(folder, 'output') };
  for (const path of Object.values(directories)) await mkdir(path);
  return directories;
}

function describeOutcome({ code, hash }: Point, outcome: Outcome, seconds: number): string {
  const lines = [`point        ${code}`, `hash         ${hash}`, `ran          ${seconds.toFixed(3)} s`];
  if (outcome.kind === 'error') {
    return [...lines, `outcome      error (${outcome.errorKind})`, outcome.message].join('\n');
  }
  const { stable, temperature, pressure, outputs, message } = outcome;
  const numbers: [string, string | undefined][] = [
    ['outcome', stable ? 'stable' : 'unstable'],
    ['message', message],
    ['temperature', temperature === undefined ? undefined : `${formatNumber(temperature)} K`],
    ['pressure', pressure === undefined ? undefined : `${formatNumber(pressure)} bar`],
    ...Object.entries(outputs).map(([name, value]): [string, string] => [name, formatNumber(value)]),
  ];
  const told = numbers.flatMap(([name, value]) =>
    value === undefined ? [] : [`${oneLine(name).padEnd(12)} ${value}`],
  );
  return [...lines, ...told].join('\n');
}

async function sayFiles(folder: string): Promise<void> {
  say(`files in ${folder}`);
  for await (const path of regularFiles(folder))
    say(`  ${oneLine(path)}  ${(await stat(join(folder, path))).size} bytes`);
}
