import type { Argv } from 'yargs';
import { storedRuns } from '../../artifacts/index.js';
import type { Ledger } from '../../ledger/ledger.js';
import { sqlClient } from '../../roles/client/sqlClient.js';
import { type Imported, importRuns } from '../../roles/commands/importing.js';
import { killed } from '../../roles/commands/kill.js';
import { reset as resetSearch } from '../../roles/commands/reset.js';
import type { Member } from '../../roles/common/member.js';
import { OneShot } from '../../roles/common/oneShot.js';
import { refuseOtherInRedis } from '../../roles/common/search.js';
import { sqlClientMaster } from '../../roles/master/sqlClientMaster.js';
import { UsageError } from '../../support/errors.js';
import { ledgerOf } from '../ledger.js';
import { describeReset, refuseUnconfirmed } from '../losses.js';
import { durationOption, riskySwitch, switchOption, withCommon, withMetrics, yesOption } from '../options.js';
import { isAgreedTo, say } from '../terminal.js';
import { asMember, asOneShot, openWorkbench, stopOnSignals, type Workbench } from '../wire.js';

const defaultGraceMs = 5000;

function withServing(yargs: Argv) {
  return withMetrics(withCommon(yargs)).option(
    'grace',
    durationOption('--grace', 'time for the work at hand when told to stop (5s)'),
  );
}

export function sqlClientCommand(cli: Argv): Argv {
  return cli.command(
    'sql-client',
    'mirror what workers report into SQL',
    (yargs) =>
      withServing(yargs)
        .option('c', switchOption('c', 'create the table if it is absent, update an older one, then serve'))
        .option(
          'r',
          riskySwitch(
            'r',
            'drop the table if it is there, create it, then serve: ALL RESULTS ARE LOST; asks on a terminal',
          ),
        )
        .option('yes', yesOption)
        .option('m', switchOption('m', 'be the sql-client-master'))
        .option('import', {
          type: 'string',
          requiresArg: true,
          describe: "rebuild rows from this search's runs stored below a prefix (file:… or gs://…), and end",
        })
        .option('incarnation', {
          type: 'string',
          requiresArg: true,
          describe:
            'with --import: runs for which of the tables that had this name; by default for the newest complete enough',
          coerce: incarnationOf,
        })
        .implies('incarnation', 'import')
        .alias({ c: 'create', r: 'reset', m: 'master' })
        .conflicts('import', ['m', 'r'])
        .implies('yes', 'r')
        .example('$0 sql-client -c 1', 'the first time')
        .example('$0 sql-client -c 1 --import gs://bucket/prefix', 'after the database was lost')
        .example('$0 sql-client -m 1', 'the same as $0 sql-client-master'),
    async (options) => {
      const master = options.m === true;
      if (options.import !== undefined) {
        await importFrom(options.import, options.incarnation, openWorkbench('sql-client', options), options.c === true);
        return;
      }
      await serve(openWorkbench(master ? 'sql-client-master' : 'sql-client', options), {
        create: options.c === true || (options.r ?? false) !== false,
        reset: resetFor(options.r, options.yes === true),
        master,
        rebuild: false,
        graceMs: options.grace ?? defaultGraceMs,
      });
    },
  );
}

export function sqlClientMasterCommand(cli: Argv): Argv {
  return cli.command(
    'sql-client-master',
    'let new points in, return the leases of dead workers, keep Redis whole',
    (yargs) =>
      withServing(yargs)
        .option('c', switchOption('c', 'create the table if it is absent, update an older one, then serve'))
        .alias({ c: 'create' })
        .option('rebuild', switchOption('-rebuild', 'make Redis anew from SQL first, e.g. after bounds were widened'))
        .example('$0 sql-client-master', 'any number of them may serve at once'),
    async (options) => {
      await serve(openWorkbench('sql-client-master', options), {
        create: options.c === true,
        reset: 'no',
        master: true,
        rebuild: options.rebuild === true,
        graceMs: options.grace ?? defaultGraceMs,
      });
    },
  );
}

/** Whether the search begins anew, and a person is to agree to that. */
type Reset = 'no' | 'asks' | 'yes';

