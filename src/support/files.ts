import { constants } from 'node:fs';
import { copyFile, lstat, mkdir, opendir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MachineFault, messageOf } from './errors.js';

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

/** Copies a regular file, or the regular files below a directory, to that path. False: there is neither. */
export async function copyFiles(from: string, to: string): Promise<boolean> {
  const found = await lstat(from).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (found?.isFile()) {
    await mkdir(dirname(to), { recursive: true });
    await copyFile(from, to, constants.COPYFILE_FICLONE);
    return true;
  }
  if (!found?.isDirectory()) return false;
  await mkdir(to, { recursive: true });
  for await (const path of regularFiles(from)) {
    await mkdir(dirname(join(to, path)), { recursive: true });
    await copyFile(join(from, path), join(to, path), constants.COPYFILE_FICLONE);
  }
  return true;
}

/** Removes a directory and all in it; it need not be there. */
export async function removeDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 3 });
}
