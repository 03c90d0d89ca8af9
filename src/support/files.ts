import { constants, type Stats } from 'node:fs';
import {
  chmod,
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  open,
  opendir,
  readdir,
  rm,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MachineFault, messageOf } from './errors.js';

const absent = new Set(['ENOENT', 'ENOTDIR']);

/** What `work` throws because of this machine's disk, turned into a `MachineFault` that says what was being done. */
export async function onDisk<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    throw new MachineFault(`This machine's disk failed while ${doing}: ${messageOf(error)}`, { cause: error });
  }
}

/** The regular files below a directory, as paths relative to it. Links and devices are passed over. */
export async function* regularFiles(directory: string, below = ''): AsyncGenerator<string> {
  for await (const entry of await opendir(join(directory, below))) {
    const path = join(below, entry.name);
    if (entry.isDirectory()) yield* regularFiles(directory, path);
    else if (entry.isFile()) yield path;
  }
}

/** The first bytes of a regular file; undefined where there is none. */
export async function readFirst(path: string, mostBytes: number): Promise<Buffer | undefined> {
  const found = await statOf(path);
  if (!found?.isFile()) return undefined;
  const file = await open(path);
  try {
    const size = Math.min(found.size, mostBytes);
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(size), length: size });
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Copies a regular file, or the regular files below a directory, to that path. False: there is neither. Aborted: no more files. */
export async function copyFiles(from: string, to: string, signal?: AbortSignal): Promise<boolean> {
  const found = await statOf(from);
  if (found?.isFile()) {
    await copy(from, to);
    return true;
  }
  if (!found?.isDirectory()) return false;
  await mkdir(to, { recursive: true });
  for await (const path of regularFiles(from)) {
    signal?.throwIfAborted();
    await copy(join(from, path), join(to, path));
  }
  return true;
}

/** Removes a directory and all in it; it need not be there. */
export async function removeDirectory(directory: string): Promise<void> {
  await withRights(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }), directory);
}

/** Writes a file in the place of whatever stands there, a directory too. */
export async function writeInstead(path: string, content: string): Promise<void> {
  await removeDirectory(path);
  await writeFile(path, content);
}

/** Does what a program may have shut this user out of: where that is so, once more with the owner's rights below those paths. */
export async function withRights<T>(work: () => Promise<T>, ...paths: string[]): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
    for (const path of paths) await restoreRights(path);
    return work();
  }
}

async function restoreRights(path: string): Promise<void> {
  const found = await statOf(path);
  if (found?.isFile()) await chmod(path, (found.mode & 0o7777) | 0o600);
  if (!found?.isDirectory()) return;
  await chmod(path, (found.mode & 0o7777) | 0o700);
  for (const name of await readdir(path)) await restoreRights(join(path, name));
}

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}

/** What stands at a path, a link itself and not what it leads to; undefined where nothing does. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (absent.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** What stands at a path below a directory; undefined where nothing does, or a symbolic link stands on the way. */
export async function statBelow(directory: string, path: string): Promise<Stats | undefined> {
  let [at, found]: [string, Stats | undefined] = [directory, undefined];
  for (const part of path.split('/')) {
    at = join(at, part);
    found = await statOf(at);
    if (!found || found.isSymbolicLink()) return undefined;
  }
  return found;
}

const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;

/** Opens a regular file below a directory to read; undefined where there is none, or a symbolic link stands on the way. */
export async function openBelow(directory: string, path: string): Promise<FileHandle | undefined> {
  const standing = await statBelow(directory, path);
  if (!standing?.isFile()) return undefined;
  const file = await open(join(directory, path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  const opened = await file.stat();
  if (opened.isFile() && opened.dev === standing.dev && opened.ino === standing.ino) return file;
  await file.close();
  return undefined; // Another file was put in its place meanwhile.
}
