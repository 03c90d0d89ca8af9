import { randomBytes } from 'node:crypto';
import type { Knex } from 'knex';
import { Refused, Unavailable } from '../support/errors.js';
import { ask, connectDatabase, disconnect, quoted } from './connect.js';

export type Right = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | 'CREATE' | 'ALTER' | 'DROP';

/** What those need who write results. */
export const writersRights: readonly Right[] = ['SELECT', 'INSERT', 'UPDATE'];

interface Names {
  table: string;
  /** One of its columns. */
  column: string;
  /** A table that is not there. */
  absent: string;
}

/** Statements that take a right and change nothing, whether or not the table is there. */
const harmless: Readonly<Record<Right, (names: Names) => string>> = {
  SELECT: ({ table }) => `select 1 from ${table} where 1 = 0`,
  INSERT: ({ table }) => `insert into ${table} select * from ${table} where 1 = 0`,
  UPDATE: ({ table, column }) => `update ${table} set ${column} = ${column} where 1 = 0`,
  DELETE: ({ table }) => `delete from ${table} where 1 = 0`,
  CREATE: ({ table, absent }) => `create table ${table} like ${absent}`,
  ALTER: ({ absent }) => `alter table ${absent} comment = ''`,
  DROP: ({ absent }) => `drop table ${absent}`,
};

/** What a database's user may do with the table of a search and the facts beside it. */
export class Rights {
  constructor(
    private readonly db: Knex,
    private readonly table: string,
  ) {}

  /** Throws `Refused`, which names what is missing. */
  async demand(wanted: readonly Right[]): Promise<void> {
    const missing = (await this.missing(wanted)).join(', ');
    if (missing === '') return;
    throw new Refused(
      `the database: this user may not ${missing} in table ${this.table} or ${this.table}_meta: grant it that`,
    );
  }

  /** Those of the rights that the user has not. Changes nothing. */
  async missing(wanted: readonly Right[]): Promise<Right[]> {
    const missing = new Set<Right>();
    for (const [name, column] of [
      [this.table, 'state'],
      [`${this.table}_meta`, 'value'],
    ] as const) {
      const names = { table: quoted(this.db, name), column, absent: quoted(this.db, unused(name)) };
      for (const right of wanted) if (await this.isRefused(harmless[right](names))) missing.add(right);
    }
    return wanted.filter((right) => missing.has(right));
  }

  /** Whatever else is wrong with the statement, such as the table's absence, is no matter here. */
  private async isRefused(statement: string): Promise<boolean> {
    try {
      await ask(this.db.raw(statement));
    } catch (error) {
      if (error instanceof Unavailable && !tableCodes.has(error.code ?? '')) throw error;
      return error instanceof Refused;
    }
    return false;
  }
}

/** Codes of outages and refusals that are about a table, not about the server. */
const tableCodes = new Set([
  'ER_TABLEACCESS_DENIED_ERROR',
  'ER_COLUMNACCESS_DENIED_ERROR',
  'ER_NO_SUCH_TABLE',
  'SQLITE_READONLY',
  'SQLITE_ERROR',
]);

const unused = (name: string) => `${name}_doctor_${randomBytes(4).toString('hex')}`;

/**
 * Writes a row into a table of its own, and reads it over another connection: what a server does not commit is seen by nobody else.
 * Takes the rights to create and drop a table, and leaves nothing behind.
 */
export async function readBack(url: string, table: string): Promise<void> {
  const [writer, reader] = [connectDatabase(url), connectDatabase(url)];
  const scratch = unused(table);
  try {
    await ask(writer.schema.createTable(scratch, (columns) => columns.integer('n').primary()));
    try {
      await ask(writer(scratch).insert({ n: 1 }));
      const rows = await ask<{ n: number }[]>(reader(scratch).select('n'));
      if (rows.length === 1) return;
      throw new Refused('the database: a row that was written is not there over another connection: is it committed?');
    } finally {
      await ask(writer.schema.dropTable(scratch));
    }
  } finally {
    await Promise.all([disconnect(writer), disconnect(reader)]);
  }
}
