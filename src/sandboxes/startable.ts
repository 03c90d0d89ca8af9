import { constants } from 'node:fs';
import { access, realpath, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { readFirst } from '../support/files.js';

/** A file as whoever starts a program finds it, links followed. */
export interface Candidate {
  isFile: boolean;
  isExecutable: boolean;
}

/** Where a program is looked for. */
export interface Place {
  /** Directories with colons between, as in PATH. */
  path: string;
  /** What relative paths set out from. */
  directory: string;
  /** For messages: `this machine`, `the image model`. */
  where: string;
  /** Undefined: nothing is there. */
  look(path: string): Promise<Candidate | undefined>;
  /** The first bytes of a file that is there. */
  firstBytes(path: string, count: number): Promise<Buffer>;
}

/** Enough for a first line, and for what a binary says of itself. */
const headBytes = 4096;

/** The type of the program header that names the loader. */
const interpreterHeader = 3;

type Found = { at: string } | { problem: string };

/**
 * Why a program cannot be started, found without starting it: where it is, its permission, and the interpreter that its
 * first line names. Undefined: it can, as far as can be seen.
 */
export async function whyNotStartable(program: string, place: Place): Promise<string | undefined> {
  const found = await find(program, place);
  if ('problem' in found) return found.problem;
  const head = await place.firstBytes(found.at, headBytes);
  const [, line = ''] = /^#!([^\n]{0,256})/.exec(head.toString('latin1')) ?? [];
  const problem = await problemOfInterpreter(line.trimStart(), place);
  if (problem !== undefined) return `${program}: its first line is ${JSON.stringify(`#!${line}`)}, but ${problem}`;
  const loader = loaderOf(head);
  const loaderProblem = loader === undefined ? undefined : await problemAt(loader, place);
  return loaderProblem && `${program}: a binary that wants the loader ${loader}: ${loaderProblem}`;
}

/** The loader that a dynamically linked binary names (ELF of 64 bits, little-endian); undefined: none is seen. */
function loaderOf(head: Buffer): string | undefined {
  if (head.length < 64 || head.readUInt32BE(0) !== 0x7f454c46 || head[4] !== 2 || head[5] !== 1) return undefined;
  const [first, size, count] = [Number(head.readBigUInt64LE(32)), head.readUInt16LE(54), head.readUInt16LE(56)];
  for (let index = 0; index < count; index++) {
    const at = first + index * size;
    if (size < 56 || at + size > head.length) return undefined;
    if (head.readUInt32LE(at) !== interpreterHeader) continue;
    const [from, length] = [Number(head.readBigUInt64LE(at + 8)), Number(head.readBigUInt64LE(at + 32))];
    return from + length > head.length ? undefined : head.toString('latin1', from, from + length - 1);
  }
  return undefined;
}

async function problemOfInterpreter(line: string, place: Place): Promise<string | undefined> {
  const [interpreter = '', program = ''] = line.split(/[ \t]+/);
  if (interpreter === '') return undefined;
  const found = await find(interpreter, place);
  if ('problem' in found) return found.problem;
  // `env` looks for the program itself; its options and assignments are its own matter.
  if (posix.basename(interpreter) !== 'env' || !/^[^-=][^=]*$/.test(program)) return undefined;
  const named = await find(program, place);
  return 'problem' in named ? named.problem : undefined;
}

async function find(program: string, place: Place): Promise<Found> {
  if (program.includes('/')) {
    const at = posix.resolve(place.directory, program);
    const problem = await problemAt(at, place);
    return problem === undefined ? { at } : { problem: `${program}: ${problem}` };
  }
  let refused: string | undefined;
  for (const directory of place.path.split(':')) {
    const at = posix.resolve(place.directory, directory, program);
    const problem = await problemAt(at, place);
    if (problem === undefined) return { at };
    if (problem !== absentIn(place)) refused ??= `${at}: ${problem}`;
  }
  return { problem: refused ?? `${program}: not found on the PATH (${place.path}) of ${place.where}` };
}

async function problemAt(path: string, place: Place): Promise<string | undefined> {
  const candidate = await place.look(path);
  if (!candidate) return absentIn(place);
  if (!candidate.isFile) return 'not a file that could be started';
  return candidate.isExecutable ? undefined : 'no permission to execute it: chmod +x makes it a program';
}

function absentIn({ where }: Place): string {
  return `no such file on ${where}`;
}

const absent = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'EACCES']);

/** What stands at a path of this machine, for this user. */
export async function lookHere(path: string): Promise<Candidate | undefined> {
  try {
    const isFile = (await stat(path)).isFile();
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    return { isFile, isExecutable };
  } catch (error) {
    if (absent.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

export async function firstBytesHere(path: string, count: number): Promise<Buffer> {
  // A program that may be executed and not read has no first line to see.
  return (await readFirst(await realpath(path), count).catch(() => undefined)) ?? Buffer.alloc(0);
}
