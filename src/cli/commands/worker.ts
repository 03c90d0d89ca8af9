import { tmpdir } from 'node:os';
import type { Argv } from 'yargs';
import { createArtifactStore } from '../../artifacts/index.js';
import { WorkerRole } from '../../roles/worker/worker.js';
import { createSimulator, oddities } from '../../simulators/index.js';
import { durationOption, switchOption, wholeOption, withCommon, withMetrics } from '../options.js';
import { asMember, openWorkbench } from '../wire.js';

/** Spot machines give 15 to 30 s of notice: what does not finish soon goes back, to run elsewhere. */
const defaultGraceMs = 5000;
/** So that a Kubernetes Job starts another pod in place of one that was stopped. */
const stoppedBySignal = 143;

export function workerCommand(cli: Argv): Argv {
  return cli.command(
    'worker',
    'run points',
    (yargs) =>
      withMetrics(withCommon(yargs))
        .option('concurrency', wholeOption('--concurrency', 1, 'worker slots: runs at a time (1)'))
        .option('exit-when-done', switchOption('-exit-when-done', 'end when the search is over'))
        .option('grace', durationOption('--grace', 'time for running points when told to stop; then they go back (5s)'))
        .example('$0 worker --concurrency 4', 'four runs at a time')
        .example('$0 worker --exit-when-done', 'status 0: over; 143: stopped before'),
    async (options) => {
      const bench = openWorkbench('worker', options);
      const { config, stop } = bench;
      for (const oddity of oddities(config.simulator, config.parameters)) bench.log.warn(oddity);
      const run = {
        folder: config.folder,
        timeoutSeconds: config.run.timeoutSeconds,
        parameters: bench.search.space.names,
        stable: config.stable,
        note: (sentence: string) => bench.log.info(sentence),
      };
      const done = await asMember('worker', bench, options.grace ?? defaultGraceMs, async (member) => {
        const store = await createArtifactStore(config.artifacts.url, config.name);
        return new WorkerRole(member, createSimulator(config.simulator, run), store, {
          concurrency: options.concurrency ?? 1,
          exitWhenDone: options.exitWhenDone === true,
          timeoutSeconds: config.run.timeoutSeconds,
          attempts: config.run.attempts,
          scratch: tmpdir(),
          storeIsLocal: config.artifacts.url.startsWith('file:'),
        }).serve();
      });
      if (options.exitWhenDone && !done && stop.bySignal) process.exitCode = stoppedBySignal;
    },
  );
}
