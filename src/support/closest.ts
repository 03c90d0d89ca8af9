/** The known word that was probably meant, if one is close. */
export function closest(word: string, known: readonly string[]): string | undefined {
  return known.find((name) => distance(word.toLowerCase(), name.toLowerCase()) <= Math.min(2, name.length / 2));
}

/** How many insertions, deletions and replacements make one word the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [deleted, letter] of [...from].entries()) {
    const next = [deleted + 1];
    for (const [index, other] of [...to].entries()) {
      const replaced = (row[index] as number) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[index + 1] as number) + 1, (next[index] as number) + 1));
    }
    row = next;
  }
  return row.at(-1) as number;
}
