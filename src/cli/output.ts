import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { UsageError } from '../support/errors.js';

/** Nobody finds half a file under its name. */
export async function writeWhole(bytes: Readable, out: string): Promise<void> {
  const partial = `${out}.partial`;
  try {
    await pipeline(bytes, createWriteStream(partial));
    await rename(partial, out);
  } catch (error) {
    await rm(partial, { force: true });
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === 'open' || syscall === 'rename') throw new UsageError(`--out: ${out} cannot be written (${code})`);
    throw error;
  }
}
