import { extname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Argv } from 'yargs';
import { measuredColumns, type Range, type RowChoice, type RowKind, rowKinds } from '../ledger/reader.js';
import { parseNumber } from '../space/decimal.js';
import { UsageError } from '../support/errors.js';
import { version } from '../support/version.js';
import { type ExportFormat, encodeRows, exportColumns, exportFormats } from './formats.js';
import { withCommon } from './options.js';
import { writeWhole } from './output.js';
import { withReader } from './reader.js';
import { openWorkbench, type Workbench } from './wire.js';

/** Rows in memory at a time, and in a row group of a Parquet file. */
const pageRows = 5000;

export function exportCommand(cli: Argv): Argv {
  return cli.command(
    'export',
    'write the rows to a file: CSV, JSON lines or Parquet',
    (yargs) =>
      withCommon(yargs)
        .option('format', { choices: exportFormats, describe: "what to write (else by the file's ending, else csv)" })
        .option('out', {
          type: 'string',
          requiresArg: true,
          describe: 'the file; it gets its name when it is whole (else standard output)',
        })
        .option('state', {
          type: 'string',
          array: true,
          requiresArg: true,
          describe: `only rows of these kinds: ${rowKinds.join(', ')}`,
        })
        .option('range', {
          type: 'string',
          array: true,
          requiresArg: true,
          describe: 'only rows within it, ends included, e.g. O2=0.1..0.3, temperature=..288, depth=3',
        })
        .example('$0 export --out rows.parquet', 'all rows')
        .example('$0 export --out warm.csv --state stable --range temperature=285..', 'some'),
    async (options) => {
      const bench = openWorkbench('export', options);
      const names = bench.search.space.names;
      const choice = {
        kinds: kindsOf(options.state ?? []),
        ranges: (options.range ?? []).map((text) => rangeOf(text, names)),
      };
      const format = options.format ?? formatOf(options.out);
      if (options.out === undefined && format === 'parquet' && process.stdout.isTTY) {
        throw new UsageError('--out: a Parquet file is nothing for a terminal, wants a file');
      }
      await exportRows(bench, format, choice, options.out);
    },
  );
}

async function exportRows(bench: Workbench, format: ExportFormat, choice: RowChoice, out?: string): Promise<void> {
  const { name, definition, space } = bench.search;
  const columns = exportColumns(space.names, space.filler !== undefined);
  let rows = 0;
  await withReader(bench, async (reader) => {
    const counted = async function* () {
      for await (const page of reader.pages(choice, pageRows)) {
        rows += page.length;
        yield page;
      }
    };
    const bytes = Readable.from(encodeRows(format, counted(), columns, { name, definition, version }));
    await (out === undefined ? pipeline(bytes, process.stdout, { end: false }) : writeWhole(bytes, out));
  });
  if (out !== undefined) process.stdout.write(`${rows} rows in ${out}\n`);
}

function formatOf(out: string | undefined): ExportFormat {
  const ending = extname(out ?? '').slice(1);
  const known = { ndjson: 'jsonl', json: 'jsonl', pq: 'parquet' }[ending] ?? ending;
  return exportFormats.find((format) => format === known) ?? 'csv';
}

function kindsOf(texts: readonly string[]): RowKind[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((text) => {
      const kind = rowKinds.find((known) => known === text.trim());
      if (kind === undefined) throw new UsageError(`--state: found '${text}', wants ${rowKinds.join(', ')}`);
      return kind;
    });
}

/** `O2=0.1..0.3`, `O2=..0.3`, `O2=0.1..` or `O2=0.21`. */
function rangeOf(text: string, parameters: readonly string[]): Range {
  const [name = '', ends = ''] = text.split('=', 2).map((part) => part.trim());
  const known = [...parameters, ...measuredColumns];
  if (!known.includes(name)) throw new UsageError(`--range: found '${text}', wants one of ${known.join(', ')} first`);
  const [low, high] = ends.includes('..') ? ends.split('..', 2) : [ends, ends];
  const [from, to] = [low, high].map((end) => (end ? (parseNumber(end) ?? Number.NaN) : undefined));
  if (Number.isNaN(from) || Number.isNaN(to) || (from ?? to) === undefined) {
    throw new UsageError(
      `--range: found '${text}', wants ${name}=0.1..0.3, ${name}=0.1.., ${name}=..0.3 or ${name}=0.2`,
    );
  }
  return { name, from, to };
}
