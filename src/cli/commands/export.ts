import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Argv } from 'yargs';
import { measuredColumns, type Range, type RowChoice, type RowKind, rowKinds } from '../../ledger/reader.js';
import { parseNumber } from '../../space/decimal.js';
import { UsageError } from '../../support/errors.js';
import { printable } from '../../support/text.js';
import { version } from '../../support/version.js';
import { type Encoding, type ExportFormat, encodeRows, exportColumns, exportFormats } from '../formats.js';
import { withCommon } from '../options.js';
import { endingOf, writeWhole } from '../output.js';
import { withReader } from '../reader.js';
import { say } from '../terminal.js';
import { openWorkbench, type Workbench } from '../wire.js';

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
        .option('raw', {
          type: 'boolean',
          default: false,
          describe: 'CSV: no apostrophe before a text that a spreadsheet would take for a formula',
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
      const format = formatFor(options.format, options.out);
      if (options.out === undefined && format === 'parquet' && process.stdout.isTTY) {
        throw new UsageError('--out: a Parquet file is nothing for a terminal, wants a file');
      }
      await exportRows(bench, { format, raw: options.raw }, choice, options.out);
    },
  );
}

async function exportRows(bench: Workbench, encoding: Encoding, choice: RowChoice, out?: string): Promise<void> {
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
    const bytes = Readable.from(encodeRows(encoding, counted(), columns, { name, definition, version }));
    await (out === undefined ? toStandardOutput(bytes) : writeWhole(bytes, out, bench));
  });
  if (out !== undefined) say(`${rows} rows in ${out}`);
}

const endings: Record<string, ExportFormat> = { ndjson: 'jsonl', json: 'jsonl', pq: 'parquet' };

/** The format that was asked for, or that the file's ending names; they must not contradict each other. */
function formatFor(asked: ExportFormat | undefined, out: string | undefined): ExportFormat {
  if (out === undefined) return asked ?? 'csv';
  const ending = endingOf(out);
  const named = exportFormats.find((format) => format === ending) ?? endings[ending];
  if (asked !== undefined && named !== undefined && asked !== named) {
    throw new UsageError(`--format: found ${asked}, but ${out} ends as ${named} does`);
  }
  const format = asked ?? named;
  if (format !== undefined) return format;
  const known = [...exportFormats, ...Object.keys(endings)].map((name) => `.${name}`).join(', ');
  throw new UsageError(`--out: ${out} does not say the format: expected a name that ends in ${known}, or --format`);
}

/** A terminal gets the text without what it would obey. */
async function toStandardOutput(bytes: Readable): Promise<void> {
  if (!process.stdout.isTTY) return pipeline(bytes, process.stdout, { end: false });
  for await (const part of bytes) process.stdout.write(printable(String(part)));
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
