import type { Argv } from 'yargs';
import { type Look, look } from '../../queue/look.js';
import { deleteKeys, kill, killWhenIdle, lift, unsavedReports } from '../../roles/commands/kill.js';
import type { OneShot } from '../../roles/common/oneShot.js';
import { pause } from '../../support/bell.js';
import { UsageError } from '../../support/errors.js';
import { describeHeld, refuseUnconfirmed } from '../losses.js';
import {
  durationOption,
  riskySwitch,
  switchOption,
  wholeOption,
  withCommon,
  withMetrics,
  yesOption,
} from '../options.js';
import { isAgreedTo, say } from '../terminal.js';
import { asOneShot, openWorkbench, stopOnSignals, type Workbench } from '../wire.js';

const defaultIntervalMs = 3_600_000;

export function killCommand(cli: Argv): Argv {
  return cli.command(
    'kill',
    'stop the fleet, now or when nothing is left; clear its Redis keys',
    (yargs) =>
      withMetrics(withCommon(yargs))
        .option('k', switchOption('k', 'pull the kill switch now: roles stop within seconds, running points go back'))
        .option('drain', switchOption('-drain', 'running points finish first'))
        .option('f', wholeOption('-f', 1, 'watch, and pull the switch after so many empty looks in a row'))
        .option('interval', durationOption('--interval', 'time between two looks (60m)'))
        .option('clear', switchOption('-clear', 'lift the switch'))
        .option(
          'r',
          riskySwitch('r', "delete this search's keys from Redis, and only these; asks on a terminal, -r 1 does not"),
        )
        .option('yes', yesOption)
        .alias({ k: 'now', f: 'finished', r: 'reset' })
        .implies({ interval: 'f', yes: 'r' })
        .example('$0 kill -k', 'stop now')
        .example('$0 kill -f 2', 'stop once nothing was left in two looks, an hour apart'),
    async (options) => {
      const asked = [options.k, options.drain, options.f !== undefined, options.clear, options.r].filter(
        Boolean,
      ).length;
      if (asked !== 1) {
        cli.showHelp('error');
        throw new UsageError(`kill wants one of -k, --drain, -f N, --clear, -r; found ${asked === 0 ? 'none' : asked}`);
      }
      const bench = openWorkbench('kill', options);
      if (options.f !== undefined) return watch(bench, options.f, options.interval ?? defaultIntervalMs);
      await asOneShot(bench, async (command) => {
        if (options.r) return deleteAll(command, options.r === 'asks' && !options.yes);
        if (options.clear) await lift(command);
        else await kill(command, options.drain ? 'drain' : 'now');
        say(options.clear ? 'the kill switch is lifted' : 'the kill switch is on');
      });
    },
  );
}

async function watch(bench: Workbench, looks: number, intervalMs: number): Promise<void> {
  const { log, stop } = bench;
  const unhook = stopOnSignals(stop, log, 0);
  const look = async (command: OneShot) => {
    const between = async () => {
      await pause(intervalMs, stop.quiet);
      stop.quiet.throwIfAborted();
    };
    await killWhenIdle(command, looks, between, (seen, inRow) => {
      say(inRow > 0 ? `empty, ${inRow} of ${looks}` : `not empty: ${owned(seen)}`);
    });
    say('nothing is left: the kill switch is on');
  };
  try {
    await asOneShot(bench, look, stop.quiet);
  } finally {
    unhook();
  }
}

/** What owns points, with how many. */
function owned({ lists, leases, batches, waiting }: Look): string {
  const owners: [string, number][] = [
    ...Object.entries(lists),
    ['leases', leases],
    ...Object.entries(batches).map(([list, size]): [string, number] => [`taken from ${list}`, size]),
    ['proposed and not yet admitted', waiting],
  ];
  const named = owners.filter(([, size]) => size > 0).map(([owner, size]) => `${owner} ${size}`);
  return named.join(', ') || 'a rebuild goes on';
}

/** Deletes what Redis holds of the search; says first what that is where somebody is to agree. */
async function deleteAll(command: OneShot, asks: boolean): Promise<void> {
  const loss = asks ? describeHeld(await command.insist(() => look(command.session))) : undefined;
  const question = `This deletes what Redis holds of ${command.search.name}: ${loss}. Rows in SQL stay. Delete it?`;
  if (loss === undefined || (await isAgreedTo(question))) return say(describeDeletion(await deleteKeys(command)));
  refuseUnconfirmed();
}

function describeDeletion({ keys, held }: { keys: number; held: Look }): string {
  const unsaved = unsavedReports(held);
  const results =
    unsaved === 0 ? 'no unsaved result among them' : `${unsaved} results went with them that SQL never got`;
  return `${keys} keys deleted, ${results}`;
}
