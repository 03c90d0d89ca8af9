import { randomBytes } from 'node:crypto';
import { constants, type Dirent, type OpenDirOptions, type Stats } from 'node:fs';
import {
  chmod,
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  open,
  opendir,
  rename,
  rmdir,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MachineFault, messageOf, Unstorable } from './errors.js';

/** No such thing can be there, also because its name is too long or leads in a circle. */
const absent = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP']);
/** What names cause, whatever the state of the disk. */
const ofNames = new Set(['ENAMETOOLONG', 'EILSEQ', 'ELOOP']);
/** What a program's own files cause besides. */
const ofRights = new Set(['EACCES', 'EPERM']);
/** Set-user-id, set-group-id and sticky: no copy has them. */
const specialBits = 0o7000;
const removalRounds = 3;
const pieceBytes = 64 * 1024;
const zeros = Buffer.alloc(pieceBytes);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * What `work` throws because of this machine's disk, turned into a `MachineFault` that says what was being done; what
 * file names cause says something about the run that chose them, and becomes `Unstorable`.
 */
export async function onDisk<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error;
    if (ofNames.has(codeOf(error))) {
      throw new Unstorable(`${doing} failed, for the name of a file: ${beginning(error)}`, { cause: error });
    }
    throw new MachineFault(`This machine's disk failed while ${doing}: ${messageOf(error)}`, { cause: error });
  }
}

/** As `onDisk`, where files are read that a program wrote: those it shut its user out of are its own fault too. */
export function onRunFiles<T>(doing: string, work: () => Promise<T>): Promise<T> {
  return onDisk(doing, async () => {
    try {
      return await work();
    } catch (error) {
      if (!ofRights.has(codeOf(error))) throw error;
      throw new Unstorable(`${doing} failed, for the rights of a file: ${beginning(error)}`, { cause: error });
    }
  });
}

/** A name may be long. */
function beginning(error: unknown): string {
  return messageOf(error).slice(0, 200);
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? '';
}

/** A name as text; undefined where its bytes are not UTF-8. */
export function textOf(name: Buffer): string | undefined {
  try {
    return utf8.decode(name);
  } catch {
    return undefined;
  }
}

type Listed = Dirent & { name: Buffer };

/** The entries of a directory; names are bytes. */
async function entriesOf(directory: string | Buffer): Promise<AsyncIterable<Listed>> {
  const options = { encoding: 'buffer' } as unknown as OpenDirOptions; // absent from the types
  return (await opendir(directory as string, options)) as unknown as AsyncIterable<Listed>;
}

function inside(directory: string | Buffer, name: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from(directory), Buffer.from('/'), Buffer.from(name)]);
}

/**
 * The regular files below a directory, as paths relative to it. Passed over are links, devices, and names that are not UTF-8:
 * no run's output has those.
 */
export async function* regularFiles(directory: string, below = ''): AsyncGenerator<string> {
  for await (const entry of await entriesOf(join(directory, below))) {
    const name = textOf(entry.name);
    if (name === undefined) continue;
    const path = join(below, name);
    if (entry.isDirectory()) yield* regularFiles(directory, path);
    else if (entry.isFile()) yield path;
  }
}

/** All that lies below a directory that a program wrote, by paths relative to it, each directory before what is in it. */
export async function* everythingBelow(directory: string): AsyncGenerator<{ path: Buffer; bytes: number }> {
  const pending: Buffer[] = [Buffer.alloc(0)];
  for (let below = pending.pop(); below !== undefined; below = pending.pop()) {
    const at = below.length === 0 ? Buffer.from(directory) : inside(directory, below);
    await takeRights(at);
    for await (const entry of await entriesOf(at)) {
      const path = below.length === 0 ? entry.name : inside(below, entry.name);
      const bytes = entry.isFile() ? (await lstat(inside(at, entry.name))).size : 0;
      yield { path, bytes };
      if (entry.isDirectory()) pending.push(path);
    }
  }
}

