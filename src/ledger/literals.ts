export type SqlValue = string | number | null;

/** Characters that mean nothing special between quotes, in MySQL or SQLite, nor to knex. */
const plain = /^[\w .,:;{}"[\]()+\-/@=<>!%&|*#$^~]*$/;

/**
 * A value as it stands in a statement. Statements for hundreds of rows are written with their values: binding ten thousand of
 * them costs several times what the database does. Text with any character of doubt goes as hex, so none can end a literal.
 */
export function literal(value: SqlValue, dialect: 'mysql' | 'sqlite'): string {
  if (value === null) return 'null';
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new Error(`${value} is no number for SQL`);
    return String(value);
  }
  if (plain.test(value)) return `'${value}'`;
  const hex = `x'${Buffer.from(value, 'utf8').toString('hex')}'`;
  return dialect === 'mysql' ? `_utf8mb4 ${hex}` : `cast(${hex} as text)`;
}
