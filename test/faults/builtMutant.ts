import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import { temporaryFolder } from '../support/folder.js';
import { copyFolder, root } from '../support/program.js';
import { type Mutation, mutate } from './mutation.js';

/** A copy of the built program with a mutant in it; answers its folder. */
export function buildMutant(file: string, mutation: Mutation): string {
  const folder = temporaryFolder();
  const copy = join(folder, 'program');
  cpSync(copyFolder, copy, { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const source = mutate(file, readFileSync(join(root, 'src', file), 'utf8'), mutation);
  const { code } = transformSync(source, { loader: 'ts', format: 'esm', target: 'es2023' });
  writeFileSync(join(copy, 'dist', file.replace(/\.ts$/, '.js')), code);
  return copy;
}
