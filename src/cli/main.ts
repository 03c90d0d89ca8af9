import yargs, { type Argv } from 'yargs';
import { hideSecrets } from '../support/environment.js';
import { KillSwitchOn, MachineFault, messageOf, Unavailable, UsageError } from '../support/errors.js';
import { withoutPasswords } from '../support/secrets.js';
import { Stopped } from '../support/stop.js';
import { version } from '../support/version.js';
import { complain, endWithOutput, isOutputClosed } from './terminal.js';

/** Something that still hangs on after a command ended is not waited for longer. */
const lingerMs = 2000;

type Command = (cli: Argv) => Argv;

/** Each command is loaded only when it is asked for: a worker has no use for the database's client. */
const commands: Record<string, () => Promise<Command>> = {
  init: async () => (await import('./commands/init.js')).initCommand,
  doctor: async () => (await import('./commands/doctor.js')).doctorCommand,
  starter: async () => (await import('./commands/starter.js')).starterCommand,
  'sql-client': async () => (await import('./commands/sqlClient.js')).sqlClientCommand,
  'sql-client-master': async () => (await import('./commands/sqlClient.js')).sqlClientMasterCommand,
  worker: async () => (await import('./commands/worker.js')).workerCommand,
  kill: async () => (await import('./commands/kill.js')).killCommand,
  status: async () => (await import('./commands/status.js')).statusCommand,
  verify: async () => (await import('./commands/verify.js')).verifyCommand,
  export: async () => (await import('./commands/export.js')).exportCommand,
  run: async () => (await import('./commands/run.js')).runCommand,
  logs: async () => (await import('./commands/logs.js')).logsCommand,
  report: async () => (await import('./commands/report.js')).reportCommand,
  dashboard: async () => (await import('./commands/dashboard.js')).dashboardCommand,
  demo: async () => (await import('./commands/demo.js')).demoCommand,
};

/** Names of all commands: each has an entry point of its own in dist/bin/, which the build writes. */
export const commandNames: readonly string[] = Object.keys(commands);

/** Runs one command line: `atmos-fleet <role> [options]`. */
export async function main(args: readonly string[]): Promise<void> {
  hideSecrets();
  endWithOutput();
  process.on('uncaughtException', (error) => process.exit(exitStatusOf(error)));
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

/**
 * The exit status for whatever ended a command, after saying so. What had to be expected is a sentence: wrong usage (2), the kill
 * switch (3), a service, a machine or its system that refused something (1). All else is a fault of this program, and comes with
 * its stack (1).
 */
function exitStatusOf(error: unknown): number {
  const isOutput = isOutputClosed() && (error as NodeJS.ErrnoException)?.code === 'EPIPE';
  if (error instanceof Stopped || isOutput) return 0;
  const isExpected = error instanceof UsageError || error instanceof Unavailable || error instanceof MachineFault;
  const text = isExpected || isOfSystem(error) ? messageOf(error) : ((error as Error)?.stack ?? messageOf(error));
  complain(withoutPasswords(text));
  if (error instanceof KillSwitchOn) return 3;
  return error instanceof UsageError ? 2 : 1;
}

/** Whether a call of the operating system failed (no such file, no right, no space, …). */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
