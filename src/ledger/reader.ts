import type { Knex } from 'knex';
import { ask, connectDatabase } from './connect.js';
import type { State } from './ledger.js';

/** A whole row, for people and files. */
export interface FullRow {
  hash: string;
  code: string;
  /** In the order of the code. */
  values: number[];
  previous_hash: string | null;
  depth: number;
  state: State;
  stable: boolean | null;
  attempts: number;
  worker: string | null;
  /** ISO 8601, UTC. */
  queued_at: string | null;
  start_time: string | null;
  end_time: string | null;
  /** Seconds. */
  run_time: number | null;
  error_kind: string | null;
  error_msg: string | null;
  complete_msg: string | null;
  out_path: string | null;
  /** K. */
  temperature: number | null;
  /** bar. */
  pressure: number | null;
  outputs: Record<string, number> | null;
}

/** What tells whether a row changed since it was read. */
export interface RowMark {
  hash: string;
  state: State;
  stable: boolean | null;
  attempts: number;
}

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
const hashesAtOnce = 500;

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
    return this.db.destroy();
  }

  /** Rows in the order of their hashes, page by page: whatever the table's size, one page is in memory. */
  async *pages(choice: RowChoice, pageRows: number): AsyncGenerator<FullRow[]> {
    for (let after = ''; ; ) {
      const query = this.db(this.table)
        .select(...plainColumns, ...this.parameters)
        .modify((rows) => limitTo(rows, choice));
      const rows = await ask<RawRow[]>(query.andWhere('hash', '>', after).orderBy('hash').limit(pageRows));
      const last = rows.at(-1);
      if (!last) return;
      yield rows.map((row) => this.tidy(row));
      after = last.hash;
    }
  }

  /** The marks of the rows that follow a hash, and nothing else of them. */
  async marks(after: string, most: number): Promise<RowMark[]> {
    const query = this.db(this.table).select('hash', 'state', 'stable', 'attempts');
    const rows = await ask<RowMark[]>(query.where('hash', '>', after).orderBy('hash').limit(most));
    return rows.map((row) => ({ ...row, stable: row.stable === null ? null : Boolean(row.stable) }));
  }

  /** The whole rows of these points, as many as there are. */
  async find(hashes: readonly string[]): Promise<FullRow[]> {
    const found: FullRow[] = [];
    for (let from = 0; from < hashes.length; from += hashesAtOnce) {
      const some = hashes.slice(from, from + hashesAtOnce);
      const rows = await ask<RawRow[]>(
        this.db(this.table)
          .select(...plainColumns, ...this.parameters)
          .whereIn('hash', some),
      );
      found.push(...rows.map((row) => this.tidy(row)));
    }
    return found;
  }

  private tidy(row: RawRow): FullRow {
    const values = this.parameters.map((name) => Number(row[name]));
    const plain = Object.fromEntries(plainColumns.map((name) => [name, row[name]])) as unknown as FullRow;
    return {
      ...plain,
      values,
      stable: row.stable === null ? null : Boolean(row.stable),
      queued_at: isoOf(row.queued_at),
      start_time: isoOf(row.start_time),
      end_time: isoOf(row.end_time),
      outputs: typeof row.outputs === 'string' ? JSON.parse(row.outputs) : row.outputs,
    };
  }
}

interface RawRow extends Omit<FullRow, 'values' | 'stable' | 'outputs'> {
  stable: number | boolean | null;
  /** MySQL parses it, MariaDB and SQLite keep the text. */
  outputs: string | Record<string, number> | null;
  [parameter: string]: unknown;
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