function resetFor(asked: boolean | 'asks' | undefined, agreed: boolean): Reset {
  if (asked === 'asks') return agreed ? 'yes' : 'asks';
  return asked ? 'yes' : 'no';
}

interface Serving {
  create: boolean;
  reset: Reset;
  master: boolean;
  rebuild: boolean;
  graceMs: number;
}

async function serve(bench: Workbench, serving: Serving): Promise<void> {
  const ledger = ledgerOf(bench.config);
  try {
    if (serving.create && !(await createTables(bench, ledger, serving.reset))) return refuseUnconfirmed();
    const role = serving.master ? 'sql-client-master' : 'sql-client';
    const serveAs = (member: Member) =>
      serving.master ? sqlClientMaster(member, ledger, { rebuild: serving.rebuild }) : sqlClient(member, ledger);
    await asMember(role, bench, serving.graceMs, serveAs, ledger);
  } finally {
    await ledger.close();
  }
}

/** The mark of an incarnation that is named by it, or in full as the table's facts do; or `none`. */
function incarnationOf(text: string): string {
  if (text === 'none' || /^[0-9a-f]{8}(-[0-9a-f-]{27})?$/.test(text)) return text.slice(0, 8);
  throw new UsageError(`--incarnation: expected 8 hex characters or none, got '${text}'`);
}

/** What an import left out, and how to have it instead. */
function describeLeft({ foreign, redefined, difference, left }: Imported): string {
  const lines = left.map(({ incarnation, runs, completed, last }) => {
    const whose = incarnation === 'none' ? 'that name no incarnation of the table' : `of incarnation ${incarnation}`;
    return `left out ${runs} runs ${whose} (${completed} completed points, the last at ${last}): --incarnation ${incarnation} imports those`;
  });
  if (redefined > 0) lines.push(`passed over ${redefined} runs of a search that was defined otherwise: ${difference}`);
  if (foreign > 0) lines.push(`passed over ${foreign} runs of other searches`);
  return lines.map((line) => `\n${line}`).join('');
}

async function importFrom(
  prefix: string,
  incarnation: string | undefined,
  bench: Workbench,
  create: boolean,
): Promise<void> {
  const { name } = bench.search;
  const ledger = ledgerOf(bench.config);
  try {
    await asOneShot(bench, async (command) => {
      if (create) await command.insist(() => ledger.create(bench.search.definition));
      const { attempts } = bench.config.run;
      const imported = await importRuns(command, ledger, () => storedRuns(prefix, name), { attempts, incarnation });
      const others = describeLeft(imported);
      if (imported.incarnation === undefined && imported.unreadable === 0) {
        throw new UsageError(`--import: found no run of ${name} in ${prefix}, nor in a folder ${name} there${others}`);
      }
      const { completed, errors, queued, unreadable } = imported;
      say(
        `imported ${completed} completed points and ${errors} errors; ${queued} are queued again, ${unreadable} runs could not be read${others}`,
      );
    });
  } finally {
    await ledger.close();
  }
}

/**
 * Creates the tables; a reset begins a new search, so what Redis still holds of the old one goes too. Nothing while the kill
 * switch is on: the role is not to serve. False: a person did not agree to the reset.
 */
async function createTables(bench: Workbench, ledger: Ledger, reset: Reset): Promise<boolean> {
  const { config, search, log, stop } = bench;
  const unhook = stopOnSignals(stop, log, 0);
  const command = new OneShot(search, log, stop.quiet);
  try {
    if (await killed(command)) return true;
    if (reset === 'asks') {
      const loss = await describeReset(command, ledger, config.database.table);
      if (loss !== undefined && !(await isAgreedTo(`This drops ${loss}. Drop it?`))) return false;
    }
    if (reset !== 'no') {
      const keys = await resetSearch(command, ledger);
      log.info({ keys }, 'the table was dropped, and what Redis held of its search');
    } else {
      await command.insist(() => refuseOtherInRedis(search, command.session));
      await command.insist(() => ledger.create(search.definition));
    }
    return true;
  } finally {
    await command.close();
    unhook();
  }
}
