import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { temporaryFolder } from '../support/folder.js';
import { type Mutation, mutate } from './mutation.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A copy of the built program with a mutant in it; answers its folder. */
export function buildMutant(file: string, mutation: Mutation): string {
  const folder = temporaryFolder();
  for (const part of ['dist', 'package.json']) cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  const source = mutate(file, readFileSync(join(root, 'src', file), 'utf8'), mutation);
  const { code } = transformSync(source, { loader: 'ts', format: 'esm', target: 'es2023' });
  writeFileSync(join(folder, 'dist', file.replace(/\.ts$/, '.js')), code);
  return join(folder, 'dist');
}
