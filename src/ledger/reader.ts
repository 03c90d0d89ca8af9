import type { Knex } from 'knex';
import { ask, connectDatabase, disconnect } from './connect.js';
import type { SettledRow, State } from './ledger.js';

/** A whole row, for people and files. */
export interface FullRow extends Omit<SettledRow, 'state'> {
  state: State;
  /** In the order of the code. */
  values: number[];
  /** ISO 8601, UTC. */
  queued_at: string | null;
}

/** What tells whether a row changed since it was read. */
export interface RowMark {
  hash: string;
  state: State;
  stable: boolean | null;
  attempts: number;
}

/** What a map of the search needs of a row. */
export type MappedRow = Pick<FullRow, (typeof mappedColumns)[number] | 'values'>;

/** Both ends belong to the range. */
export interface Range {
  name: string;
  from?: number | undefined;
  to?: number | undefined;
}

/** Which rows: of any of the kinds, and within every range. */
export interface RowChoice {
  kinds?: readonly RowKind[] | undefined;
  ranges?: readonly Range[] | undefined;
}

export const rowKinds = ['queue', 'running', 'error', 'completed', 'stable', 'unstable'] as const;
/** A state, or a completed row's verdict. */
export type RowKind = (typeof rowKinds)[number];

/** Columns beside the parameters that ranges may limit. */
export const measuredColumns = ['temperature', 'pressure', 'run_time', 'depth', 'attempts'] as const;

const plainColumns = [
  ...['hash', 'code', 'previous_hash', 'depth', 'state', 'stable', 'attempts', 'worker'],
  ...['queued_at', 'start_time', 'end_time', 'run_time', 'error_kind', 'error_msg', 'complete_msg', 'out_path'],
  ...['temperature', 'pressure', 'outputs'],
];
const mappedColumns = [
  ...(['hash', 'depth', 'state', 'stable', 'attempts', 'run_time', 'error_kind', 'error_msg'] as const),
  ...(['temperature', 'pressure', 'outputs'] as const),
] as const;
/** Of an error's message, a map shows this much. */
const mappedMessage = 300;
const hashesAtOnce = 500;
/** Columns that may be long. */
const textColumns = ['outputs', 'error_msg', 'complete_msg'];
/** The texts of a page's rows; a single row may be longer. */
const maxPageBytes = 4 << 20;

/** Reads rows for people: exports, reports, the dashboard. No role that serves the search reads through it. */
export class Reader {
  private readonly db: Knex;

  constructor(
    url: string,
    private readonly table: string,
    private readonly parameters: readonly string[],
  ) {
    this.db = connectDatabase(url);
  }

  close(): Promise<void> {
    return disconnect(this.db);
  }

  /**
   * Rows in the order of their hashes, page by page: one page is in memory, of at most `pageRows` rows and some MiB, and of at
   * least one row.
   */
  async *pages(choice: RowChoice, pageRows: number): AsyncGenerator<FullRow[]> {
    const after = (hash: string) =>
      this.db(this.table)
        .modify((rows) => limitTo(rows, choice))
        .andWhere('hash', '>', hash)
        .orderBy('hash');
    for (let last = ''; ; ) {
      const bytes = this.db.raw(`${textColumns.map((name) => `coalesce(length(${name}), 0)`).join(' + ')} as bytes`);
      const sizes = await ask<RowSize[]>(after(last).select('hash', bytes).limit(pageRows));
      const end = lastWithin(sizes, maxPageBytes);
      if (end === undefined) return;
      const page = after(last).andWhere('hash', '<=', end);
      const rows = await ask<RawRow[]>(page.select(...plainColumns, ...this.parameters));
      yield rows.map((row) => this.tidy(row));
      last = end;
    }
  }

  /** The marks of the rows that follow a hash, and nothing else of them. */
  async marks(after: string, most: number): Promise<RowMark[]> {
    return this.readMarks((rows) => rows.where('hash', '>', after).orderBy('hash').limit(most));
  }

  /** The rows that follow a hash, as a map needs them. */
  async mapped(after: string, most: number): Promise<MappedRow[]> {
    const rows = await ask<RawRow[]>(this.selectMapped().where('hash', '>', after).orderBy('hash').limit(most));
    return rows.map((row) => this.tidyMapped(row));
  }

  /** The rows of these points, as a map needs them. */
  async findMapped(hashes: readonly string[]): Promise<MappedRow[]> {
    const rows = await inChunks(hashes, (some) => ask<RawRow[]>(this.selectMapped().whereIn('hash', [...some])));
    return rows.map((row) => this.tidyMapped(row));
  }

