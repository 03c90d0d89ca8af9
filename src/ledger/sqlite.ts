import { createRequire } from 'node:module';
import type Database from 'better-sqlite3';
import type { Knex } from 'knex';
import { UsageError } from '../support/errors.js';

const require = createRequire(import.meta.url);

/** The version of Node's interface to compiled code that the newer release of better-sqlite3 asks for: Node 22 has it. */
const wanted = 10;

/** SQLite for this Node: the newer release does not load in Node 20, the older one aborts Node 24 when garbage is collected. */
export function sqliteDriver(): typeof Database {
  if (Number(process.versions.napi) >= wanted) return require('better-sqlite3');
  try {
    return require('better-sqlite3-node20');
  } catch (cause) {
    throw new UsageError(
      'SQLite is not there: for Node 20 its package must be compiled (python3, make, g++) when atmos-fleet is installed. Install it again, or take Node 22 or newer',
      { cause },
    );
  }
}

/** What knex does with SQLite, by that driver. */
export function sqliteClient(): typeof Knex.Client {
  const Dialect: typeof Knex.Client = require('knex/lib/dialects/better-sqlite3/index.js');
  return class extends Dialect {
    override initializeDriver(): void {
      this.driver = sqliteDriver();
    }
  };
}
