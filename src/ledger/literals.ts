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

/** As this program writes times; days that every month has. */
const usualTime = /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/;

/** `2026-01-31T12:00:00.000Z` as SQL writes it, UTC. */
export function timeOf(iso: string | null): string | null {
  if (iso === null) return null;
  const text = usualTime.test(iso) ? iso : new Date(iso).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 23)}`;
}

/** Rows by the statement, each with rows of at most so many characters, or one row. */
export function inStatements<Row extends { text: string }>(rows: readonly Row[], maxLength: number): Row[][] {
  const statements: Row[][] = [];
  let length = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const longer = length + 1 + row.text.length;
    if (longer > maxLength) statements.push([]);
    statements.at(-1)?.push(row);
    length = longer > maxLength ? row.text.length : longer;
  }
  return statements;
}

export function clip(text: string | null, longest: number): string | null {
  return text !== null && text.length > longest ? `${text.slice(0, longest - 1)}…` : text;
}
