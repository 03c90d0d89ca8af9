import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { constants as fileConstants } from 'node:fs';
import { cp, lstat, mkdir, readdir, statfs } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { MachineFault, messageOf } from '../support/errors.js';
import { copyFiles, onDisk, readFirst, removeDirectory, statOf, withRights } from '../support/files.js';
import { hasEnded, thisProcess, userId } from '../support/owner.js';
import { cellVariable, killAllIn, killGroup } from './processes.js';
import {
  type Cell,
  type Command,
  type Copy,
  type Execution,
  type FileKind,
  mostBytesRead,
  resultsOf,
  type Sandbox,
} from './sandbox.js';
import { type KeptCell, Slots } from './slots.js';
import { Watch } from './watch.js';

const leastFreeBytes = 32 * 1024 * 1024;
const closeMilliseconds = 1000;
/** Links are copied as they stand: resolved, a relative one would lead back into the original. */
const copyOptions = { recursive: true, mode: fileConstants.COPYFILE_FICLONE, verbatimSymlinks: true };

/** Where cells lie unless the configuration says otherwise: apart for each user. */
export const defaultScratch = join(tmpdir(), `atmos-fleet-${userId}`);

/** Programs as child processes of this one, each cell a directory of its own; for machines that hold the simulator. */
export class LocalSandbox implements Sandbox {
  readonly facts: Record<string, string> = { sandbox: 'local' };
  private readonly slots = new Slots((slot) => this.make(slot));
  private readonly own: string;
  private made = 0;

  constructor(
    private readonly scratch: string = defaultScratch,
    private readonly checkout?: string,
  ) {
    this.own = join(scratch, thisProcess);
  }

  async prepare(): Promise<void> {
    await onDisk(`preparing ${this.scratch}`, async () => {
      await mkdir(this.own, { recursive: true, mode: 0o700 });
      const { uid } = await lstat(this.scratch);
      if (uid !== userId) throw new MachineFault(`${this.scratch} belongs to another user: set sandbox.scratch`);
      await this.removeLeftovers();
      const { bavail, bsize } = await statfs(this.scratch);
      if (bavail * bsize < leastFreeBytes) throw new MachineFault(`The disk of ${this.scratch} is full: make room`);
    });
    if (this.checkout !== undefined && !(await isDirectory(this.checkout))) {
      throw new MachineFault(
        `There is no directory ${this.checkout} here: install the simulator, or set sandbox.directory`,
      );
    }
  }

  use<T>(slot: number, work: (cell: Cell) => Promise<T>): Promise<T> {
    return this.slots.use(slot, work);
  }

  async close(): Promise<void> {
    await this.slots.close();
    await removeDirectory(this.own).catch(() => {}); // the next start on this machine removes it
  }

  private async removeLeftovers(): Promise<void> {
    for (const owner of await readdir(this.scratch)) {
      if (!hasEnded(owner)) continue;
      await killAllIn(join(this.scratch, owner));
      await removeDirectory(join(this.scratch, owner));
    }
  }

  private make(slot: number): Promise<KeptCell> {
    const cell = new LocalCell(join(this.own, `slot-${slot}-${this.made++}`), this.checkout);
    return onDisk('making a directory for a run', async () => {
      await cell.fill();
      return cell;
    });
  }
}

class LocalCell implements KeptCell {
  readonly directory: string;
  usable = true;
  private readonly temporary: string;

  constructor(
    private readonly root: string,
    private readonly checkout: string | undefined,
  ) {
    this.directory = join(root, 'work');
    this.temporary = join(root, 'tmp');
  }

  async fill(): Promise<void> {
    await mkdir(this.temporary, { recursive: true });
    if (this.checkout === undefined) await mkdir(this.directory);
    else await cp(this.checkout, this.directory, copyOptions);
  }

  async settle(): Promise<boolean> {
    await removeDirectory(this.temporary);
    await mkdir(this.temporary);
    if (this.checkout !== undefined) return true;
    await removeDirectory(this.directory);
    await mkdir(this.directory);
    return true;
  }

  async put(...copies: Copy[]): Promise<void> {
    await onDisk('copying files into a run', async () => {
      for (const { from, to } of copies) await copyFiles(from, join(this.directory, to));
    });
  }

  take(from: string, to: string): Promise<boolean> {
    const copy = () => copyFiles(join(this.directory, from), to);
    return onDisk('copying files out of a run', () => withRights(copy, this.root, to));
  }

  read(path: string): Promise<Buffer | undefined> {
    const read = () => readFirst(join(this.directory, path), mostBytesRead);
    return onDisk('reading the files of a run', () => withRights(read, this.root));
  }

  kindOf(path: string): Promise<FileKind | undefined> {
    return onDisk('looking for the files of a run', () => kindOfFile(join(this.directory, path)));
  }

  discard(): void {
    this.usable = false;
  }

  async end(): Promise<void> {
    this.usable = false;
    await killAllIn(this.root);
    await onDisk('removing the directory of a run', () => removeDirectory(this.root));
  }

  async execute(command: Command): Promise<Execution> {
    command.signal.throwIfAborted();
    const child = this.start(command);
    const watch = new Watch(command, () => child.pid !== undefined && killGroup(child.pid));
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => watch.log.add(chunk));
    const closed = new Promise((resolve) => child.once('close', resolve));
    try {
      const status = await exitOf(child, command);
      if (child.pid !== undefined) killGroup(child.pid);
      await killAllIn(this.root);
      await Promise.race([closed, delay(closeMilliseconds, undefined, { ref: false })]);
      const files = watch.killed ? new Map<string, Buffer>() : await resultsOf(command, (path) => this.read(path));
      return { ...watch.ended(status), files };
    } finally {
      watch.close();
    }
  }

  private start({ argv: [program = '', ...rest], environment }: Command): Child {
    return spawn(program, rest, {
      cwd: this.directory,
      env: {
        PATH: process.env.PATH,
        HOME: this.temporary,
        TMPDIR: this.temporary,
        LANG: 'C.UTF-8',
        ...environment,
        [cellVariable]: this.root,
      },
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** The exit status, as a shell would put it. Throws `MachineFault` where the command could not be started. */
function exitOf(child: Child, { argv }: Command): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(new MachineFault(`This machine cannot start '${argv[0]}': ${messageOf(error)}`, { cause: error })),
    );
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

async function kindOfFile(path: string): Promise<FileKind | undefined> {
  const found = await statOf(path);
  if (!found) return undefined;
  if (found.isFile()) return 'regular file';
  if (found.isDirectory()) return 'directory';
  if (found.isSymbolicLink()) return 'symbolic link';
  if (found.isFIFO()) return 'named pipe';
  return found.isSocket() ? 'socket' : 'device';
}

async function isDirectory(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined))?.isDirectory() ?? false;
}
