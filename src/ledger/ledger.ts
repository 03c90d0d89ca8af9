import { randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { isoNow } from '../support/clock.js';
import { Unavailable, UsageError } from '../support/errors.js';
import { ask, askInTime, connectDatabase, createDatabase, disconnect, hasTable, isMysql } from './connect.js';
import { Facts, refuseEscaped } from './facts.js';
import { clip, type SqlValue, timeOf } from './literals.js';
import { Rights } from './rights.js';
import type { Counts, ErrorChoice, NewRow, PointRow, RawRow, RunningRow, SettledRow, State } from './rows.js';
import { tidy } from './rows.js';
import { addLaterColumns, createPointTable, schemaVersion } from './schema.js';
import { type Reduce, Writer } from './writer.js';

export type * from './rows.js';
export { Replaced } from './writer.js';

/** Rows read at once: more would not be quicker, and their garbage would outweigh what a pass over a million rows keeps. */
const page = 1000;
const statementRows = 100;
const longestText = 60_000;

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

/**
 * The search's rows in SQL: one a point, each written by guarded, repeatable statements. Each statement names the table's
 * incarnation that it is meant for, and changes nothing in any other.
 */
export class Ledger {
  /** Which of all tables that ever had this name was opened last. Whoever writes later than it asks names it. */
  incarnation = '';
  private readonly db: Knex;
  private readonly mysql: boolean;
  private readonly facts: Facts;
  readonly rights: Rights;
  private readonly writer: Writer;

  constructor(
    url: string,
    private readonly table: string,
    /** Names of the parameters, in the order of the code. */
    private readonly parameters: readonly string[],
  ) {
    this.db = connectDatabase(url);
    this.mysql = isMysql(this.db);
    this.facts = new Facts(this.db, `${table}_meta`);
    this.rights = new Rights(this.db, table);
    this.writer = new Writer(this.db, table, this.facts);
  }

  close(): Promise<void> {
    return disconnect(this.db);
  }

  /**
   * Creates the tables where they are absent, and brings those of an older version up to date. The facts come first, so that a
   * table without them is somebody else's.
   */
  async create(fingerprint: string): Promise<void> {
    createDatabase(this.db);
    // One after the other: asked at once, another client that creates both could show the second without the first.
    await this.refuseForeign();
    await this.facts.create();
    await this.facts.write('schema_version', String(schemaVersion), 'keep');
    await this.facts.write('incarnation', randomUUID(), 'keep');
    await this.facts.write('fingerprint', fingerprint, 'keep');
    await this.facts.repair('fingerprint');
    await createPointTable(this.db, this.table, this.parameters);
    if (Number(await this.facts.read('schema_version')) < schemaVersion) await this.update(fingerprint);
    await this.open();
  }

  private async update(fingerprint: string): Promise<void> {
    if ((await this.facts.read('fingerprint')) !== fingerprint) {
      throw new UsageError(`table ${this.table} is of another search: name another in database.table`);
    }
    await addLaterColumns(this.db, this.table);
    await this.facts.write('schema_version', String(schemaVersion), 'replace');
  }

  /** Makes the points' table anew, results and all go. The new incarnation comes first: nothing meant for the old one enters it. */
  async recreate(fingerprint: string): Promise<void> {
    createDatabase(this.db);
    await this.refuseForeign();
    await this.facts.create();
    await this.facts.write('incarnation', randomUUID(), 'replace');
    await ask(this.db.schema.dropTableIfExists(this.table));
    await this.facts.forget('generation');
    await this.facts.write('fingerprint', fingerprint, 'replace');
    await this.create(fingerprint);
  }

  /** Makes an empty table the continuation of one that was lost: what was meant for that one is meant for this. */
  async resume(incarnation: string): Promise<void> {
    const { states } = await this.counts();
    if (Object.values(states).some((rows) => rows > 0)) return;
    await this.facts.write('incarnation', incarnation, 'replace');
    await this.open();
  }

  /** Opens the table that is there; answers the fingerprint of its search. `Unavailable` while there is no table. */
  async open(): Promise<string> {
    if (!(await hasTable(this.db, this.table))) {
      throw new Unavailable(`table ${this.table} is not there yet; sql-client -c creates it`);
    }
    if (!(await hasTable(this.db, this.facts.table))) throw this.foreign();
    const facts = await this.facts.all();
    const version = Number(facts.get('schema_version'));
    if (version > schemaVersion) {
      throw new UsageError(
        `table ${this.table} has schema version ${version}, this program knows ${schemaVersion}: update it`,
      );
    }
    if (version < schemaVersion) {
      throw new Unavailable(
        `table ${this.table} has schema version ${version}, this program wants ${schemaVersion}; sql-client -c brings it up to date`,
      );
    }
    const [fingerprint, incarnation] = [facts.get('fingerprint'), facts.get('incarnation')];
    if (fingerprint === undefined || incarnation === undefined) {
      throw new Unavailable(`table ${this.table} is being created; sql-client -c ends it`);
    }
    refuseEscaped(fingerprint, this.table);
    this.incarnation = incarnation;
    return fingerprint;
  }

  async generation(): Promise<string | undefined> {
    return this.facts.read('generation');
  }

  async setGeneration(generation: string): Promise<void> {
    await this.facts.write('generation', generation, 'replace');
  }

  /** Enters points as queued; those that have a row are left as they are. Answers whether none had one. */
  async insertQueued(rows: readonly NewRow[], incarnation = this.incarnation): Promise<boolean> {
    if (rows.length === 0) return true;
    const now = timeOf(isoNow());
    const columns = ['hash', 'code', ...this.parameters, 'previous_hash', 'depth', 'state', 'queued_at', 'start_time'];
    const values = rows.map((row) => [...this.identity(row), 'queue', now, now]);
    // Not `insert ignore`: that would swallow errors in the data too.
    const leave = this.mysql ? `${this.writer.onDuplicate} hash = values(hash)` : 'on conflict (hash) do nothing';
    return (await this.writer.insert(columns, values, leave, incarnation)) === rows.length;
  }

  /**
   * Writes how points ended. Only a live row changes, and only by a run not older than what it tells; a report for an absent
   * row inserts it.
   */
  async settle(rows: readonly SettledRow[], incarnation = this.incarnation): Promise<void> {
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
    const valuesOf = (row: SettledRow) => [...this.identity(row), now, ...this.results(row), row.state];
    const { writer } = this;
    const table = writer.quoted(this.table);
    const newer = `${table}.state in ('queue', 'running') and ${table}.attempts <= ${writer.incoming('attempts')}`;
    // MySQL assigns from left to right, and the guard reads the row: so attempts, which keeps it true, then state, come last.
    const updates = [...resultColumns, 'state'].map(
      (column) => `${column} = case when ${newer} then ${writer.incoming(column)} else ${table}.${column} end`,
    );
    const reduce: Reduce = (row, ...sizes) => valuesOf(tooLarge(rows[row] as SettledRow, ...sizes));
    const conflict = `${writer.onDuplicate} ${updates.join(', ')}`;
    await writer.insert(columns, rows.map(valuesOf), conflict, incarnation, reduce);
  }

  /** Tells live rows that their runs began. */
  async markRunning(rows: readonly RunningRow[], incarnation = this.incarnation): Promise<void> {
    const { writer } = this;
    for (let from = 0; from < rows.length; from += statementRows) {
      const some = rows.slice(from, from + statementRows);
      const byHash = (of: (row: RunningRow) => SqlValue) =>
        `case hash ${some.map((row) => `when '${row.hash}' then ${writer.literal(of(row))}`).join(' ')} end`;
      const attempts = byHash((row) => row.attempts);
      await writer.write(
        `update ${writer.quoted(this.table)} set worker = ${byHash((row) => clip(row.worker, 255))},
          start_time = ${byHash((row) => timeOf(row.start_time))}, attempts = ${attempts}, state = 'running'
          where hash in (${some.map((row) => `'${row.hash}'`).join(', ')})
          and state in ('queue', 'running') and attempts <= ${attempts}
          and exists (select 1 ${writer.fact('=', incarnation)})`,
      );
    }
    if (await writer.isReplaced(incarnation)) throw writer.replaced();
  }

  /**
   * Makes some errored rows beyond that hash live again, and answers them in the order of their hashes. Their attempts count on,
   * so that a late report of the old ones is told apart.
   */
  async requeueErrors(choice: ErrorChoice, after: string, most: number): Promise<PointRow[]> {
    return askInTime(
      this.db.transaction(async (within) => {
        const rows: PointRow[] = await this.select()
          .transacting(within)
          .where({ state: 'error', ...(choice.kind === undefined ? {} : { error_kind: choice.kind }) })
          .andWhere('hash', '>', after)
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
    const columns = ['hash', 'code', 'previous_hash', 'depth', 'state', 'stable', 'attempts', 'out_path'];
    return this.db(this.table).select(columns);
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

  private async refuseForeign(): Promise<void> {
    if ((await hasTable(this.db, this.table)) && !(await hasTable(this.db, this.facts.table))) throw this.foreign();
  }

  private foreign(): UsageError {
    return new UsageError(
      `table ${this.table} is there, but not of atmos-fleet's making (no ${this.facts.table}): name another in database.table`,
    );
  }
}

/** What a row becomes that the database has no statement for. */
function tooLarge(row: SettledRow, bytes: number, maxBytes: number): SettledRow {
  const size = `its result takes ${bytes} bytes of a statement, the database takes ${maxBytes} (max_allowed_packet)`;
  const error_msg = `${size}: keep big things in files, or raise that and retry the point`;
  const none = { stable: null, complete_msg: null, temperature: null, pressure: null, outputs: null };
  return { ...row, ...none, state: 'error', error_kind: 'program', error_msg };
}
