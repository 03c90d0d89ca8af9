import { createWriteStream } from 'node:fs';
import { realpath, rename, rm, stat } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UsageError } from '../support/errors.js';
import type { Workbench } from './wire.js';

/** The ending of a file's name, without its dot. */
export function endingOf(out: string): string {
  return extname(out).slice(1).toLowerCase();
}

/**
 * Writes a file whose name nobody finds with half of it. What is a device or a pipe is written to as it is; the search's own
 * files are refused.
 */
export async function writeWhole(bytes: Readable, out: string, bench: Workbench): Promise<void> {
  const found = await stat(out).catch(() => undefined);
  if (found?.isDirectory()) throw new UsageError(`--out: ${out} is a folder, wants a file`);
  if (found && !found.isFile()) return pipeline(bytes, createWriteStream(out));
  const target = found ? await realpath(out) : out;
  if (await isOwn(bench, target)) throw new UsageError(`--out: ${out} is a file of the search itself: name another`);
  const partial = `${target}.${process.pid}.partial`;
  try {
    await pipeline(bytes, createWriteStream(partial));
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { force: true });
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === 'open' || syscall === 'rename') throw new UsageError(`--out: ${out} cannot be written (${code})`);
    throw error;
  }
}

/** Whether a path is the configuration, or a file of the database. */
async function isOwn({ config, configPath }: Workbench, path: string): Promise<boolean> {
  const [, database] = /^sqlite:(.*)$/s.exec(config.database.url) ?? [];
  const files = database === undefined ? [] : ['', '-wal', '-shm', '-journal'].map((ending) => database + ending);
  const real = (file: string) => realpath(file).catch(() => resolve(file));
  const own = await Promise.all([configPath, ...files].map(real));
  return own.includes(await real(path));
}
