import type { Argv } from 'yargs';
import type { PointRow } from '../ledger/ledger.js';
import { retryErrors, start } from '../roles/starter.js';
import { parseNumber } from '../space/decimal.js';
import { latticeSize } from '../space/lattice.js';
import { type Dictionary, NotAPoint, type Parameter, type Point, type Space } from '../space/space.js';
import { UsageError } from '../support/errors.js';
import { ledgerOf } from './ledger.js';
import { withCommon, withMetrics } from './options.js';
import { asOneShot, openWorkbench } from './wire.js';

export function starterCommand(cli: Argv): Argv {
  return cli.command(
    'starter',
    'push the first point, another root, or errored points once more',
    (yargs) =>
      withMetrics(withCommon(yargs))
        .option('point', {
          type: 'string',
          requiresArg: true,
          describe: 'another root: values that differ from the start; the filler is computed',
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
      const root = options.retry === undefined ? rootOf(space, options.point) : undefined;
      const ledger = ledgerOf(bench.config);
      try {
        await asOneShot(bench, async (command) => {
          if (root === undefined) {
            const put = await retryErrors(command, ledger, { kind: options.kind, message: options.message });
            if (put !== 'stopped') say(`${put} errored points are queued again`);
            return;
          }
          say(describeLattice(space));
          for (const warning of beyondBounds(root, bench.config.parameters)) bench.log.warn(warning);
          const outcome = await start(command, ledger, root, { previous: options.previous, wait: options.wait });
          if (outcome === 'pushed') say(`pushed ${root.code}`);
          else if (outcome !== 'stopped') say(describeRow(outcome));
        });
      } finally {
        await ledger.close();
      }
    },
  );
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function describeLattice(space: Space): string {
  const { points, exact } = latticeSize(space);
  if (points === Number.POSITIVE_INFINITY) return 'the lattice has no end: some parameter has steps, but no max';
  return `the lattice has ${exact ? '' : 'at most '}${points.toLocaleString('en')} points`;
}

/** As `rootOf`, or the point of a parameter code. */
export function pointNamed(space: Space, text: string | undefined): Point {
  if (text === undefined || text.includes('=')) return rootOf(space, text);
  try {
    return space.decode(text);
  } catch (error) {
    if (error instanceof NotAPoint) throw new UsageError(`--point: ${error.message}`);
    throw error;
  }
}

/** The configured start, or the point that `O2=0.51,H2=8.1e-08` names. */
function rootOf(space: Space, text: string | undefined): Point {
  const changes: Dictionary = {};
  for (const part of text === undefined ? [] : text.split(',')) {
    const [, name = '', value = ''] = /^\s*([^=\s]+)\s*=\s*([^=\s]+)\s*$/.exec(part) ?? [];
    const number = parseNumber(value);
    if (number === undefined) throw new UsageError(`--point: found '${part}', wants NAME=NUMBER`);
    if (Object.hasOwn(changes, name)) throw new UsageError(`--point: ${name} stands there twice`);
    changes[name] = number;
  }
  try {
    return space.pointWith(changes);
  } catch (error) {
    if (error instanceof NotAPoint) throw new UsageError(`--point: ${error.message}`);
    throw error;
  }
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
