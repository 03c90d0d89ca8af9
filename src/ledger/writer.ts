import type { Knex } from 'knex';
import { Unavailable } from '../support/errors.js';
import { ask, isMysql, quoted } from './connect.js';
import type { Facts } from './facts.js';
import { inStatements, literal, type SqlValue } from './literals.js';

/** A statement is no longer, whatever the server takes: it is in memory as a whole, more than once. */
const maxStatementBytes = 4_000_000;
/** What a packet holds beside its statement. */
const packetHeadBytes = 1024;

/** The table was dropped and made anew since: what was meant for the old one is not for this one. */
export class Replaced extends Error {
  override name = 'Replaced';
}

/** What takes the place of a row (by its number) that is too long for any statement. */
export type Reduce = (row: number, bytes: number, maxBytes: number) => SqlValue[];

interface RowText {
  row: number;
  text: string;
}

/** A statement, but for its rows. */
interface Insertion {
  statementOf(rows: readonly RowText[]): string;
  /** What its rows may take. */
  maxBytes: number;
  reduce: Reduce | undefined;
  incarnation: string;
}

/** Writes into a search's table: each statement is for one incarnation of it, and no longer than the server takes. */
export class Writer {
  private readonly mysql: boolean;
  /** As the server said last; undefined: to be asked for. */
  private maxPacketBytes: number | undefined;

  constructor(
    private readonly db: Knex,
    private readonly table: string,
    private readonly facts: Facts,
  ) {
    this.mysql = isMysql(db);
  }

  /** One statement for all rows, or as many as it takes. The hash comes first. Answers how many rows were changed. */
  async insert(
    columns: readonly string[],
    rows: readonly SqlValue[][],
    conflict: string,
    incarnation: string,
    reduce?: Reduce,
  ): Promise<number> {
    const names = columns.map((column) => this.quoted(column)).join(', ');
    const statementOf = ([first, ...others]: readonly RowText[]) => {
      const values = [this.only(incarnation, first?.text ?? '(,)'), ...others.map(({ text }) => text)].join(',');
      return `insert into ${this.quoted(this.table)} (${names}) values ${values} ${conflict}`;
    };
    const maxBytes = (await this.maxStatementBytes()) - Buffer.byteLength(statementOf([]));
    const insertion = { statementOf, maxBytes, reduce, incarnation };
    const texts = rows.map((values, row) => this.fitting({ row, text: this.textOf(values) }, insertion));
    let changed = 0;
    for (const some of inStatements(texts, maxBytes)) changed += await this.insertSome(some, insertion);
    return changed;
  }

  private async insertSome(rows: readonly RowText[], insertion: Insertion): Promise<number> {
    try {
      return await this.write(insertion.statementOf(rows));
    } catch (error) {
      this.maxPacketBytes = undefined; // It may have been changed.
      if (isTooLarge(error)) return this.insertSmaller(rows, insertion, error);
      if (error instanceof Unavailable || !(await this.isReplaced(insertion.incarnation))) throw error;
      throw this.replaced();
    }
  }

  /** The server takes less than it said, or something on the way to it does. */
  private async insertSmaller(rows: readonly RowText[], insertion: Insertion, refusal: unknown): Promise<number> {
    const half = Math.ceil(rows.length / 2);
    const [row] = rows;
    if (half < rows.length) {
      return (
        (await this.insertSome(rows.slice(0, half), insertion)) + (await this.insertSome(rows.slice(half), insertion))
      );
    }
    const smaller = row && this.fitting(row, { ...insertion, maxBytes: row.text.length - 1 });
    if (!row || !smaller || smaller.text.length >= row.text.length) throw refusal;
    return this.insertSome([smaller], insertion);
  }

  /** A row that has a place in a statement by itself; else what takes its place. */
  private fitting(row: RowText, { maxBytes, reduce }: Insertion): RowText {
    if (row.text.length <= maxBytes || !reduce) return row;
    return { ...row, text: this.textOf(reduce(row.row, row.text.length, maxBytes)) };
  }

  /** ASCII alone: as many bytes as characters. */
  private textOf(values: readonly SqlValue[]): string {
    return `(${values.map((value) => this.literal(value)).join(',')})`;
  }

  private async maxStatementBytes(): Promise<number> {
    if (!this.mysql) return maxStatementBytes;
    if (this.maxPacketBytes === undefined) {
      const [[answer]] = await ask(this.db.raw<[[{ bytes: number }]]>('select @@max_allowed_packet as bytes'));
      this.maxPacketBytes = Number(answer.bytes);
    }
    return Math.min(maxStatementBytes, this.maxPacketBytes - packetHeadBytes);
  }

  /**
   * A row whose hash is none in any other incarnation of the table, so that the whole statement fails: in SQLite it is null there,
   * in MySQL, whose modes may let null pass, two values in the place of one.
   */
  private only(incarnation: string, row: string): string {
    const end = row.indexOf(',');
    const hash = row.slice(1, end);
    const known = this.mysql
      ? `select ${hash} union all select 1 ${this.fact('<>', incarnation)}`
      : `select ${hash} ${this.fact('=', incarnation)}`;
    return `((${known})${row.slice(end)}`;
  }

  /** The rest of a query that finds something where the incarnation is (or is not) that one. */
  fact(relation: '=' | '<>', incarnation: string): string {
    return `from ${this.quoted(this.facts.table)} where name = 'incarnation' and value ${relation} ${this.literal(incarnation)}`;
  }

  async isReplaced(incarnation: string): Promise<boolean> {
    return (await this.facts.read('incarnation')) !== incarnation;
  }

  replaced(): Replaced {
    return new Replaced(`table ${this.table} was dropped and made anew`);
  }

  literal(value: SqlValue): string {
    return literal(value, this.mysql ? 'mysql' : 'sqlite');
  }

  /** Answers how many rows a statement changed. */
  async write(statement: string): Promise<number> {
    const answer = await ask(this.db.raw(statement));
    return this.mysql ? answer[0].affectedRows : answer.changes;
  }

  get onDuplicate(): string {
    return this.mysql ? 'on duplicate key update' : 'on conflict (hash) do update set';
  }

  incoming(column: string): string {
    return this.mysql ? `values(${column})` : `excluded.${column}`;
  }

  quoted(name: string): string {
    return quoted(this.db, name);
  }
}

function isTooLarge(error: unknown): boolean {
  const { code, cause } = error as { code?: string; cause?: { code?: string } };
  return code === 'ER_NET_PACKET_TOO_LARGE' || cause?.code === 'ER_NET_PACKET_TOO_LARGE';
}
