import { closeSync, existsSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type Database from 'better-sqlite3';
import type { Knex } from 'knex';
import { messageOf, Refused, Unavailable, UsageError } from '../support/errors.js';

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

/** What knex does with SQLite, by that driver. A file that is not there is not created: its path may be mistyped. */
export function sqliteClient(): typeof Knex.Client {
  const Dialect: typeof Knex.Client = require('knex/lib/dialects/better-sqlite3/index.js');
  return class extends Dialect {
    override initializeDriver(): void {
      this.driver = sqliteDriver();
    }

    override async acquireRawConnection(): Promise<Database.Database> {
      const { filename } = this.config.connection as Knex.Sqlite3ConnectionConfig;
      if (existsSync(filename)) return new this.driver(filename, { fileMustExist: true });
      refuseAbsentFolder(filename);
      throw new Unavailable(`the database ${filename} is not there yet; sql-client -c creates it`);
    }
  };
}

/** Creates an empty database where there is none. */
export function createFile(filename: string): void {
  refuseAbsentFolder(filename);
  try {
    closeSync(openSync(filename, 'a'));
  } catch (error) {
    throw new Refused(`the database ${filename} cannot be created: ${messageOf(error)}`, { cause: error });
  }
}

function refuseAbsentFolder(filename: string): void {
  const folder = dirname(filename);
  if (!existsSync(folder)) throw new Refused(`the database ${filename}: there is no folder ${folder}`);
}
