import type { Argv } from 'yargs';
import type { PointRow } from '../../ledger/ledger.js';
import { retryErrors, start } from '../../roles/commands/starter.js';
import type { Parameter, Point } from '../../space/space.js';
import { describeLattice, searchWarnings } from '../lattice.js';
import { ledgerOf } from '../ledger.js';
import { pointGrammar, withCommon, withMetrics } from '../options.js';
import { pointFor } from '../reader.js';
import { say } from '../terminal.js';
import { asOneShot, openWorkbench } from '../wire.js';

export function starterCommand(cli: Argv): Argv {
  return cli.command(
    'starter',
    'push the first point, another root, or errored points once more',
    (yargs) =>
      withMetrics(withCommon(yargs))
        .option('point', {
          type: 'string',
          requiresArg: true,
          describe: `another root: ${pointGrammar}`,
        })
        .option('previous', {
          type: 'string',
          requiresArg: true,
          describe: 'hash of the point whose solution the root starts from',
        })
        .option('wait', {
          type: 'boolean',
          default: true,
          describe: 'wait until the point has its row; --no-wait: do not',
        })
        .option('retry', {
          choices: ['errors'] as const,
          requiresArg: true,
          describe: 'put errored points back, with a fresh allowance of attempts',
        })
        .option('kind', {
          choices: ['program', 'timeout', 'poison'] as const,
          describe: 'with --retry: only errors of this kind',
        })
        .option('message', {
          type: 'string',
          requiresArg: true,
          describe: 'with --retry: only errors whose message contains this',
        })
        .conflicts('retry', ['point', 'previous'])
        .implies('kind', 'retry')
        .implies('message', 'retry')
        .example('$0 starter', 'push the configured first point')
        .example("$0 starter --point 'O2=0.51,H2=8.1e-08'", 'push another root')
        .example('$0 starter --retry errors --kind timeout', 'run again what timed out'),
    async (options) => {
      const bench = openWorkbench('starter', options);
      const { space } = bench.search;
      const root = options.retry === undefined ? await pointFor(bench, options.point) : undefined;
      const ledger = ledgerOf(bench.config);
      try {
        await asOneShot(bench, async (command) => {
          if (root === undefined) {
            const put = await retryErrors(command, ledger, { kind: options.kind, message: options.message });
            say(`${put} errored points are queued again`);
            return;
          }
          say(describeLattice(space));
          const warnings = [...searchWarnings(bench), ...beyondBounds(root, bench.config.parameters)];
          for (const warning of warnings) bench.log.warn(warning);
          const outcome = await start(command, ledger, root, { previous: options.previous, wait: options.wait });
          if (outcome === 'pushed') say(`pushed ${root.code}`);
          else say(describeRow(outcome));
        });
      } finally {
        await ledger.close();
      }
    },
  );
}

/** Bounds limit what is proposed, not where a root may stand. */
function beyondBounds(point: Point, parameters: readonly Parameter[]): string[] {
  return parameters.flatMap(({ name, min, max }) => {
    const value = point.dictionary[name] as number;
    if (max !== undefined && value > max) return [`${name} ${value} is over its max ${max}: neighbours keep it so`];
    if (min !== undefined && value < min) return [`${name} ${value} is under its min ${min}: neighbours keep it so`];
    return [];
  });
}

function describeRow({ hash, code, state, stable }: PointRow): string {
  const verdict = state === 'completed' ? `, ${stable ? 'stable' : 'unstable'}` : '';
  return `${hash} ${code}: ${state}${verdict}`;
}
