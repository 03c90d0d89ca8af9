import { readFile, statfs } from 'node:fs/promises';

/** Below either of them a disk counts as full. */
const minFreeBytes = 32 * 1024 * 1024;
const minFreeFiles = 1024;
const sampleMs = 250;

/** Why nothing more fits on the disk of a folder; undefined where something does. */
export async function fullDisk(folder: string): Promise<string | undefined> {
  const { bavail, bsize, files, ffree } = await statfs(folder);
  if (bavail * bsize < minFreeBytes) return `the disk of ${folder} is full: less than 32 MiB are free`;
  if (files > 0 && ffree < minFreeFiles) return `the disk of ${folder} is full: it has fewer than 1,024 inodes left`;
  return undefined;
}

/** How many processes the kernel has killed for want of memory: in this process's control group, or else on this machine. */
export async function memoryKills(): Promise<number> {
  for (const path of await memoryFiles()) {
    const text = await readFile(path, 'latin1').catch(() => '');
    const [, count] = /^oom_kill (\d+)$/m.exec(text) ?? [];
    if (count !== undefined) return Number(count);
  }
  return 0;
}

/** In a container the own group is the root of what is mounted, whatever its name outside. */
async function memoryFiles(): Promise<string[]> {
  const groups = await readFile('/proc/self/cgroup', 'latin1').catch(() => '');
  const [, second = '/'] = /^0::(.*)$/m.exec(groups) ?? [];
  const [, first = '/'] = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)$/m.exec(groups) ?? [];
  return [
    `/sys/fs/cgroup/memory${first}/memory.oom_control`,
    '/sys/fs/cgroup/memory/memory.oom_control',
    `/sys/fs/cgroup${second}/memory.events`,
    '/proc/vmstat',
  ];
}

/** Watches a machine while a program runs on it, for what may fail the program without its fault. */
export class MachineWatch {
  private low: string | undefined;
  private readonly timer: NodeJS.Timeout;

  private constructor(
    private readonly folder: string,
    private readonly killsBefore: number,
  ) {
    // A program that met a full disk may have made room again by the time it ends.
    this.timer = setInterval(() => this.sample(), sampleMs).unref();
  }

  static async begin(folder: string): Promise<MachineWatch> {
    return new MachineWatch(folder, await memoryKills());
  }

  /** Ends the watch, and answers what went wrong with the machine since it began. */
  async end(): Promise<string | undefined> {
    clearInterval(this.timer);
    await this.sample();
    if (this.low !== undefined) return this.low;
    const killed = (await memoryKills()) > this.killsBefore;
    return killed ? 'this machine, or the container that the worker is in, ran out of memory' : undefined;
  }

  private async sample(): Promise<void> {
    this.low ??= await fullDisk(this.folder).catch(() => undefined); // a folder that is gone is noticed elsewhere
  }
}
