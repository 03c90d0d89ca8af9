import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { MachineFault, messageOf } from '../support/errors.js';
import { copyFiles, onDisk, openBelow, regularFiles, removeDirectory, statBelow, statOf } from '../support/files.js';
import { fullDisk } from '../support/machine.js';
import { OwnFolder } from '../support/ownFolder.js';
import { metadataFile, parseMetadata } from './metadata.js';
import {
  type ArtifactStore,
  firstFiles,
  isInsideRun,
  isRunOf,
  type OpenFile,
  runPath,
  runPathOf,
  type StoredFile,
  type StoredRun,
} from './store.js';

const incoming = '.incoming';

/**
 * A local folder; for one machine, or for several that mount it at one place. No symbolic link below it is followed: whoever may
 * write there could lead this user's rights elsewhere.
 */
export class FolderStore implements ArtifactStore {
  private readonly folder: string;
  private readonly root: string;
  /** What this process is storing. */
  private readonly halfStored: OwnFolder;
  private saves = 0;

  constructor(
    folder: string,
    private readonly name: string,
  ) {
    this.folder = resolve(folder);
    this.root = join(this.folder, name);
    this.halfStored = new OwnFolder(join(this.root, incoming), '');
  }

  async check(): Promise<void> {
    await onDisk(`preparing ${this.root}`, async () => {
      await mkdir(join(this.root, incoming), { recursive: true });
      await this.refuseLinks(incoming);
      await this.halfStored.prepare();
      const full = await fullDisk(this.root);
      if (full !== undefined) throw new MachineFault(`${full}: make room, or set artifacts.url`);
    });
  }

  /** The files reach the disk under a temporary name, then get their own: a run is there whole or not at all. */
  async save(directory: string, hash: string, token: string, signal?: AbortSignal): Promise<string> {
    const target = join(this.root, runPath(hash, token));
    return onDisk(`storing files in ${this.root}`, async () => {
      for (const folder of [hash, incoming]) {
        await mkdir(join(this.root, folder), { recursive: true });
        await this.refuseLinks(folder);
      }
      const temporary = join(await this.halfStored.path(), String(this.saves++));
      try {
        await copyFiles(directory, temporary, signal);
        for await (const path of regularFiles(temporary)) {
          signal?.throwIfAborted();
          await sync(join(temporary, path));
        }
        signal?.throwIfAborted();
        await removeDirectory(target);
        await rename(temporary, target);
      } finally {
        await removeDirectory(temporary);
      }
      await sync(dirname(target));
      return target;
    });
  }

  async fetch(outPath: string, directory: string, signal?: AbortSignal): Promise<boolean> {
    const path = runPathOf(outPath);
    if (path === undefined) return false;
    return onDisk(`reading files from ${this.root}`, async () => {
      if (!(await statBelow(this.folder, join(this.name, path)))) return false;
      return copyFiles(join(this.root, path), directory, signal);
    });
  }

  async list(outPath: string, max: number): Promise<StoredFile[] | undefined> {
    const path = runPathOf(outPath);
    if (path === undefined) return undefined;
    return onDisk(`reading files from ${this.root}`, async () => {
      if (!(await statBelow(this.folder, join(this.name, path)))?.isDirectory()) return undefined;
      return firstFiles(filesOf(join(this.root, path)), max);
    });
  }

  async open(outPath: string, path: string, signal?: AbortSignal): Promise<OpenFile | undefined> {
    const run = runPathOf(outPath);
    if (run === undefined || !isInsideRun(path)) return undefined;
    return onDisk(`reading files from ${this.root}`, async () => {
      const file = await openBelow(this.folder, join(this.name, run, path));
      if (!file) return undefined;
      const { size } = await file.stat();
      // To the size that was announced: a file that grows meanwhile must not outgrow it.
      const content =
        size > 0 ? file.createReadStream({ end: size - 1, ...(signal && { signal }) }) : Readable.from([]);
      if (size === 0) await file.close();
      return { bytes: size, content };
    });
  }

  async close(): Promise<void> {
    await this.halfStored.remove();
  }

  private async refuseLinks(path: string): Promise<void> {
    if ((await statBelow(this.folder, join(this.name, path)))?.isDirectory()) return;
    throw new MachineFault(
      `${join(this.root, path)}: expected a folder without symbolic links on the way, remove them`,
    );
  }
}

async function* filesOf(run: string): AsyncGenerator<StoredFile> {
  for await (const path of regularFiles(run)) {
    const found = await statOf(join(run, path));
    if (found?.isFile()) yield { path, bytes: found.size };
  }
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
