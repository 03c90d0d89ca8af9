import { type ChildProcessByStdio, execFile, spawn } from 'node:child_process';
import { constants as fileConstants } from 'node:fs';
import { chmod, chown, cp, lchown, mkdir } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { MachineFault, messageOf, Unstorable, UsageError } from '../support/errors.js';
import {
  copyFiles,
  everythingBelow,
  onDisk,
  onRunFiles,
  openWay,
  readFirst,
  removeDirectory,
  statOf,
  withRights,
} from '../support/files.js';
import { fullDisk, MachineWatch } from '../support/machine.js';
import { userId } from '../support/owner.js';
import { OwnFolder } from '../support/ownFolder.js';
import { checkOutput, type OutputLimits } from './output.js';
import { cellVariable, killCell, killCellsIn, killGroup, type Mark, marked, markOf } from './processes.js';
import {
  CannotStart,
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
import { firstBytesHere, lookHere, whyNotStartable } from './startable.js';
import { Watch } from './watch.js';

const closeMilliseconds = 1000;
const enterMilliseconds = 10_000;
/** Cleaners of temporary folders go by the age of single files: a checkout that nobody used for longer is in doubt. */
const idleMilliseconds = 43_200_000;
/** Links are copied as they stand: resolved, a relative one would lead back into the original. */
const copyOptions = { recursive: true, mode: fileConstants.COPYFILE_FICLONE, verbatimSymlinks: true };
const folderPrefix = 'atmos-fleet-cells-';

export interface LocalOptions extends OutputLimits {
  /** Where runs get their directories; the system's temporary folder by default. */
  scratch?: string | undefined;
  /** `uid` or `uid:gid` that programs run as; this process's own by default. */
  user?: string | undefined;
  /** Names of variables of this process that programs get too. */
  passEnvironment?: readonly string[] | undefined;
}

interface User {
  uid: number;
  gid: number;
}

/** Programs as child processes of this one, each cell a directory of its own; for machines that hold the simulator. */
export class LocalSandbox implements Sandbox {
  readonly facts: Record<string, string> = { sandbox: 'local' };
  private readonly slots = new Slots((slot) => this.make(slot));
  private readonly folder: OwnFolder;
  private readonly user: User | undefined;
  private made = 0;

  constructor(
    private readonly options: LocalOptions,
    private readonly checkout?: string,
  ) {
    this.user = options.user === undefined ? undefined : userOf(options.user);
    this.folder = new OwnFolder(options.scratch ?? tmpdir(), folderPrefix, this.user !== undefined);
  }

  async prepare(): Promise<void> {
    if (this.user && this.user.uid !== userId && userId !== 0) {
      throw new UsageError('simulator.sandbox.user: only a worker that root started can run programs as another user');
    }
    const own = await this.folder.prepare((left) => killCellsIn(left, basename(left)));
    const full = await onDisk(`preparing ${own}`, () => fullDisk(own));
    if (full !== undefined) throw new MachineFault(`${full}: make room, or set simulator.sandbox.scratch`);
    if (this.user) await seeThatItEnters(this.user, own);
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
    await this.folder.remove();
  }

  private async make(slot: number): Promise<KeptCell> {
    const own = await this.folder.path();
    const number = this.made++;
    const root = join(own, `slot-${slot}-${number}`);
    const cell = new LocalCell(root, markOf(basename(own), number), this.options, this.checkout, this.user);
    return onDisk('making a directory for a run', async () => {
      await cell.fill();
      return cell;
    });
  }
}

class LocalCell implements KeptCell {
  readonly directory: string;
  private readonly temporary: string;
  private discarded = false;
  private idleSince = performance.now();
  /** What went wrong with this machine while a command ran in it. */
  private trouble: string | undefined;

  constructor(
    private readonly root: string,
    private readonly mark: Mark,
    private readonly options: LocalOptions,
    private readonly checkout: string | undefined,
    private readonly user: User | undefined,
  ) {
    this.directory = join(root, 'work');
    this.temporary = join(root, 'tmp');
  }

  /** Another user's program may have laid links in its checkout, which this one's copies would follow. */
  get usable(): boolean {
    return !this.discarded && !(this.user && this.checkout !== undefined);
  }

  async fill(): Promise<void> {
    await mkdir(this.root, { mode: 0o700 });
    await mkdir(this.temporary);
    if (this.checkout === undefined) await mkdir(this.directory);
    else await cp(this.checkout, this.directory, copyOptions);
    await this.handOver(this.temporary);
    await this.handOver(this.directory);
  }

  async settle(): Promise<boolean> {
    this.trouble = undefined;
    const emptied = this.checkout === undefined ? [this.temporary, this.directory] : [this.temporary];
    for (const directory of emptied) {
      await removeDirectory(directory);
      await mkdir(directory);
      await this.handOver(directory);
    }
    this.idleSince = performance.now();
    return true;
  }

  async isIntact(): Promise<boolean> {
    if (this.checkout !== undefined && performance.now() - this.idleSince > idleMilliseconds) return false;
    return (await isDirectory(this.temporary)) && (await isDirectory(this.directory));
  }

  async put(...copies: Copy[]): Promise<void> {
    await onDisk('copying files into a run', async () => {
      for (const { from, to } of copies) {
        const there = join(this.directory, to);
        if (await copyFiles(from, there)) await this.handOver(there);
      }
    });
  }

  take(from: string, to: string): Promise<boolean> {
    return onRunFiles('copying files out of a run', async () => {
      const path = join(this.directory, from);
      if (!(await openWay(this.directory, from))) return false;
      if (await isDirectory(path)) await checkOutput(path, this.options);
      else if (await isDirectory(to)) throw new Unstorable(`it left a file in the place of its directory ${from}`);
      return copyFiles(path, to);
    });
  }

  read(path: string): Promise<Buffer | undefined> {
    return onRunFiles('reading the files of a run', async () => {
      if (!(await openWay(this.directory, path))) return undefined;
      const at = join(this.directory, path);
      return withRights(at, () => readFirst(at, mostBytesRead));
    });
  }

  kindOf(path: string): Promise<FileKind | undefined> {
    return onDisk('looking for the files of a run', () => kindOfFile(join(this.directory, path)));
  }

  discard(): void {
    this.discarded = true;
  }

  async failed(): Promise<void> {
    this.discard();
    if (!(await isDirectory(this.root))) this.trouble ??= `${this.root} was removed while a run was in it`;
    if (this.trouble !== undefined) throw new MachineFault(`A run failed, and may not be why: ${this.trouble}`);
  }

  async end(): Promise<void> {
    this.discard();
    await killCell(this.root, this.mark);
    await onDisk('removing the directory of a run', () => removeDirectory(this.root));
  }

  async execute(command: Command): Promise<Execution> {
    command.signal.throwIfAborted();
    const machine = await MachineWatch.begin(this.root);
    try {
      return await this.executed(command);
    } finally {
      this.trouble ??= await machine.end();
    }
  }

  private async executed(command: Command): Promise<Execution> {
    const child = await this.start(command);
    const watch = new Watch(command, () => killGroup(child.pid));
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => watch.log.add(chunk));
    const closed = new Promise((resolve) => child.once('close', resolve));
    try {
      const status = await exitOf(child);
      killGroup(child.pid);
      await killCell(this.root, this.mark);
      await this.admitUser(false);
      await Promise.race([closed, delay(closeMilliseconds, undefined, { ref: false })]);
      const files = watch.killed ? new Map<string, Buffer>() : await resultsOf(command, (path) => this.read(path));
      return { ...watch.ended(status), files };
    } finally {
      watch.close();
    }
  }

  async problemWith({ argv, environment }: Pick<Command, 'argv' | 'environment'>): Promise<string | undefined> {
    const { PATH: path = '' } = this.variables(environment);
    const place = {
      path,
      directory: this.directory,
      where: 'this machine',
      look: lookHere,
      firstBytes: firstBytesHere,
    };
    return whyNotStartable(argv[0] ?? '', place);
  }

  private variables(environment: Command['environment']): NodeJS.ProcessEnv {
    const passed = this.options.passEnvironment?.map((name) => [name, process.env[name]]) ?? [];
    return {
      PATH: process.env.PATH,
      HOME: this.temporary,
      TMPDIR: this.temporary,
      LANG: 'C.UTF-8',
      ...Object.fromEntries(passed.filter(([, value]) => value !== undefined)),
      ...environment,
      [cellVariable]: this.root,
    };
  }

  /** Throws `CannotStart`, or `MachineFault` where this machine has too little of something. */
  private async start(command: Command): Promise<Child> {
    const { argv, environment } = command;
    const cannot = (why: unknown) => `This machine cannot start '${argv[0]}': ${messageOf(why)}`;
    try {
      const problem = await this.problemWith(command);
      if (problem !== undefined) throw new CannotStart(cannot(problem));
      await this.admitUser(true);
      const child = spawn(...marked(this.mark, argv), {
        cwd: this.directory,
        env: this.variables(environment),
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        ...this.user,
      });
      await new Promise((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', reject);
      });
      return child as Child;
    } catch (error) {
      if (error instanceof CannotStart) throw error;
      throw new MachineFault(cannot(error));
    }
  }

  /**
   * Lets the user that programs run as into the cell, or shuts it. Only while its own command runs it is open: what this process
   * does in it as root cannot meet links that the program of another slot laid, who is the same user.
   */
  private async admitUser(open: boolean): Promise<void> {
    if (this.user) await chmod(this.root, open ? 0o711 : 0o700);
  }

  /** Makes a directory, and all in it, the user's that programs run as. */
  private async handOver(directory: string): Promise<void> {
    if (!this.user) return;
    const { uid, gid } = this.user;
    for await (const { path } of everythingBelow(directory)) {
      await lchown(Buffer.concat([Buffer.from(`${directory}/`), path]), uid, gid);
    }
    await chown(directory, uid, gid);
  }
}

/** One that has started: it has a number, and streams. */
type Child = ChildProcessByStdio<null, Readable, Readable> & { readonly pid: number };

/** The exit status, as a shell would put it. */
function exitOf(child: Child): Promise<number> {
  return new Promise((resolve) => {
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

async function seeThatItEnters(user: User, folder: string): Promise<void> {
  const options = { ...user, cwd: '/', timeout: enterMilliseconds };
  await promisify(execFile)('/bin/sh', ['-c', 'cd "$0"', folder], options).catch(() => {
    const advice = 'every folder above needs the right x for it, see simulator.sandbox.scratch';
    throw new MachineFault(`simulator.sandbox.user: user ${user.uid} cannot enter ${folder}: ${advice}`);
  });
}

function userOf(text: string): User {
  const [uid = 0, gid = uid] = text.split(':').map(Number);
  return { uid, gid };
}

async function isDirectory(path: string): Promise<boolean> {
  return (await statOf(path))?.isDirectory() ?? false;
}
