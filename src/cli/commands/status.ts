import type { Argv } from 'yargs';
import type { Ledger } from '../../ledger/ledger.js';
import type { OneShot } from '../../roles/common/oneShot.js';
import { pause } from '../../support/bell.js';
import { oneLine } from '../../support/text.js';
import { lookAtPoint } from '../../view/point.js';
import { goesOn } from '../../view/standing.js';
import { type Status, status } from '../../view/status.js';
import { ledgerOf } from '../ledger.js';
import { durationOption, pointGrammar, switchOption, withCommon } from '../options.js';
import { progressLine, RateMeter } from '../progress.js';
import { withReader } from '../reader.js';
import { describePoint } from '../sight.js';
import { endProgress, say, sayJson, sayProgress } from '../terminal.js';
import { asOneShot, openWorkbench, stopOnSignals, type Workbench } from '../wire.js';

const defaultWatchMs = 1000;

export function statusCommand(cli: Argv): Argv {
  return cli.command(
    'status',
    'how far the search is: points by state, lists, workers',
    (yargs) =>
      withCommon(yargs)
        .option('json', switchOption('-json', 'one JSON object, for machines'))
        .option('watch', switchOption('-watch', 'a live line until the search is over'))
        .option('interval', durationOption('--interval', 'with --watch: time between two looks (1s)'))
        .option('point', {
          type: 'string',
          requiresArg: true,
          describe: `its row, the points that led to it, its neighbours: ${pointGrammar}`,
        })
        .conflicts('point', ['watch', 'interval'])
        .example('$0 status --json', '{"name":…,"states":{…},"done":false}')
        .example('$0 status --watch', 'until it is over; Ctrl-C ends the watching alone'),
    async (options) => {
      const bench = openWorkbench('status', options);
      if (options.point !== undefined) return showPoint(bench, options.point, options.json === true);
      const ledger = ledgerOf(bench.config);
      try {
        await asOneShot(bench, async (command) => {
          if (options.watch) return watch(bench, command, ledger, options.interval ?? defaultWatchMs);
          const now = await status(command, ledger);
          if (options.json) sayJson(now);
          else say(describe(now));
        });
      } finally {
        await ledger.close();
      }
    },
  );
}

async function showPoint(bench: Workbench, name: string, asJson: boolean): Promise<void> {
  const { space } = bench.search;
  const sight = await withReader(bench, (reader) => lookAtPoint(reader, space, name));
  if (asJson) sayJson(sight);
  else say(describePoint(sight, space.names));
}

async function watch({ stop, log }: Workbench, command: OneShot, ledger: Ledger, everyMs: number): Promise<void> {
  const unhook = stopOnSignals(stop, log, 0);
  const rate = new RateMeter();
  for (;;) {
    const now = await status(command, ledger);
    sayProgress([progressLine(now, rate.of(now)), ...(isPlain(now) ? [] : [now.standing])].join(' · '));
    if (now.done || stop.quiet.aborted) break;
    await pause(everyMs, stop.quiet);
  }
  endProgress();
  unhook();
}

/** Whether the line of progress says all there is to say. */
function isPlain({ done, killed, standing }: Status): boolean {
  return done || killed || standing === goesOn;
}

function describe(now: Status): string {
  const { states, stable, unstable, lists } = now;
  const lines = [
    `${now.name}: ${now.standing}`,
    '',
    `points      ${states.queue + states.running + states.error + states.completed}`,
    `  queue     ${states.queue}`,
    `  running   ${states.running}`,
    `  completed ${states.completed} (${stable} stable, ${unstable} unstable)`,
    `  error     ${states.error}`,
    `in Redis    ${now.leases} leased, ${now.batches} in batches`,
    ...Object.entries(lists).map(([list, length]) => `  ${list.padEnd(16)}${length}`),
    `workers     ${now.workers}`,
    ...now.roles.map(({ id, role, silentMs, slots, busy = 0, benched }) => {
      const work = slots === undefined ? '' : `, ${busy} of ${slots} slots busy`;
      const bench = benched === undefined ? '' : `, BENCHED: ${oneLine(benched)}`;
      return `  ${oneLine(`${role} ${id}`)}: last seen ${(silentMs / 1000).toFixed(1)} s ago${work}${bench}`;
    }),
    ...(now.dropped > 0 ? [`maxPoints kept proposals out (${now.dropped} times)`] : []),
    ...Object.entries(now.foreign).map(([key, count]) => `set aside, as meant for another table: ${count} in ${key}`),
    ...now.damage.map((damage) => `Redis lost something, a master will mend it: ${oneLine(damage)}`),
  ];
  return lines.join('\n');
}