  /** The marks of these points, as many as have a row. */
  findMarks(hashes: readonly string[]): Promise<RowMark[]> {
    return inChunks(hashes, (some) => this.readMarks((rows) => rows.whereIn('hash', [...some])));
  }

  /** The whole rows of these points, as many as there are. */
  async find(hashes: readonly string[]): Promise<FullRow[]> {
    const select = () => this.db(this.table).select(...plainColumns, ...this.parameters);
    const rows = await inChunks(hashes, (some) => ask<RawRow[]>(select().whereIn('hash', [...some])));
    return rows.map((row) => this.tidy(row));
  }

  private async readMarks(choose: (rows: Knex.QueryBuilder) => Knex.QueryBuilder): Promise<RowMark[]> {
    const query = this.db(this.table).select('hash', 'state', 'stable', 'attempts');
    const marks = await ask<RowMark[]>(choose(query));
    return marks.map((mark) => ({ ...mark, stable: flagOf(mark.stable) }));
  }

  private selectMapped() {
    const columns = mappedColumns.filter((name) => name !== 'error_msg');
    const message = this.db.raw('substr(error_msg, 1, ?) as error_msg', [mappedMessage]);
    return this.db(this.table).select(...columns, message, ...this.parameters);
  }

  private tidyMapped(row: RawRow): MappedRow {
    const plain = Object.fromEntries(mappedColumns.map((name) => [name, row[name]])) as unknown as MappedRow;
    return { ...plain, values: this.valuesOf(row), stable: flagOf(row.stable), outputs: objectOf(row.outputs) };
  }

  private valuesOf(row: RawRow): number[] {
    return this.parameters.map((name) => Number(row[name]));
  }

  private tidy(row: RawRow): FullRow {
    const plain = Object.fromEntries(plainColumns.map((name) => [name, row[name]])) as unknown as FullRow;
    return {
      ...plain,
      values: this.valuesOf(row),
      stable: flagOf(row.stable),
      queued_at: isoOf(row.queued_at),
      start_time: isoOf(row.start_time),
      end_time: isoOf(row.end_time),
      outputs: objectOf(row.outputs),
    };
  }
}

interface RawRow extends Omit<FullRow, 'values' | 'stable' | 'outputs'> {
  stable: number | boolean | null;
  /** MySQL parses it, MariaDB and SQLite keep the text. */
  outputs: string | Record<string, number> | null;
  [parameter: string]: unknown;
}

interface RowSize {
  hash: string;
  bytes: number;
}

/** The hash of the last of these rows that are together within the limit; the first one always is. Undefined: there are none. */
function lastWithin(sizes: readonly RowSize[], maxBytes: number): string | undefined {
  let total = 0;
  let last: string | undefined;
  for (const { hash, bytes } of sizes) {
    total += Number(bytes);
    if (last !== undefined && total > maxBytes) break;
    last = hash;
  }
  return last;
}

async function inChunks<T>(hashes: readonly string[], read: (some: readonly string[]) => Promise<T[]>): Promise<T[]> {
  const found: T[] = [];
  for (let from = 0; from < hashes.length; from += hashesAtOnce) {
    found.push(...(await read(hashes.slice(from, from + hashesAtOnce))));
  }
  return found;
}

function flagOf(value: unknown): boolean | null {
  return value === null ? null : Boolean(value);
}

function objectOf(outputs: RawRow['outputs']): Record<string, number> | null {
  return typeof outputs === 'string' ? JSON.parse(outputs) : outputs;
}

function limitTo(query: Knex.QueryBuilder, { kinds, ranges }: RowChoice): void {
  if (kinds && kinds.length > 0) {
    query.andWhere((any) => {
      for (const kind of kinds) {
        const verdict = kind === 'stable' || kind === 'unstable';
        any.orWhere(verdict ? { state: 'completed', stable: kind === 'stable' } : { state: kind });
      }
    });
  }
  for (const { name, from, to } of ranges ?? []) {
    if (from !== undefined) query.andWhere(name, '>=', from);
    if (to !== undefined) query.andWhere(name, '<=', to);
  }
}

/** SQL's `2026-01-31 12:00:00.000`, UTC, as ISO 8601. */
function isoOf(time: string | null): string | null {
  return time === null ? null : `${time.replace(' ', 'T')}Z`;
}
