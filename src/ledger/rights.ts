import { ask, connectDatabase } from './connect.js';

/** Creates, fills, changes and drops a table beside the search's: what sql-client does. Throws what the database refuses. */
export async function tryRights(url: string, table: string): Promise<void> {
  const db = connectDatabase(url);
  const scratch = `${table}_doctor_${process.pid}`;
  try {
    await ask(db.schema.createTable(scratch, (columns) => columns.integer('n').primary()));
    try {
      await ask(db(scratch).insert({ n: 1 }));
      await ask(db(scratch).update({ n: 2 }));
      await ask(db(scratch).select('n'));
    } finally {
      await ask(db.schema.dropTable(scratch));
    }
  } finally {
    await db.destroy();
  }
}
