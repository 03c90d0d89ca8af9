import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { copyProgram } from './programCopy.js';

/** Builds dist/ once, before the tests that start its programs, and the copy that they start. */
export default async function build(): Promise<void> {
  const script = fileURLToPath(new URL('../../scripts/build.mjs', import.meta.url));
  execFileSync(process.execPath, [script], { stdio: 'inherit' });
  await copyProgram();
}
