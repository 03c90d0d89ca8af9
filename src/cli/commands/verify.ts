import type { Argv } from 'yargs';
import { type Problem, type Verdict, verify } from '../../audit/verify.js';
import { refuseOther } from '../../roles/common/table.js';
import { Patience } from '../../support/patience.js';
import { ledgerOf } from '../ledger.js';
import { switchOption, wholeOption, withCommon } from '../options.js';
import { say, sayJson } from '../terminal.js';
import { openWorkbench } from '../wire.js';

const patienceMs = 10_000;
const namedByDefault = 100;

export function verifyCommand(cli: Argv): Argv {
  return cli.command(
    'verify',
    'prove from SQL alone that the search is complete, or name what is wrong',
    (yargs) =>
      withCommon(yargs)
        .option('json', switchOption('-json', 'one JSON object a problem, then one for the whole'))
        .option('most', wholeOption('--most', 0, `problems that are named (${namedByDefault}; with --json: all)`))
        .option('allow-errors', switchOption('-allow-errors', 'status 0 also where points are errors'))
        .example('$0 verify', 'status 0: complete; 1: not (yet), or some points are errors'),
    async (options) => {
      const { config, search, log } = openWorkbench('verify', options);
      const ledger = ledgerOf(config);
      const most = options.most ?? (options.json ? Number.POSITIVE_INFINITY : namedByDefault);
      let named = 0;
      const name = (problem: Problem) => {
        if (named++ >= most) return;
        if (options.json) sayJson(problem);
        else say(`${problem.kind}: ${problem.text}`);
      };
      try {
        const patience = new Patience(log, patienceMs);
        refuseOther(search, await patience.insist(() => ledger.open()));
        const verdict = await verify(ledger, search.space, search.maxPoints, name);
        if (named > most) say(`… and ${named - most} more`);
        if (options.json) sayJson({ verdict });
        else say(describe(verdict));
        if (!(options.allowErrors ? verdict.completeUpToErrors : verdict.complete)) process.exitCode = 1;
      } finally {
        await ledger.close();
      }
    },
  );
}

function describe(verdict: Verdict): string {
  const { rows, stable, unstable, errors, roots, problems, beyondMaxPoints } = verdict;
  const wrong = Object.entries(problems).filter(([, count]) => count > 0);
  const lines = [
    `${rows} points: ${stable} stable, ${unstable} unstable, ${errors} errors; ${roots} roots`,
    ...wrong.map(([kind, count]) => `${kind}: ${count}`),
    ...(beyondMaxPoints > 0 ? [`incomplete: maxPoints kept ${beyondMaxPoints} points out`] : []),
    conclusionOf(verdict),
  ];
  return lines.join('\n');
}

function conclusionOf({ complete, completeUpToErrors, errors }: Verdict): string {
  if (complete) return 'complete: every neighbour of every stable point is there and settled';
  if (!completeUpToErrors) return 'NOT complete';
  const are = errors === 1 ? '1 point is an error' : `${errors} points are errors`;
  return `complete, but ${are}: what lies beyond ${errors === 1 ? 'it' : 'them'} was not explored`;
}
