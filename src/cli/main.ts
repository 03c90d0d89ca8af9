import yargs from 'yargs';
import { UsageError } from '../support/errors.js';
import { version } from '../support/version.js';
import { dashboardCommand } from './dashboard.js';
import { demoCommand } from './demo.js';
import { exportCommand } from './export.js';
import { killCommand } from './kill.js';
import { sqlClientCommand, sqlClientMasterCommand } from './sqlClient.js';
import { starterCommand } from './starter.js';
import { statusCommand } from './status.js';
import { exitStatusOf } from './wire.js';
import { workerCommand } from './worker.js';

/** Something that still hangs on after a command ended is not waited for longer. */
const lingerMs = 2000;

const commands = [
  demoCommand,
  starterCommand,
  sqlClientCommand,
  sqlClientMasterCommand,
  workerCommand,
  killCommand,
  statusCommand,
  exportCommand,
  dashboardCommand,
];

/** Runs one command line: `atmos-fleet <role> [options]`. */
export async function main(args: readonly string[]): Promise<void> {
  let cli = yargs([...args])
    .scriptName('atmos-fleet')
    .usage('$0 <role> [options]\n\nExplores a parameter space outward from a trusted point, on any number of machines.')
    .version(version)
    .help()
    .strict()
    .demandCommand(1, 'name a role')
    .wrap(Math.min(120, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UsageError(`${message}; --help tells more`);
    });
  for (const add of commands) cli = add(cli);
  try {
    await cli.parseAsync();
  } catch (error) {
    process.exitCode = exitStatusOf(error);
  }
  setTimeout(() => process.exit(), lingerMs).unref();
}
