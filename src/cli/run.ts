import { mkdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Argv } from 'yargs';
import { createSimulator } from '../simulators/index.js';
import type { Outcome } from '../simulators/simulator.js';
import { formatNumber } from '../space/decimal.js';
import type { Point } from '../space/space.js';
import { regularFiles } from '../support/files.js';
import { withCommon } from './options.js';
import { printable } from './sight.js';
import { pointNamed } from './starter.js';
import { openWorkbench, stopOnSignals, type Workbench } from './wire.js';

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
          describe: 'values that differ from the start, O2=0.3,H2=8.1e-08, or a parameter code (else the start)',
        })
        .option('out', { type: 'string', requiresArg: true, describe: 'where its files go (run-HASH)' })
        .example('$0 run', 'does the model work here?')
        .example("$0 run --point 'CO2=0.03'", 'one point of the search'),
    async (options) => {
      const bench = openWorkbench('run', { ...options, logLevel: options.logLevel ?? 'warn' });
      const point = pointNamed(bench.search.space, options.point);
      const folder = resolve(options.out ?? `run-${point.hash.slice(0, 8)}`);
      const unhook = stopOnSignals(bench.stop, bench.log, 0);
      try {
        const outcome = await runHere(bench, point, folder);
        if (outcome.kind === 'error') process.exitCode = failed;
      } finally {
        unhook();
      }
    },
  );
}

async function runHere({ config, search, log, stop }: Workbench, point: Point, folder: string): Promise<Outcome> {
  const note = (sentence: string) => log.info(sentence);
  const settings = {
    timeoutSeconds: config.run.timeoutSeconds,
    parameters: search.space.names,
    stable: config.stable,
    note,
  };
  const simulator = createSimulator(config.simulator, settings);
  const [input, output] = [join(folder, 'input'), join(folder, 'output')];
  try {
    await simulator.prepare(stop.abort);
    if (simulator.keepsFiles) await Promise.all([input, output].map((path) => mkdir(path, { recursive: true })));
    const since = performance.now();
    const outcome = await simulator.run({
      ...{ parameters: point.dictionary, code: point.code, hash: point.hash, warm: false },
      ...{ token: `here-${process.pid}`, slot: 0, signal: stop.abort },
      ...(simulator.keepsFiles ? { directories: { input, output } } : {}),
    });
    say(describeOutcome(point, outcome, (performance.now() - since) / 1000));
    if (simulator.keepsFiles) await sayFiles(output);
    return outcome;
  } finally {
    await simulator.close();
    await rm(input, { recursive: true, force: true });
  }
}

function describeOutcome({ code, hash }: Point, outcome: Outcome, seconds: number): string {
  const lines = [`point        ${code}`, `hash         ${hash}`, `ran          ${seconds.toFixed(3)} s`];
  if (outcome.kind === 'error') {
    return [...lines, `outcome      error (${outcome.errorKind})`, printable(outcome.message)].join('\n');
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
    value === undefined ? [] : [`${name.padEnd(12)} ${printable(value)}`],
  );
  return [...lines, ...told].join('\n');
}

async function sayFiles(folder: string): Promise<void> {
  say(`files in ${folder}`);
  for await (const path of regularFiles(folder)) say(`  ${path}  ${(await stat(join(folder, path))).size} bytes`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
