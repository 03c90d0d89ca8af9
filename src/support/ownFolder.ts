import { constants, readFileSync } from 'node:fs';
import { type FileHandle, lstat, mkdir, mkdtemp, open, readdir, rename, stat, utimes } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { MachineFault } from './errors.js';
import { onDisk, removeDirectory, statOf } from './files.js';
import { userId } from './owner.js';

const socketName = 'owner';
const refreshMs = 3_600_000;
/** Age at which a folder counts as left behind though nobody here can ask its owner, e.g. one of another host, ms. */
const abandonedMs = 86_400_000;

/** This boot of this kernel, the same in every container on it: only there does a socket tell whether its owner lives. */
const kernel = kernelId();

function kernelId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
  } catch {
    return hostname().replaceAll(/[^A-Za-z0-9]/g, '');
  }
}

/**
 * A folder of this process's own below a folder that others may share. It is made exclusively, for this user alone, and holds
 * a socket that this process listens on: whoever is refused there knows that the owner has ended, whatever container either of
 * them runs in. It is kept fresh for those who clean by age.
 */
export class OwnFolder {
  private current: { path: string; inode: number; directory: FileHandle; server: Server } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private making: Promise<string> | undefined;

  constructor(
    private readonly parent: string,
    private readonly prefix: string,
    /** Whether other users may go through it, to what they are given inside. */
    private readonly passable = false,
  ) {}

  /** Its path. Where it is not there, or not any more, it is made. Throws `MachineFault` where it cannot be. */
  async path(): Promise<string> {
    const { current } = this;
    if (current && (await statOf(current.path))?.ino === current.inode) return current.path;
    this.making ??= onDisk(`making a folder in ${this.parent}`, () => this.make()).finally(() => {
      this.making = undefined;
    });
    return this.making;
  }

  /** Makes it, and removes those that ended processes left; `endAll` is called with each of them before. */
  async prepare(endAll: (folder: string) => Promise<void> = async () => {}): Promise<string> {
    const own = await this.path();
    const names = await onDisk(`listing ${this.parent}`, () => readdir(this.parent));
    for (const name of names) {
      if (!name.startsWith(this.prefix)) continue;
      try {
        await this.removeIfLeft(name, own, endAll);
      } catch {
        // Another worker was faster, or it cannot be removed: no reason to run no points here.
      }
    }
    return own;
  }

  /** Removes it. What cannot be removed now goes at the next start on this machine. */
  async remove(): Promise<void> {
    const path = this.current?.path;
    await this.release();
    if (path !== undefined) await removeDirectory(path).catch(() => {});
  }

  private async make(): Promise<string> {
    await this.release();
    await mkdir(this.parent, { recursive: true, mode: this.passable ? 0o711 : 0o700 });
    if (!(await stat(this.parent)).isDirectory()) throw new MachineFault(`${this.parent} is no folder`);
    const path = await mkdtemp(join(this.parent, `${this.prefix}${kernel}-`));
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    if (this.passable) await directory.chmod(0o711);
    const { ino } = await directory.stat();
    this.current = { path, inode: ino, directory, server: await listen(directory, path) };
    this.timer = setInterval(() => this.refresh(path), refreshMs).unref();
    return path;
  }

  private async release(): Promise<void> {
    clearInterval(this.timer);
    const { current } = this;
    this.current = undefined;
    if (!current) return;
    await new Promise((resolve) => current.server.close(resolve));
    await current.directory.close();
  }

  private refresh(path: string): void {
    const now = new Date();
    for (const each of [path, join(path, socketName)]) utimes(each, now, now).catch(() => {}); // made again when it is needed
  }

  /** Of two that find it only one can move it. */
  private async removeIfLeft(name: string, own: string, endAll: (folder: string) => Promise<void>): Promise<void> {
    const path = join(this.parent, name);
    const found = await lstat(path);
    if (!found.isDirectory() || found.uid !== userId) return;
    const askable = name.startsWith(`${this.prefix}${kernel}-`);
    const owner = askable ? await ownerOf(path) : 'unknown';
    // Age counts only where nobody can be asked: a machine that slept for a day has live owners of old folders.
    if (owner !== 'ended' && !(owner === 'unknown' && Date.now() - found.mtimeMs > abandonedMs)) return;
    await endAll(path);
    const claimed = join(own, `left-${name}`);
    await rename(path, claimed);
    await removeDirectory(claimed);
  }
}

/** A short path of a socket: those of sockets are limited to about a hundred bytes. */
function socketIn(directory: FileHandle, path: string): string {
  return process.platform === 'linux' ? `/proc/self/fd/${directory.fd}/${socketName}` : join(path, socketName);
}

/** Where a file system has no sockets, the folder's age alone tells. */
async function listen(directory: FileHandle, path: string): Promise<Server> {
  const server = createServer((caller) => caller.destroy());
  server.unref();
  await new Promise<void>((resolve) => {
    server.once('listening', resolve);
    server.once('error', () => resolve());
    server.listen(socketIn(directory, path));
  });
  return server;
}

async function ownerOf(path: string): Promise<'lives' | 'ended' | 'unknown'> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    return await new Promise((resolve) => {
      const socket = connect(socketIn(directory, path));
      socket.once('connect', () => resolve('lives'));
      socket.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'ECONNREFUSED' ? 'ended' : 'unknown'));
      socket.once('close', () => resolve('unknown'));
      socket.once('connect', () => socket.destroy());
    });
  } finally {
    await directory.close();
  }
}
