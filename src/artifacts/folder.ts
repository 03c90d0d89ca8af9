import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { messageOf } from '../support/errors.js';
import { copyFiles, onDisk, regularFiles, removeDirectory, statOf } from '../support/files.js';
import { hasEnded, thisProcess } from '../support/owner.js';
import { metadataFile, parseMetadata } from './metadata.js';
import { type ArtifactStore, isRunOf, runPath, runPathOf, type StoredRun } from './store.js';

const incoming = '.incoming';
/** Age of what is half stored at which it counts as left behind, on whatever host, ms. */
const abandonedMilliseconds = 86_400_000;

/** A local folder; for one machine, or for several that mount it at one place. */
export class FolderStore implements ArtifactStore {
  private readonly root: string;
  private saves = 0;

  constructor(folder: string, name: string) {
    this.root = resolve(folder, name);
  }

  async check(): Promise<void> {
    await onDisk(`preparing ${this.root}`, async () => {
      await mkdir(join(this.root, incoming), { recursive: true });
      const old = Date.now() - abandonedMilliseconds;
      for (const entry of await readdir(join(this.root, incoming))) {
        const path = join(this.root, incoming, entry);
        const written = (await statOf(path))?.mtimeMs ?? 0;
        if (hasEnded(entry) || written < old) await removeDirectory(path);
      }
    });
  }

  /** The files reach the disk under a temporary name, then get their own: a run is there whole or not at all. */
  async save(directory: string, hash: string, token: string): Promise<string> {
    const target = join(this.root, runPath(hash, token));
    const temporary = join(this.root, incoming, `${thisProcess}.${this.saves++}`);
    return onDisk(`storing files in ${this.root}`, async () => {
      await mkdir(dirname(target), { recursive: true });
      await copyFiles(directory, temporary);
      for await (const path of regularFiles(temporary)) await sync(join(temporary, path));
      await removeDirectory(target);
      await rename(temporary, target);
      await sync(dirname(target));
      return target;
    });
  }

  async fetch(outPath: string, directory: string): Promise<boolean> {
    const path = runPathOf(outPath);
    if (path === undefined) return false;
    return onDisk(`reading files from ${this.root}`, () => copyFiles(join(this.root, path), directory));
  }

  async close(): Promise<void> {}
}

/** The runs of that search below a folder, and those of others as such. */
export async function* runsInFolder(folder: string, name: string): AsyncGenerator<StoredRun> {
  const root = resolve(folder);
  for await (const path of regularFiles(root)) {
    if (!path.endsWith(`/${metadataFile}`) && path !== metadataFile) continue;
    const outPath = dirname(join(root, path));
    if (runPathOf(outPath) === undefined) continue;
    if (!isRunOf(name, dirname(path))) {
      yield { outPath, foreign: true };
      continue;
    }
    try {
      yield { outPath, metadata: parseMetadata(await readFile(join(root, path), 'utf8')) };
    } catch (error) {
      yield { outPath, problem: messageOf(error) };
    }
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
