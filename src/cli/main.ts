import yargs, { type Argv } from 'yargs';
import { UsageError } from '../support/errors.js';
import { version } from '../support/version.js';
import { exitStatusOf } from './wire.js';

/** Something that still hangs on after a command ended is not waited for longer. */
const lingerMs = 2000;

type Command = (cli: Argv) => Argv;

/** Each command is loaded only when it is asked for: a worker has no use for the database's client. */
const commands: Record<string, () => Promise<Command>> = {
  init: async () => (await import('./init.js')).initCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
  starter: async () => (await import('./starter.js')).starterCommand,
  'sql-client': async () => (await import('./sqlClient.js')).sqlClientCommand,
  'sql-client-master': async () => (await import('./sqlClient.js')).sqlClientMasterCommand,
  worker: async () => (await import('./worker.js')).workerCommand,
  kill: async () => (await import('./kill.js')).killCommand,
  status: async () => (await import('./status.js')).statusCommand,
  verify: async () => (await import('./verify.js')).verifyCommand,
  export: async () => (await import('./export.js')).exportCommand,
  run: async () => (await import('./run.js')).runCommand,
  logs: async () => (await import('./logs.js')).logsCommand,
  report: async () => (await import('./report.js')).reportCommand,
  dashboard: async () => (await import('./dashboard.js')).dashboardCommand,
  demo: async () => (await import('./demo.js')).demoCommand,
};

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
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .fail((message, error) => {
      // What yargs itself finds wrong is wrong usage, also where it wraps an option's own refusal.
      if (error && error.name !== 'YError') throw error;
      throw new UsageError(`${error?.message ?? message}; --help tells more`);
    });
  try {
    const named = commands[args[0] ?? ''];
    for (const load of named ? [named] : Object.values(commands)) cli = (await load())(cli);
    await cli.parseAsync();
  } catch (error) {
    process.exitCode = exitStatusOf(error);
  }
  setTimeout(() => process.exit(), lingerMs).unref();
}
