import { once } from 'node:events';
import type { Argv } from 'yargs';
import { createArtifactStore } from '../../artifacts/index.js';
import type { ArtifactStore } from '../../artifacts/store.js';
import { UsageError } from '../../support/errors.js';
import { oneLine, printable } from '../../support/text.js';
import { findPoint } from '../../view/point.js';
import { describeRow } from '../../view/sight.js';
import { pointGrammar, withCommon } from '../options.js';
import { withReader } from '../reader.js';
import { say } from '../terminal.js';
import { openWorkbench } from '../wire.js';

/** What the simulators call the output of their programs: fleet_log.txt, Photo_log.txt, Clima_log.txt. */
const isLog = /(^|\/)\w+_log\.txt$/;
/** Of a run with more files, these are looked through for logs. */
const maxFiles = 100_000;

export function logsCommand(cli: Argv): Argv {
  return cli.command(
    'logs',
    'show what the run of a point said: its message and the output of its programs',
    (yargs) =>
      withCommon(yargs)
        .option('point', { type: 'string', requiresArg: true, demandOption: true, describe: pointGrammar })
        .example('$0 logs --point 898af16dad7e00a834f2a63b66419f02', 'why did it fail?'),
    async (options) => {
      const bench = openWorkbench('logs', options);
      const { config, search } = bench;
      const { row } = await withReader(bench, (reader) => findPoint(reader, search.space, options.point));
      if (!row) throw new UsageError(`--point: the search has not met ${options.point}`);
      const { state, facts } = describeRow(row);
      const message = facts.filter(([name]) => name === 'message' || name === 'error kind' || name === 'error message');
      say([`${row.hash}: ${state}`, ...message.map(([name, text]) => `${name}: ${text}`)].join('\n'));
      const store = await createArtifactStore(config.artifacts.url, config.name);
      try {
        const outPath = row.out_path;
        const files = outPath === null ? undefined : await store.list(outPath, maxFiles);
        for (const { path } of (files ?? []).filter(({ path }) => isLog.test(path))) {
          await showLog(store, outPath ?? '', path);
        }
        if (!files)
          say(row.out_path === null ? 'its run left no files' : `its files are not in ${config.artifacts.url}`);
      } finally {
        await store.close();
      }
    },
  );
}

/** Piece by piece: a program may have written more than memory holds. */
async function showLog(store: ArtifactStore, outPath: string, path: string): Promise<void> {
  const file = await store.open(outPath, path);
  if (!file) return;
  say(`\n--- ${oneLine(path)}`);
  file.content.setEncoding('utf8');
  for await (const piece of file.content) {
    if (!process.stdout.write(printable(piece as string))) await once(process.stdout, 'drain');
  }
  say('');
}
