import type { Knex } from 'knex';
import { ask } from './connect.js';

/** Raised when a column changes; older tables are then altered at start. */
export const schemaVersion = 1;

/** The longest parameter code that a row holds, characters. */
export const longestCode = 512;

/** Creates the points' table where it is absent. */
export async function createPointTable(db: Knex, name: string, parameters: readonly string[]): Promise<void> {
  if (await ask(db.schema.hasTable(name))) return;
  await createQuietly(
    db.schema.createTable(name, (table) => {
      const mysql = db.client.config.client === 'mysql2';
      // The hash is the key itself: what rows are looked up, joined and made unique by. ASCII keeps it a byte a character.
      const ascii = (column: Knex.ColumnBuilder) => (mysql ? column.collate('ascii_bin') : column);
      ascii(table.specificType('hash', mysql ? 'char(32) character set ascii' : 'char(32)').notNullable()).primary();
      ascii(table.specificType('code', `varchar(${longestCode})${mysql ? ' character set ascii' : ''}`).notNullable());
      for (const parameter of parameters) table.double(parameter).notNullable();
      ascii(table.specificType('previous_hash', mysql ? 'char(32) character set ascii' : 'char(32)'));
      table.integer('depth').unsigned().notNullable();
      table.enum('state', ['queue', 'running', 'error', 'completed']).notNullable();
      table.boolean('stable');
      table.integer('attempts').unsigned().notNullable().defaultTo(0);
      table.string('worker');
      for (const time of ['queued_at', 'start_time', 'end_time']) table.datetime(time, { precision: 3 });
      table.double('run_time').comment('seconds');
      table.string('error_kind', 16);
      table.text('error_msg', 'mediumtext');
      table.text('complete_msg', 'mediumtext');
      table.string('out_path', 1024);
      table.double('temperature').comment('K');
      table.double('pressure').comment('bar');
      table.json('outputs');
      if (mysql) {
        table.engine('InnoDB');
        table.charset('utf8mb4');
      }
    }),
  );
}

/** Creates the table of facts about the search where it is absent: name → text. */
export async function createMetaTable(db: Knex, name: string): Promise<void> {
  if (await ask(db.schema.hasTable(name))) return;
  await createQuietly(
    db.schema.createTable(name, (table) => {
      table.string('name', 64).primary();
      table.text('value', 'mediumtext').notNullable();
    }),
  );
}

/** Two clients may create at once: the second finds the table there. */
async function createQuietly(creation: Knex.SchemaBuilder): Promise<void> {
  try {
    await ask(creation);
  } catch (error) {
    const { code = '', message = '' } = error as { code?: string; message?: string };
    if (code !== 'ER_TABLE_EXISTS_ERROR' && !/already exists/.test(message)) throw error;
  }
}
