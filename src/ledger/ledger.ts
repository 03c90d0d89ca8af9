import type { Knex } from 'knex';
import { isoNow } from '../support/clock.js';
import { Unavailable, UsageError } from '../support/errors.js';
import { ask, connectDatabase } from './connect.js';
import { literal, type SqlValue } from './literals.js';
import type { Counts, ErrorChoice, NewRow, PointRow, RawRow, RunningRow, SettledRow, State } from './rows.js';
import { addLaterColumns, createMetaTable, createPointTable, schemaVersion } from './schema.js';

export type * from './rows.js';

/** Rows read at once: more would not be quicker, and their garbage would outweigh what a pass over a million rows keeps. */
const page = 1000;
const statementRows = 100;
const longestText = 60_000;
/** Characters of rows in one statement; MySQL's smallest usual limit is 16 MiB, MariaDB's too. */
const longestStatement = 4_000_000;

const resultColumns = [
  'stable',
  'worker',
  'start_time',
  'end_time',
  'run_time',
  'error_kind',
  'error_msg',
  'complete_msg',
  'out_path',
  'temperature',
  'pressure',
  'outputs',
  'attempts',
] as const;

/** The search's rows in SQL: one a point, each written by guarded, repeatable statements. */
export class Ledger {
  private readonly db: Knex;
  private readonly mysql: boolean;
  private readonly meta: string;

  constructor(
    url: string,
    private readonly table: string,
    /** Names of the parameters, in the order of the code. */
    private readonly parameters: readonly string[],
  ) {
    this.db = connectDatabase(url);
    this.mysql = this.db.client.config.client === 'mysql2';
    this.meta = `${table}_meta`;
  }

  close(): Promise<void> {
    return this.db.destroy();
  }

  /**
   * Creates the tables where they are absent, and brings those of an older version up to date. The facts come first, so that a
   * table without them is somebody else's.
   */
  async create(fingerprint: string): Promise<void> {
    // One after the other: asked at once, another client that creates both could show the second without the first.
    if ((await this.hasTable(this.table)) && !(await this.hasTable(this.meta))) throw this.foreign();
    await createMetaTable(this.db, this.meta);
    await this.writeFact('schema_version', String(schemaVersion), 'keep');
    await this.writeFact('fingerprint', fingerprint, 'keep');
    await createPointTable(this.db, this.table, this.parameters);
    const version = (await this.readFact('schema_version')) as string;
    if (Number(version) < schemaVersion) await this.update(version, fingerprint);
  }

  private async update(from: string, fingerprint: string): Promise<void> {
    if ((await this.readFact('fingerprint')) !== fingerprint) {
      throw new UsageError(`table ${this.table} is of another search: name another in database.table`);
    }
    await addLaterColumns(this.db, this.table);
    const version = this.db(this.meta).where({ name: 'schema_version', value: from });
    await ask(version.update({ value: String(schemaVersion) }));
  }

  /** Drops the tables, results and all. */
  async drop(): Promise<void> {
    if ((await this.hasTable(this.table)) && !(await this.hasTable(this.meta))) throw this.foreign();
    await ask(this.db.schema.dropTableIfExists(this.table));
    await ask(this.db.schema.dropTableIfExists(this.meta));
  }

  /** The fingerprint of the search that the table holds. `Unavailable` while there is no table. */
  async fingerprint(): Promise<string> {
    if (!(await this.hasTable(this.table))) {
      throw new Unavailable(`table ${this.table} is not there yet; sql-client -c creates it`);
    }
    if (!(await this.hasTable(this.meta))) throw this.foreign();
    const version = Number(await this.readFact('schema_version'));
    if (version > schemaVersion) {
      throw new UsageError(
        `table ${this.table} has schema version ${version}, this program knows ${schemaVersion}: update it`,
      );
    }
    const fingerprint = await this.readFact('fingerprint');
    if (fingerprint === undefined) throw new Unavailable(`table ${this.table} is being created`);
    if (version < schemaVersion) {
      throw new Unavailable(
        `table ${this.table} has schema version ${version}, this program wants ${schemaVersion}; sql-client -c brings it up to date`,
      );
    }
    return fingerprint;
  }

  async generation(): Promise<string | undefined> {
    return this.readFact('generation');
  }

  async setGeneration(generation: string): Promise<void> {
    await this.writeFact('generation', generation, 'replace');
  }

  /** Enters points as queued; those that have a row are left as they are. */
  async insertQueued(rows: readonly NewRow[]): Promise<void> {
    if (rows.length === 0) return;
    const now = timeOf(isoNow());
    const columns = ['hash', 'code', ...this.parameters, 'previous_hash', 'depth', 'state', 'queued_at', 'start_time'];
    const values = rows.map((row) => [...this.identity(row), 'queue', now, now]);
    // Not `insert ignore`: that would swallow errors in the data too.
    await this.insert(columns, values, `${this.onDuplicate} hash = ${this.incoming('hash')}`);
  }

