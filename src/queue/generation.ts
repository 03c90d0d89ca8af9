/**
 * What stands for a table's incarnation in generations and reports: its first 32 bits. A search has had a handful of tables, not
 * the tens of thousands that two of the same mark would take.
 */
const markLength = 8;

export function markOf(incarnation: string): string {
  return incarnation.slice(0, markLength);
}

export function isMark(text: string): boolean {
  return /^[0-9a-f]{8}$/.test(text);
}

/** The mark of the table that a generation was made from; undefined in generations of version 0.1. */
export function tableOf(generation: string): string | undefined {
  const mark = generation.slice(0, markLength);
  return generation[markLength] === '/' && isMark(mark) ? mark : undefined;
}
