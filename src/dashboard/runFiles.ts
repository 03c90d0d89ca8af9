import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ArtifactStore } from '../artifacts/store.js';
import { regularFiles } from '../support/files.js';
import type { RunFile } from './api.js';

/** Fetches a run's files into a folder of their own for as long as they are used; undefined where there are none. */
export async function withRunFiles<T>(
  store: ArtifactStore,
  outPath: string | null,
  use: (folder: string, files: RunFile[]) => Promise<T>,
): Promise<T | undefined> {
  if (outPath === null) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'atmos-fleet-files-'));
  try {
    const run = join(folder, 'run');
    if (!(await store.fetch(outPath, run))) return undefined;
    const files: RunFile[] = [];
    for await (const path of regularFiles(run)) files.push({ path, bytes: (await stat(join(run, path))).size });
    return await use(
      run,
      files.sort((a, b) => (a.path < b.path ? -1 : 1)),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One file of a run, by the path that the listing tells; undefined where there is none. */
export function readRunFile(store: ArtifactStore, outPath: string | null, path: string): Promise<Buffer | undefined> {
  return withRunFiles(store, outPath, async (folder, files) =>
    files.some((file) => file.path === path) ? await readFile(join(folder, path)) : undefined,
  );
}