  /**
   * Writes how points ended. Only a live row changes, and only by a run not older than what it tells; a report for an absent
   * row inserts it.
   */
  async settle(rows: readonly SettledRow[]): Promise<void> {
    if (rows.length === 0) return;
    const now = timeOf(isoNow());
    const columns = [
      'hash',
      'code',
      ...this.parameters,
      'previous_hash',
      'depth',
      'queued_at',
      ...resultColumns,
      'state',
    ];
    const values = rows.map((row) => [...this.identity(row), now, ...this.results(row), row.state]);
    const table = this.quoted(this.table);
    const newer = `${table}.state in ('queue', 'running') and ${table}.attempts <= ${this.incoming('attempts')}`;
    // MySQL assigns from left to right, and the guard reads the row: so attempts, which keeps it true, then state, come last.
    const updates = [...resultColumns, 'state'].map(
      (column) => `${column} = case when ${newer} then ${this.incoming(column)} else ${table}.${column} end`,
    );
    await this.insert(columns, values, `${this.onDuplicate} ${updates.join(', ')}`);
  }

  /** Tells live rows that their runs began. */
  async markRunning(rows: readonly RunningRow[]): Promise<void> {
    for (let from = 0; from < rows.length; from += statementRows) {
      const some = rows.slice(from, from + statementRows);
      const byHash = (of: (row: RunningRow) => SqlValue) =>
        `case hash ${some.map((row) => `when '${row.hash}' then ${this.literal(of(row))}`).join(' ')} end`;
      const attempts = byHash((row) => row.attempts);
      await this.write(
        `update ${this.quoted(this.table)} set worker = ${byHash((row) => clip(row.worker, 255))},
          start_time = ${byHash((row) => timeOf(row.start_time))}, attempts = ${attempts}, state = 'running'
          where hash in (${some.map((row) => `'${row.hash}'`).join(', ')})
          and state in ('queue', 'running') and attempts <= ${attempts}`,
      );
    }
  }

  /**
   * Makes some errored rows live again, and answers them; called again, the next ones. Their attempts count on, so that a
   * late report of the old ones is told apart.
   */
  async requeueErrors(choice: ErrorChoice, most: number): Promise<PointRow[]> {
    return ask(
      this.db.transaction(async (within) => {
        const rows: PointRow[] = await this.select()
          .transacting(within)
          .where({ state: 'error', ...(choice.kind === undefined ? {} : { error_kind: choice.kind }) })
          .modify((query) => {
            if (choice.message !== undefined) query.andWhereRaw('instr(error_msg, ?) > 0', [choice.message]);
          })
          .orderBy('hash')
          .limit(most)
          .forUpdate();
        await this.db(this.table)
          .transacting(within)
          .whereIn(
            'hash',
            rows.map(({ hash }) => hash),
          )
          .update({
            state: 'queue',
            attempts: this.db.raw('attempts + 1'),
            start_time: timeOf(isoNow()),
            error_kind: null,
            error_msg: null,
          });
        return rows.map((row) => tidy({ ...row, state: 'queue', attempts: row.attempts + 1 }));
      }),
    );
  }

  async counts(): Promise<Counts> {
    const groups = await ask<{ state: State; stable: unknown; rows: number }[]>(
      this.db(this.table).select('state', 'stable').count({ rows: '*' }).groupBy('state', 'stable'),
    );
    const counts: Counts = { states: { queue: 0, running: 0, error: 0, completed: 0 }, stable: 0, unstable: 0 };
    for (const { state, stable, rows } of groups) {
      counts.states[state] += Number(rows);
      if (state === 'completed') counts[Number(stable) === 1 ? 'stable' : 'unstable'] += Number(rows);
    }
    return counts;
  }

  /** Those of these points that have rows. */
  async find(hashes: readonly string[]): Promise<PointRow[]> {
    if (hashes.length === 0) return [];
    return (await ask<PointRow[]>(this.select().whereIn('hash', [...hashes]))).map(tidy);
  }

  /** All rows, or those of some kind, in the order of their hashes, page by page. */
  async *rows(where: { state?: State; stable?: boolean } = {}): AsyncGenerator<PointRow[]> {
    for await (const rows of this.pages<PointRow>(() => this.select().where(where), 'hash')) {
      yield rows.map(tidy);
    }
  }

  /** All rows, or those of some kind, as they stand, for one who trusts none of them. In SQLite in the order of entry. */
  rawRows(where: { state?: State; stable?: boolean } = {}): AsyncGenerator<RawRow[]> {
    // SQLite keeps rows by a number of its own: the quick way through them, and always a number, whatever stands in the row.
    const key = this.mysql ? 'hash' : '_rowid_';
    return this.pages<RawRow>(
      () =>
        this.selectRaw()
          .select({ [key]: key })
          .where(where),
      key,
    );
  }

