import { readFile } from 'node:fs/promises';

/** A piece of a file, and what stands there in the mutant. */
export interface Mutation {
  text: string;
  without: string;
}

const marker = '?mutant=';

/** The mutant's source. The text must stand in the file once. */
export function mutate(path: string, source: string, { text, without }: Mutation): string {
  const parts = source.split(text);
  if (parts.length === 2) return parts.join(without);
  throw new Error(`expected "${text}" once in ${path}, got it ${parts.length - 1} times`);
}

/** What to import for a mutant of a module. */
export function mutantOf(path: string, mutation: Mutation): string {
  return path + marker + Buffer.from(JSON.stringify(mutation)).toString('base64url');
}

/** For vitest: loads the mutants of modules. */
export const mutants = {
  name: 'mutants',
  enforce: 'pre' as const,
  async load(id: string): Promise<string | undefined> {
    const [path = '', mutation] = id.split(marker);
    if (mutation === undefined) return undefined;
    const source = await readFile(path, 'utf8');
    return mutate(path, source, JSON.parse(Buffer.from(mutation, 'base64url').toString()) as Mutation);
  },
};
