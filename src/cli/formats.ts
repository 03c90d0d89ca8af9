import {
  type BasicType,
  ByteWriter,
  type ColumnSource,
  ParquetWriter,
  type SchemaElement,
  schemaFromColumnData,
} from 'hyparquet-writer';
import type { FullRow } from '../ledger/reader.js';
import { formatNumber } from '../space/decimal.js';

export const exportFormats = ['csv', 'jsonl', 'parquet'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** What is said of an exported search beside its rows. */
export interface ExportFacts {
  name: string;
  /** What defines the search, as JSON. */
  definition: string;
  version: string;
}

/** One column of an export. */
export interface Column {
  name: string;
  type: 'text' | 'number' | 'whole' | 'flag' | 'time' | 'json';
  unit?: string;
  of(row: FullRow): unknown;
}

/** The table's columns in its own order, with their units. `isMixture`: the parameters are mixing ratios. */
export function exportColumns(parameters: readonly string[], isMixture: boolean): Column[] {
  const column = (name: keyof FullRow, type: Column['type'], unit?: string): Column => ({
    name,
    type,
    ...(unit ? { unit } : {}),
    of: (row) => row[name],
  });
  return [
    column('hash', 'text'),
    column('code', 'text'),
    ...parameters.map((name, index): Column => {
      const unit = isMixture ? { unit: 'volume mixing ratio' } : {};
      return { name, type: 'number', ...unit, of: (row) => row.values[index] };
    }),
    column('previous_hash', 'text'),
    column('depth', 'whole', 'steps from a root'),
    column('state', 'text'),
    column('stable', 'flag'),
    column('attempts', 'whole'),
    column('worker', 'text'),
    column('queued_at', 'time', 'UTC'),
    column('start_time', 'time', 'UTC'),
    column('end_time', 'time', 'UTC'),
    column('run_time', 'number', 's'),
    column('error_kind', 'text'),
    column('error_msg', 'text'),
    column('complete_msg', 'text'),
    column('out_path', 'text'),
    column('temperature', 'number', 'K'),
    column('pressure', 'number', 'bar'),
    column('outputs', 'json'),
  ];
}

export interface Encoding {
  format: ExportFormat;
  /** Texts of a CSV as they are, formulas too. */
  raw: boolean;
}

/** Turns pages of rows into the bytes of a file, one page at a time. */
export function encodeRows(
  { format, raw }: Encoding,
  pages: AsyncIterable<FullRow[]>,
  columns: readonly Column[],
  facts: ExportFacts,
): AsyncGenerator<string | Uint8Array> {
  if (format === 'csv') return csv(pages, columns, raw);
  return format === 'jsonl' ? jsonl(pages, columns) : parquet(pages, columns, facts);
}

/** RFC 4180, but for line ends of one character; numbers as in parameter codes, null as nothing. */
async function* csv(pages: AsyncIterable<FullRow[]>, columns: readonly Column[], raw: boolean): AsyncGenerator<string> {
  yield `${columns.map(({ name }) => name).join(',')}\n`;
  for await (const rows of pages) {
    yield rows.map((row) => `${columns.map((column) => csvField(column, row, raw)).join(',')}\n`).join('');
  }
}

/** What a spreadsheet takes for a formula: a text that begins so, but for the numbers of a code. */
const isFormula = /^(?![-+]?[\d.][-+\d.,e]*$)[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]/;

function csvField({ type, of }: Column, row: FullRow, raw: boolean): string {
  const value = of(row);
  if (value === null || value === undefined) return '';
  if (type === 'number') return formatNumber(value as number);
  const content = type === 'json' ? JSON.stringify(value) : String(value);
  const text = !raw && isFormula.test(content) ? `'${content}` : content;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function* jsonl(pages: AsyncIterable<FullRow[]>, columns: readonly Column[]): AsyncGenerator<string> {
  for await (const rows of pages) {
    yield rows
      .map((row) => `${JSON.stringify(Object.fromEntries(columns.map(({ name, of }) => [name, of(row)])))}\n`)
      .join('');
  }
}

const parquetTypes: Record<Exclude<Column['type'], 'time'>, BasicType> = {
  text: 'STRING',
  number: 'DOUBLE',
  whole: 'INT32',
  flag: 'BOOLEAN',
  json: 'JSON',
};

/** A row group a page. Units and the search's definition stand in the file's metadata. */
async function* parquet(
  pages: AsyncIterable<FullRow[]>,
  columns: readonly Column[],
  { name, definition, version }: ExportFacts,
): AsyncGenerator<Uint8Array> {
  const units = Object.fromEntries(columns.flatMap((column) => (column.unit ? [[column.name, column.unit]] : [])));
  const writer = new ByteWriter();
  const file = new ParquetWriter({
    writer,
    schema: schemaFromColumnData({ columnData: columnData(columns, []), schemaOverrides: timeSchemas(columns) }),
    createdBy: `atmos-fleet ${version}`,
    kvMetadata: [
      { key: 'atmos-fleet.name', value: name },
      { key: 'atmos-fleet.definition', value: definition },
      { key: 'atmos-fleet.units', value: JSON.stringify(units) },
    ],
  });
  for await (const rows of pages) {
    file.write({ columnData: columnData(columns, rows), rowGroupSize: rows.length });
    yield taken(writer);
  }
  file.finish();
  yield withRowGroupList(taken(writer), file.row_groups.length);
}

/** Times are points in time, not times of day wherever the reader is. */
function timeSchemas(columns: readonly Column[]): Record<string, SchemaElement> {
  const element = (name: string): SchemaElement => ({
    ...{ name, type: 'INT64', repetition_type: 'OPTIONAL', converted_type: 'TIMESTAMP_MILLIS' },
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  });
  return Object.fromEntries(columns.filter(({ type }) => type === 'time').map(({ name }) => [name, element(name)]));
}

/**
 * The end of a file of no rows as the writer gives it has a list of row groups whose elements are of no type, which strict
 * readers refuse: they are structs.
 */
function withRowGroupList(end: Uint8Array, rowGroups: number): Uint8Array {
  if (rowGroups > 0) return end;
  // Thrift's compact form: field num_rows, a long of 0; field row_groups, a list of length 0 and type 0; the next field, a list.
  const [list, structs] = [Buffer.of(0x16, 0, 0x19, 0, 0x19), Buffer.of(0x16, 0, 0x19, 0x0c, 0x19)];
  const bytes = Buffer.from(end);
  const at = bytes.indexOf(list);
  if (at < 0) throw new Error('the writer of Parquet has changed: where is the list of row groups?');
  structs.copy(bytes, at);
  return bytes;
}

function columnData(columns: readonly Column[], rows: readonly FullRow[]): ColumnSource[] {
  return columns.map(({ name, type, of }) => {
    const asTime = (row: FullRow) => (of(row) === null ? null : new Date(of(row) as string));
    if (type === 'time') return { name, data: rows.map(asTime) };
    return { name, type: parquetTypes[type], nullable: true, data: rows.map(of) };
  });
}

/** What was written since the last call: the writer keeps its place in the file and forgets the bytes. */
function taken(writer: ByteWriter): Uint8Array {
  const bytes = writer.getBytes().slice();
  writer.index = 0;
  return bytes;
}