  /** Those of these points that have rows, as they stand. */
  async findRaw(hashes: readonly string[]): Promise<RawRow[]> {
    return hashes.length === 0 ? [] : ask<RawRow[]>(this.selectRaw().whereIn('hash', [...hashes]));
  }

  /** What a query finds, in the order of a unique column, page by page. */
  private async *pages<Row extends object>(
    query: () => Knex.QueryBuilder,
    key: string & keyof Row,
  ): AsyncGenerator<Row[]> {
    for (let last: Row | undefined; ; ) {
      const rest = last === undefined ? query() : query().andWhere(key, '>', last[key] as string | number);
      const rows = await ask<Row[]>(rest.orderBy(key).limit(page));
      last = rows.at(-1);
      if (!last) return;
      yield rows;
    }
  }

  private selectRaw(): Knex.QueryBuilder {
    return this.db(this.table).select('hash', 'code', ...this.parameters, 'previous_hash', 'depth', 'state', 'stable');
  }

  private select() {
    return this.db(this.table).select(
      'hash',
      'code',
      'previous_hash',
      'depth',
      'state',
      'stable',
      'attempts',
      'out_path',
    );
  }

  private identity({ hash, code, previous_hash, depth }: NewRow): SqlValue[] {
    return [hash, code, ...code.split(',').map(Number), previous_hash, depth];
  }

  private results(row: SettledRow): SqlValue[] {
    return [
      row.stable === null ? null : Number(row.stable),
      clip(row.worker, 255),
      timeOf(row.start_time),
      timeOf(row.end_time),
      row.run_time,
      row.error_kind,
      clip(row.error_msg, longestText),
      clip(row.complete_msg, longestText),
      row.out_path,
      row.temperature,
      row.pressure,
      row.outputs === null ? null : JSON.stringify(row.outputs),
      row.attempts,
    ];
  }

  /** One statement for all rows, unless they are too long for one. */
  private async insert(columns: readonly string[], rows: readonly SqlValue[][], conflict: string): Promise<void> {
    const names = columns.map((column) => this.quoted(column)).join(', ');
    const values = rows.map((row) => `(${row.map((value) => this.literal(value)).join(',')})`);
    for (const some of inStatements(values)) {
      await this.write(`insert into ${this.quoted(this.table)} (${names}) values ${some.join(',')} ${conflict}`);
    }
  }

  private literal(value: SqlValue): string {
    return literal(value, this.mysql ? 'mysql' : 'sqlite');
  }

  private async write(statement: string): Promise<void> {
    await ask(this.db.raw(statement));
  }

  private get onDuplicate(): string {
    return this.mysql ? 'on duplicate key update' : 'on conflict (hash) do update set';
  }

  private incoming(column: string): string {
    return this.mysql ? `values(${column})` : `excluded.${column}`;
  }

  private quoted(name: string): string {
    return this.mysql ? `\`${name}\`` : `"${name}"`;
  }

  private hasTable(name: string): Promise<boolean> {
    return ask(this.db.schema.hasTable(name));
  }

  private async readFact(name: string): Promise<string | undefined> {
    const rows = await ask<{ value: string }[]>(this.db(this.meta).select('value').where({ name }));
    return rows[0]?.value;
  }

  private async writeFact(name: string, value: string, present: 'keep' | 'replace'): Promise<void> {
    const insertion = this.db(this.meta).insert({ name, value }).onConflict('name');
    await ask(present === 'keep' ? insertion.merge(['name']) : insertion.merge(['value']));
  }

  private foreign(): UsageError {
    return new UsageError(
      `table ${this.table} is there, but not of atmos-fleet's making (no ${this.meta}): name another in database.table`,
    );
  }
}

function tidy(row: PointRow): PointRow {
  return { ...row, stable: row.stable === null ? null : Boolean(row.stable) };
}

/** As this program writes times; days that every month has. */
const usualTime = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** `2026-01-31T12:00:00.000Z` as SQL writes it, UTC. */
function timeOf(iso: string | null): string | null {
  if (iso === null) return null;
  const text = usualTime.test(iso) ? iso : new Date(iso).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 23)}`;
}

/** Rows by the statement: nearly always one, but a server takes no statement longer than its max_allowed_packet. */
function inStatements(values: readonly string[]): string[][] {
  const statements: string[][] = [[]];
  let length = 0;
  for (const value of values) {
    if (length > 0 && length + value.length > longestStatement) {
      statements.push([]);
      length = 0;
    }
    statements.at(-1)?.push(value);
    length += value.length;
  }
  return statements;
}

function clip(text: string | null, longest: number): string | null {
  return text !== null && text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
