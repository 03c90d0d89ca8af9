import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atEnd } from './scope.js';

/** Longest temporary folder in which a socket's path stays under the system's limit of 108 characters. */
const longestBase = 60;

/** A private folder with a short path, removed when the test (or the file) that asked for it ends. */
export function temporaryFolder(): string {
  const base = tmpdir().length <= longestBase ? tmpdir() : '/tmp';
  const folder = mkdtempSync(join(base, 'fleet-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
