import { lstat, mkdir, open } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Header, type Pack, pack } from 'tar-stream';
import { Unstorable } from '../../support/errors.js';
import { onDisk, regularFiles, statOf, writeSparse } from '../../support/files.js';
import { type OutputLimits, OutputMeter } from '../output.js';
import type { Copy } from '../sandbox.js';

/** Everything may be written by whatever user the container has: the container is its own wall. */
const fileMode = 0o666;
const directoryMode = 0o777;
const executableBits = 0o111;

/**
 * A tar stream of local files, or the files below local directories, at paths inside. `withDirectories` makes the directories entries
 * too; without, those that are there keep their owner and mode.
 */
export function packed(copies: readonly Copy[], withDirectories: boolean): Readable {
  const archive = pack();
  fill(archive, copies, withDirectories).then(
    () => archive.finalize(),
    (error: Error) => archive.destroy(error),
  );
  return Readable.from(archive);
}

async function fill(archive: Pack, copies: readonly Copy[], withDirectories: boolean): Promise<void> {
  const directories = new Set<string>();
  const addDirectory = (name: string): void => {
    if (!withDirectories || name === '.' || directories.has(name)) return;
    addDirectory(posix.dirname(name));
    directories.add(name);
    archive.entry({ name, type: 'directory', mode: directoryMode });
  };
  for (const { from, to } of copies) {
    if ((await lstat(from)).isFile()) {
      addDirectory(posix.dirname(to));
      await addFile(archive, from, to);
      continue;
    }
    addDirectory(to);
    for await (const path of regularFiles(from)) {
      addDirectory(posix.join(to, posix.dirname(path)));
      await addFile(archive, join(from, path), posix.join(to, path));
    }
  }
}

async function addFile(archive: Pack, path: string, name: string): Promise<void> {
  const file = await open(path);
  try {
    const { size, mode } = await file.stat();
    // The library's own kind of stream, which Node's can be piped into all the same.
    const entry = archive.entry({ name, size, mode: fileMode | (mode & executableBits) }) as unknown as Writable;
    if (size === 0) entry.end();
    else await pipeline(file.createReadStream({ autoClose: false, end: size - 1 }), entry);
  } finally {
    await file.close();
  }
}

/**
 * Unpacks what the engine sends for one path: a file to that local path, or the regular files below a directory to paths
 * below it. What is no regular file, or would lie elsewhere, is passed over. False: there was neither file nor directory. Throws
 * `Unstorable` once there is more than a run may leave, or a name that cannot be stored.
 */
export async function unpack(archive: Readable, to: string, limits: OutputLimits): Promise<boolean> {
  const meter = new OutputMeter(limits);
  let found = false;
  for await (const entry of entriesOf(archive)) {
    const inside = insideOf(entry.header.name);
    const { type, size = 0 } = entry.header;
    if (inside !== undefined && inside !== '') meter.add(bytesOf(inside), size);
    if (inside === '' && type === 'directory') {
      found = true;
      await onDisk('copying files out of a run', () => mkdir(to, { recursive: true }));
    }
    if (type === 'file' && inside !== undefined) {
      found = true;
      const target = join(to, inside);
      if (inside === '' && (await statOf(to))?.isDirectory())
        throw new Unstorable(`it left a file in the place of its directory ${entry.header.name}`);
      await onDisk('copying files out of a run', async () => {
        await mkdir(dirname(target), { recursive: true });
        await writeSparse(target, entry as AsyncIterable<Buffer>); // a pipeline from an entry that broke off would never end
      });
    } else entry.resume();
  }
  return found;
}

/** The first bytes of the one file that the engine sends, which sends no more then; undefined where it is no regular file. */
export async function firstFile(archive: Readable, mostBytes: number): Promise<Buffer | undefined> {
  for await (const entry of entriesOf(archive)) {
    if (entry.header.type !== 'file') return undefined;
    const pieces: Buffer[] = [];
    let size = 0;
    for await (const piece of entry as AsyncIterable<Buffer>) {
      pieces.push(piece);
      size += piece.length;
      if (size >= mostBytes) break;
    }
    return Buffer.concat(pieces).subarray(0, mostBytes);
  }
  return undefined;
}

/** The first bytes of those regular files, by name; of an archive that is cut short or garbled, the whole ones before. */
export async function wholeFiles(
  archive: Readable,
  wanted: readonly string[],
  mostBytes: number,
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  try {
    for await (const entry of entriesOf(archive)) {
      const { name, type } = entry.header;
      if (type === 'file' && wanted.includes(name)) files.set(name, await firstBytes(entry, mostBytes));
      else entry.resume();
    }
  } catch {
    // What is missing is asked for by itself.
  }
  return files;
}

async function firstBytes(entry: Entry, mostBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of entry as AsyncIterable<Buffer>) {
    if (size < mostBytes) pieces.push(piece.subarray(0, mostBytes - size));
    size += piece.length;
  }
  return Buffer.concat(pieces);
}

type Entry = Readable & { header: Header };

async function* entriesOf(archive: Readable): AsyncGenerator<Entry> {
  const entries = extract();
  archive.once('error', (error) => entries.destroy(error));
  archive.pipe(entries as unknown as Writable);
  try {
    yield* entries as unknown as AsyncIterable<Entry>;
  } finally {
    archive.destroy(); // what is not read would hold its connection
  }
}

/** An entry's path below the first name, '' for that itself; undefined for one that leads elsewhere. */
function insideOf(name: string): string | undefined {
  const parts = name
    .split('/')
    .slice(1)
    .filter((part) => part !== '');
  return parts.includes('..') ? undefined : parts.join('/');
}

/** A name's bytes; the library puts U+FFFD in the place of what is not UTF-8, which then is not here either. */
function bytesOf(name: string): Buffer {
  return Buffer.from(name, name.includes('\ufffd') ? 'latin1' : 'utf8');
}
