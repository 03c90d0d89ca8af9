type End = () => unknown;

const scopes: End[][] = [[]];

/** Has `end` called when the running test ends, or, outside a test, when its file does; latest first. Not for concurrent tests. */
export function atEnd(end: End): void {
  scopes.at(-1)?.push(end);
}

/** From here on, what is started belongs to one test. */
export function openScope(): void {
  scopes.push([]);
}

/** Ends everything that was started in the innermost scope; then throws what went wrong in that, all of it. */
export async function closeScope(): Promise<void> {
  const ends = scopes.length > 1 ? scopes.pop() : scopes[0]?.splice(0);
  const failures: unknown[] = [];
  for (const end of ends?.reverse() ?? []) {
    try {
      await end();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures, failures.map(String).join('\n'));
}
