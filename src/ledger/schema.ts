import type { Knex } from 'knex';
import { ask, hasTable, isMysql } from './connect.js';

/** Raised when a column is added; `sql-client -c` gives an older table the columns that it lacks. */
export const schemaVersion = 1;

/** The longest parameter code that a row holds, characters. */
export const longestCode = 512;

const ascii = (mysql: boolean, type: string) => (mysql ? `${type} character set ascii collate ascii_bin` : type);

type Add = (table: Knex.TableBuilder, name: string, mysql: boolean) => unknown;

const addTime: Add = (table, name) => table.datetime(name, { precision: 3 });
const addLongText: Add = (table, name) => table.text(name, 'mediumtext');

/** The columns that follow those of the parameters. A later one goes to the end, and takes null or has a default. */
const columns: Readonly<Record<string, Add>> = {
  previous_hash: (table, name, mysql) => table.specificType(name, ascii(mysql, 'char(32)')),
  depth: (table, name) => table.integer(name).unsigned().notNullable(),
  state: (table, name) => table.enum(name, ['queue', 'running', 'error', 'completed']).notNullable(),
  stable: (table, name) => table.boolean(name),
  attempts: (table, name) => table.integer(name).unsigned().notNullable().defaultTo(0),
  worker: (table, name) => table.string(name),
  queued_at: addTime,
  start_time: addTime,
  end_time: addTime,
  run_time: (table, name) => table.double(name).comment('seconds'),
  error_kind: (table, name) => table.string(name, 16),
  error_msg: addLongText,
  complete_msg: addLongText,
  out_path: (table, name) => table.string(name, 1024),
  temperature: (table, name) => table.double(name).comment('K'),
  pressure: (table, name) => table.double(name).comment('bar'),
  outputs: (table, name) => table.json(name),
};

/** Creates the points' table where it is absent. */
export async function createPointTable(db: Knex, name: string, parameters: readonly string[]): Promise<void> {
  if (await hasTable(db, name)) return;
  const mysql = isMysql(db);
  await quietly(
    db.schema.createTable(name, (table) => {
      // The hash is the key itself: what rows are looked up, joined and made unique by. ASCII keeps it a byte a character.
      table.specificType('hash', ascii(mysql, 'char(32)')).notNullable().primary();
      table.specificType('code', ascii(mysql, `varchar(${longestCode})`)).notNullable();
      for (const parameter of parameters) table.double(parameter).notNullable();
      for (const [column, add] of Object.entries(columns)) add(table, column, mysql);
      if (mysql) {
        table.engine('InnoDB');
        table.charset('utf8mb4');
      }
    }),
  );
}

/** Gives a table of an older version the columns that it lacks. */
export async function addLaterColumns(db: Knex, name: string): Promise<void> {
  const there = await ask<Record<string, unknown>>(db(name).columnInfo());
  const later = Object.entries(columns).filter(([column]) => !Object.hasOwn(there, column));
  for (const [column, add] of later) {
    await quietly(db.schema.alterTable(name, (table) => void add(table, column, isMysql(db))));
  }
}

/** Creates the table of facts about the search where it is absent: name → text. */
export async function createMetaTable(db: Knex, name: string): Promise<void> {
  if (await hasTable(db, name)) return;
  await quietly(
    db.schema.createTable(name, (table) => {
      table.string('name', 64).primary();
      table.text('value', 'mediumtext').notNullable();
    }),
  );
}

/** Two clients may do it at once: the second finds it done. */
async function quietly(change: Knex.SchemaBuilder): Promise<void> {
  try {
    await ask(change);
  } catch (error) {
    const { code = '', message = '' } = error as { code?: string; message?: string };
    const done = ['ER_TABLE_EXISTS_ERROR', 'ER_DUP_FIELDNAME'].includes(code);
    if (!done && !/already exists|duplicate column/.test(message)) throw error;
  }
}