/** The first bytes of a regular file; undefined where there is none. */
export async function readFirst(path: string, mostBytes: number): Promise<Buffer | undefined> {
  const found = await statOf(path);
  if (!found?.isFile()) return undefined;
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
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

async function copy(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  await withRights(from, async () => {
    const { size, blocks, mode } = await lstat(from);
    const plain = blocks * 512 >= size && (mode & specialBits) === 0;
    if (plain) return copyFile(from, to, constants.COPYFILE_FICLONE);
    const source = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW);
    await writeSparse(to, source.createReadStream({ highWaterMark: pieceBytes }));
  });
}

/** Writes a file in which whole pieces of zeros take no room on the disk. */
export async function writeSparse(path: string, content: AsyncIterable<Buffer>): Promise<void> {
  const file = await open(path, 'w');
  try {
    let position = 0;
    for await (const chunk of content) {
      await writePieces(file, chunk, position);
      position += chunk.length;
    }
    await file.truncate(position);
  } finally {
    await file.close();
  }
}

async function writePieces(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; at += pieceBytes) {
    const piece = chunk.subarray(at, at + pieceBytes);
    if (!piece.equals(zeros.subarray(0, piece.length))) await writeAll(file, piece, position + at);
  }
}

async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}

/**
 * Removes what stands at a path, a directory with all in it; it need not be there. Directories are moved up before they are
 * emptied: no path is longer than that of what is removed and two names, however deep it goes.
 */
export async function removeDirectory(directory: string): Promise<void> {
  const found = await statOf(directory);
  if (!found) return;
  if (!found.isDirectory()) return unlessGone(unlink(directory));
  for (let round = 1; ; round++) {
    await emptyDirectory(directory);
    try {
      return await unlessGone(rmdir(directory));
    } catch (error) {
      if (codeOf(error) !== 'ENOTEMPTY' || round === removalRounds) throw error;
    }
  }
}

async function emptyDirectory(top: string): Promise<void> {
  const prefix = `.removing-${randomBytes(8).toString('hex')}-`;
  const pending: (string | Buffer)[] = [top];
  let moved = 0;
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    await unlessGone(takeRights(directory));
    for await (const entry of await entriesOf(directory)) {
      const path = inside(directory, entry.name);
      if (!entry.isDirectory()) await unlessGone(unlink(path));
      else if (directory === top) pending.push(path);
      else {
        await takeRights(path); // one that may not be written to cannot change its place
        const up = join(top, `${prefix}${moved++}`);
        await rename(path, up);
        pending.push(up);
      }
    }
    // Those right below the top are emptied one by one: what came up meanwhile lies beside them.
    if (directory !== top) await unlessGone(rmdir(directory));
  }
}

async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** Writes a file in the place of whatever stands there, a directory too. */
export async function writeInstead(path: string, content: string): Promise<void> {
  await removeDirectory(path);
  await writeFile(path, content);
}

/** Does what a program may have shut this user out of: where that is so, once more with the owner's rights on that path. */
export async function withRights<T>(path: string | Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) !== 'EACCES') throw error;
    const found = await lstat(path);
    if (found.isFile()) await chmod(path, (found.mode & 0o7777) | 0o600);
    return work();
  }
}

/**
 * Makes a path below a directory one that can be read, whatever rights a program took away on the way. False: something on
 * the way is no directory, a link for example.
 */
export async function openWay(directory: string, path: string): Promise<boolean> {
  let at = directory;
  for (const part of ['.', ...path.split('/').slice(0, -1)]) {
    at = join(at, part);
    if (!(await statOf(at))?.isDirectory()) return false;
    await takeRights(at);
  }
  return true;
}

/** Gives the owner all rights on a directory. */
async function takeRights(directory: string | Buffer): Promise<void> {
  const { mode } = await lstat(directory);
  if ((mode & 0o700) !== 0o700) await chmod(directory, (mode & 0o7777) | 0o700);
}

/** What stands at a path, a link itself and not what it leads to; undefined where nothing does. */
export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (absent.has(codeOf(error))) return undefined;
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
