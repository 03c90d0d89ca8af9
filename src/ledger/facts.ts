import type { Knex } from 'knex';
import { ask } from './connect.js';
import { createMetaTable } from './schema.js';

/** Facts about a search, in a table beside its points: name → text. */
export class Facts {
  constructor(
    private readonly db: Knex,
    readonly table: string,
  ) {}

  /** Creates the table where it is absent. */
  create(): Promise<void> {
    return createMetaTable(this.db, this.table);
  }

  async all(): Promise<Map<string, string>> {
    const rows = await ask<{ name: string; value: string }[]>(this.db(this.table).select('name', 'value'));
    return new Map(rows.map(({ name, value }) => [name, value]));
  }

  async read(name: string): Promise<string | undefined> {
    const rows = await ask<{ value: string }[]>(this.db(this.table).select('value').where({ name }));
    return rows[0]?.value;
  }

  /** `present`: what becomes of a fact that is there. */
  async write(name: string, value: string, present: 'keep' | 'replace'): Promise<void> {
    const insertion = this.db(this.table).insert({ name, value }).onConflict('name');
    await ask(present === 'keep' ? insertion.merge(['name']) : insertion.merge(['value']));
  }

  async forget(name: string): Promise<void> {
    await ask(this.db(this.table).where({ name }).delete());
  }
}
