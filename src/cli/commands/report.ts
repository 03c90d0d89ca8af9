import { Readable } from 'node:stream';
import { stringify } from 'yaml';
import type { Argv } from 'yargs';
import type { Config } from '../../config/config.js';
import { snapshotOf } from '../../dashboard/dashboard.js';
import { Follower } from '../../dashboard/follower.js';
import { renderReport, reportContent } from '../../dashboard/report.js';
import { UsageError } from '../../support/errors.js';
import { describeLattice } from '../lattice.js';
import { withCommon } from '../options.js';
import { endingOf, writeWhole } from '../output.js';
import { withReader } from '../reader.js';
import { say } from '../terminal.js';
import { openWorkbench, type Workbench } from '../wire.js';

export function reportCommand(cli: Argv): Argv {
  return cli.command(
    'report',
    'write one HTML file to mail: maps of the stable region, counts, errors, the configuration',
    (yargs) =>
      withCommon(yargs)
        .option('out', { type: 'string', requiresArg: true, demandOption: true, describe: 'the file' })
        .example('$0 report --out report.html', 'opens in any browser, without a network'),
    async (options) => {
      if (!/^html?$/.test(endingOf(options.out))) {
        throw new UsageError(`--out: ${options.out} would hold HTML, wants a name that ends in .html`);
      }
      const { maps, points } = await writeReport(openWorkbench('report', options), options.out);
      say(`${options.out}: ${maps} maps of ${points.toLocaleString('en')} points`);
    },
  );
}

/** Writes the report of a search; answers how many maps and points it shows. */
export async function writeReport(bench: Workbench, file: string): Promise<{ maps: number; points: number }> {
  const { search, log } = bench;
  const content = await withReader(bench, async (reader) => {
    const follower = new Follower(
      reader,
      () => snapshotOf(search),
      async () => undefined,
      log,
    );
    await follower.pass();
    return reportContent(follower.snapshot, {
      name: search.name,
      lattice: describeLattice(search.space),
      configuration: configurationText(bench.config),
      stepped: search.space.axes.filter(({ steps }) => steps).map(({ name }) => name),
    });
  });
  await writeWhole(Readable.from([renderReport(content)]), file, bench);
  const points = Object.values(content.counts).reduce((total, count) => total + count, 0);
  return { maps: content.maps.length, points };
}

/** What defines the search and its runs; where its services are is nobody's business. */
function configurationText(config: Config): string {
  const { redis: _, database, artifacts: __, folder: ___, parameters, name, ...rest } = config;
  const block = Object.fromEntries(parameters.map(({ name, ...entry }) => [name, entry]));
  return stringify({ name, parameters: block, ...rest, database: { table: database.table } });
}
