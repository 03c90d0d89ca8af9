import type { Knex } from 'knex';
import { Unavailable } from '../support/errors.js';
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

  /** Mends a text that a server with NO_BACKSLASH_ESCAPES was given with its escapes, as version 0.1.0 did. */
  async repair(name: string): Promise<void> {
    const meant = unescaped((await this.read(name)) ?? '');
    if (meant !== undefined) await this.write(name, meant, 'replace');
  }
}

/** Waits for the repair of such a text. */
export function refuseEscaped(text: string, table: string): void {
  if (unescaped(text) === undefined) return;
  throw new Unavailable(
    `the definition beside table ${table} has extra backslashes, of a server with NO_BACKSLASH_ESCAPES; sql-client -c repairs it`,
  );
}

/** The JSON that was meant, where a text is only JSON without the backslashes of its escapes. */
function unescaped(text: string): string | undefined {
  const meant = text.replaceAll(/\\(["\\])/g, '$1');
  return isJson(text) || !isJson(meant) ? undefined : meant;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
