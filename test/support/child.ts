import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Ending {
  status: number | null;
  signal: NodeJS.Signals | null;
}

interface Waiter {
  wanted(line: string): boolean;
  found(line: string): void;
  ended(): void;
}

/** How long to wait for the rest of an ended process's output, which a process that it left behind may hold open. */
const lingerMilliseconds = 1000;

const running = new Set<Child>();
process.on('exit', () => {
  for (const child of running) child.signal('SIGKILL');
});

/** A process that a test started: what it wrote, how it ended. It never outlives the test's own process. */
export class Child {
  readonly pid: number;
  /** Resolves when the process has ended and its output has been read. */
  readonly exited: Promise<Ending>;
  stdout = '';
  stderr = '';
  private readonly lines: string[] = [];
  private readonly waiters = new Set<Waiter>();
  private readonly process: ChildProcess;
  private complete = false;

  /** Throws when the program is not there. */
  static async start(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<Child> {
    const process = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    await new Promise<void>((resolve, reject) => process.once('spawn', resolve).once('error', reject));
    return new Child(process, `${command} ${args.join(' ')}`);
  }

  private constructor(
    process: ChildProcess,
    readonly name: string,
  ) {
    this.process = process;
    this.pid = process.pid as number;
    running.add(this);
    const closed = once(process, 'close');
    this.read(process.stdout as Readable, (text) => {
      this.stdout += text;
    });
    this.read(process.stderr as Readable, (text) => {
      this.stderr += text;
    });
    this.exited = once(process, 'exit').then(async ([status, signal]) => {
      running.delete(this);
      await Promise.race([closed, sleep(lingerMilliseconds, undefined, { ref: false })]);
      this.complete = true;
      for (const waiter of this.waiters) waiter.ended();
      return { status, signal };
    });
  }

  get running(): boolean {
    return running.has(this);
  }

  /** Sends a signal; without effect once the process has ended. */
  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** Kills the process, a stopped one too, and waits for its end. */
  async end(): Promise<Ending> {
    this.signal('SIGKILL');
    return this.exited;
  }

  /** The first line of its output, past or to come, that `wanted` accepts. Throws when the process ends without one. */
  line(wanted: (line: string) => boolean, what: string): Promise<string> {
    const known = this.lines.find(wanted);
    if (known !== undefined) return Promise.resolve(known);
    const absent = () =>
      new Error(`${this.name} ended without writing ${what}; it wrote:\n${this.stdout}${this.stderr}`);
    if (this.complete) return Promise.reject(absent());
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        wanted,
        found: (line) => {
          this.waiters.delete(waiter);
          resolve(line);
        },
        ended: () => reject(absent()),
      };
      this.waiters.add(waiter);
    });
  }

  private read(stream: Readable, keep: (text: string) => void): void {
    stream.setEncoding('utf8').on('data', keep);
    createInterface({ input: stream }).on('line', (line) => {
      this.lines.push(line);
      for (const waiter of [...this.waiters]) if (waiter.wanted(line)) waiter.found(line);
    });
  }
}
