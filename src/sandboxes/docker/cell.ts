import { randomUUID } from 'node:crypto';
import { type Duplex, PassThrough, type Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { MachineFault } from '../../support/errors.js';
import { fullDisk } from '../../support/machine.js';
import { lastLines } from '../log.js';
import type { OutputLimits } from '../output.js';
import {
  CannotStart,
  type Command,
  type Copy,
  type Ending,
  type Execution,
  type FileKind,
  mostBytesRead,
  resultsOf,
} from '../sandbox.js';
import type { KeptCell } from '../slots.js';
import { whyNotStartable } from '../startable.js';
import { Watch } from '../watch.js';
import { firstFile, packed, unpack, wholeFiles } from './archive.js';
import { Demultiplexer } from './demux.js';
import { ask, askFor, engineFault } from './engine.js';
import { copiedOut, lookInside, placeIn } from './look.js';

/**
 * A command, and after it its results on standard output: another command costs the engine as much as copying one file.
 * `$0` are the results' paths, with blanks between. Something comes on standard output if the command could be started.
 */
const withResults = [
  'case $1 in */*) [ -f "$1" ] && [ -x "$1" ];; *) command -v "$1" >/dev/null;; esac || exec "$@" >&2',
  '"$@" >&2; status=$?',
  'set -f; tar -cf - $0 2>/dev/null || echo',
  'exit $status',
].join('; ');

/**
 * Empties the directories that are its arguments: all that a program may write to, unless it owns `/dev`. What it left in
 * System V's lists cannot be taken from there by a shell: it fails, and so it does for whatever cannot be removed.
 */
const clear = [
  '[ ! -w /dev ] && find "$@" -mindepth 1 -maxdepth 1 -exec rm -rf {} + || exit 1',
  'for list in shm sem msg; do { read -r _ && ! read -r _; } </proc/sysvipc/$list || exit 1; done',
].join('; ');
const writable = ['/tmp', '/dev/shm', '/dev/mqueue'];

/** Statuses that a shell gives for a command it cannot start; the engine gives them as well. */
const cannotStart = new Set([126, 127]);
const killedStatus = 137;
/** How the container's own process ends when the engine is told to stop. */
const stoppedStatus = 143;
/** The process that keeps a container alive, and the one that reaps orphans. */
const ownProcesses = 2;
/** By which it shows that an entry point ran the command that followed it. */
const probeVariable = 'FLEET_PROBE';
const probeSeconds = 60;
const pollMilliseconds = 2000;
const settleSeconds = 60;
const lingerMilliseconds = 1000;
const endMilliseconds = 30_000;

export interface CellOptions {
  directory: string;
  /** Whether the directory is part of the image. */
  checkout: boolean;
  /** Whether it may be used more than once. */
  warm: boolean;
  /** Whether what a use may write to is known, and so can be cleared for the next. */
  clearable: boolean;
  /** What commands start in; the cell's directory where absent. */
  workdir?: string | undefined;
  /** The words before a command, of a program that runs what follows them. */
  entrypoint: readonly string[];
  /** The image's PATH. */
  path: string;
  /** The image's name, for messages. */
  image: string;
  /** Bytes, for messages. */
  memory: number;
  limits: OutputLimits;
  /** Where the engine keeps its files. */
  disk: string;
}

/** One container. It lives no longer than `lifeline`, the connection that feeds its own process. */
export class DockerCell implements KeptCell {
  readonly directory: string;
  private discarded = false;
  private ending: Promise<void> | undefined;
  /** The status that the container ended with; undefined when the engine did not live to tell. */
  private readonly gone: Promise<number | undefined>;

  constructor(
    private readonly container: Docker.Container,
    private readonly lifeline: Duplex,
    private readonly options: CellOptions,
  ) {
    this.directory = options.directory;
    this.gone = container.wait().then(
      ({ StatusCode }: { StatusCode: number }) => StatusCode,
      () => undefined,
    );
    this.gone.then(() => this.discard());
    lifeline.on('error', () => this.discard());
  }

  get usable(): boolean {
    return this.options.warm && !this.discarded;
  }

  discard(): void {
    this.discarded = true;
  }

  async failed(): Promise<void> {
    this.discard();
    const full = await fullDiskOf(this.options.disk);
    if (full !== undefined) throw new MachineFault(`A run failed, and may not be why: ${full}`);
  }

  async isIntact(): Promise<boolean> {
    return this.usable;
  }

  async put(...copies: Copy[]): Promise<void> {
    const archive = packed(copies, !this.options.checkout);
    const unread = new Promise<never>((_, reject) => archive.once('error', reject));
    const sent = this.container.putArchive(archive, { path: this.directory });
    try {
      await ask('copying files into a container', () => Promise.race([sent, unread]));
    } finally {
      archive.destroy(); // what is not sent would hold its file
    }
  }

  async take(from: string, to: string): Promise<boolean> {
    const read = (archive: Readable) => unpack(archive, to, this.options.limits);
    return (await this.copyOut(from, read)) ?? false;
  }

  read(path: string): Promise<Buffer | undefined> {
    return this.copyOut(path, (archive) => firstFile(archive, mostBytesRead));
  }

  async kindOf(path: string): Promise<FileKind | undefined> {
    return (await lookInside(this.container, `${this.directory}/${path}`))?.kind;
  }

  /**
   * Leaves nothing of a use to the next: no process, no file, no shared memory. A container that has a process too many,
   * or that cannot be cleared, is not used again.
   */
  async settle(): Promise<boolean> {
    if (!this.options.clearable) return false;
    const { Processes } = await ask('listing processes', () => this.container.top());
    if (Processes.length > ownProcesses) return false;
    const { status } = await this.perform({
      argv: ['sh', '-c', clear, 'sh', this.directory, ...writable],
      timeoutSeconds: settleSeconds,
      signal: new AbortController().signal,
    });
    return status === 0;
  }

  end(): Promise<void> {
    this.discard();
    this.ending ??= this.remove();
    return this.ending;
  }

  async problemWith(command: Pick<Command, 'argv' | 'environment' | 'results'>): Promise<string | undefined> {
    const { image, entrypoint, workdir = this.directory } = this.options;
    const beyond = entrypoint.length === 0 ? undefined : await this.beyondEntrypoint(command.environment);
    if (beyond && 'problem' in beyond) return beyond.problem;
    const path = beyond?.path ?? command.environment?.PATH ?? this.options.path;
    const place = placeIn(this.container, image, path, workdir);
    const shell = command.results?.length ? await whyNotStartable('sh', place) : undefined;
    return shell ?? whyNotStartable(command.argv[0] ?? '', place);
  }

  /** The PATH of a command that the entry point runs; or why it runs none. */
  private async beyondEntrypoint(environment: Command['environment']): Promise<{ path: string } | { problem: string }> {
    const { image, entrypoint, path } = this.options;
    const words = `the entry point ${JSON.stringify(entrypoint)} of the image ${image}`;
    const advice = 'with sandbox.entrypoint: clear, commands run without it';
    const mark = randomUUID();
    try {
      const { status, log } = await this.execute({
        argv: ['cat', '/proc/self/environ'],
        environment: { ...environment, [probeVariable]: mark },
        timeoutSeconds: probeSeconds,
        signal: new AbortController().signal,
      });
      // What the entry point printed comes before the first variable.
      const variables = log.split('\0').map((text) => text.slice(text.lastIndexOf('\n') + 1));
      if (variables.includes(`${probeVariable}=${mark}`)) {
        return { path: variables.find((text) => text.startsWith('PATH='))?.slice(5) ?? path };
      }
      const printed = lastLines(log, 3);
      return { problem: `${words} does not run the command after it (status ${status}): ${advice}\n${printed}`.trim() };
    } catch (error) {
      if (!(error instanceof CannotStart)) throw error;
      return { problem: `${words} cannot be started: ${advice}\n${error.message}` };
    }
  }

  execute(command: Command): Promise<Execution> {
    return this.perform({ ...command, argv: [...this.options.entrypoint, ...command.argv] });
  }

  /** Runs a command as it stands, without the entry point. */
  private async perform(command: Command): Promise<Execution> {
    command.signal.throwIfAborted();
    const { argv, environment = {}, results = [] } = command;
    const exec = await ask('starting a command', () =>
      this.container.exec({
        Cmd: results.length === 0 ? [...argv] : ['sh', '-c', withResults, results.join(' '), ...argv],
        Env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
        WorkingDir: this.options.workdir ?? this.directory,
        AttachStdout: true,
        AttachStderr: true,
      }),
    );
    const stream = await ask('starting a command', () => exec.start({ hijack: true, stdin: false }));
    const over = new AbortController();
    const watch = new Watch(command, () => {
      this.end().catch(() => {}); // told to whoever ends the cell after its use
      setTimeout(() => stream.destroy(), endMilliseconds).unref();
    });
    const archive = new PassThrough();
    const sent = wholeFiles(archive, results, mostBytesRead);
    let started = results.length === 0;
    const onStdout = (bytes: Buffer): void => {
      started = true;
      if (results.length === 0) watch.log.add(bytes);
      else if (archive.writable) archive.write(bytes);
    };
    try {
      await Promise.race([outputOf(stream, watch, onStdout), this.endOf(exec, over.signal)]);
      watch.close(); // no time-out strikes a command that has ended
      archive.end();
      if (watch.killed) return { ...watch.ended(killedStatus), files: new Map() };
      const ending = await this.examine(exec, watch, command, started);
      const files = await sent;
      // What did not come with it, as the image has no `tar` or the file is not there, is asked for.
      return { ...ending, files: await resultsOf(command, async (path) => files.get(path) ?? this.read(path)) };
    } finally {
      over.abort();
      watch.close();
      stream.destroy();
      archive.destroy();
    }
  }

  /** Resolves when the engine says that the command has ended, whoever still holds its output. */
  private async endOf(exec: Docker.Exec, signal: AbortSignal): Promise<void> {
    for (;;) {
      await delay(pollMilliseconds, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted) return;
      const { Running } = await ask('watching a command', () => exec.inspect());
      if (!Running) return delay(lingerMilliseconds, undefined, { ref: false });
    }
  }

  private async examine(
    exec: Docker.Exec,
    watch: Watch,
    { argv, results }: Command,
    started: boolean,
  ): Promise<Ending> {
    const found = await askFor('asking how a command ended', () => exec.inspect());
    const status = found?.Running === false ? (found.ExitCode ?? killedStatus) : killedStatus;
    if (found && (found.Pid === 0 || !started) && cannotStart.has(status)) {
      const why = found.Pid === 0 && results ? 'it must hold the program sh' : watch.ended(status).log.trim();
      throw new CannotStart(`The image ${this.options.image} cannot start '${argv[0]}': ${why}`);
    }
    if (status !== killedStatus) return watch.ended(status);
    const limit = `${Math.round(this.options.memory / 2 ** 20)} MiB`;
    const end = await Promise.race([this.gone.then((value) => ({ value })), delay(lingerMilliseconds, undefined)]);
    if (!end) return watch.ended(status, `killed by signal 9, most likely over its memory limit of ${limit}`);
    if (end.value === undefined || end.value === stoppedStatus) {
      throw new MachineFault('A container was stopped from outside, or its Docker engine ended');
    }
    return watch.ended(status, `its container ended with it, with status ${end.value}`);
  }

  /** What is read of the archive of a path in the cell; undefined where there is no such path. */
  private copyOut<T>(path: string, read: (archive: Readable) => Promise<T>): Promise<T | undefined> {
    return copiedOut(this.container, `${this.directory}/${path}`, read);
  }

  /** Where the engine refuses, the container still goes by itself once its lifeline is cut. */
  private async remove(): Promise<void> {
    try {
      await removeContainer(this.container);
    } finally {
      this.lifeline.destroy();
    }
  }
}

/** As `fullDisk`, of an engine that may be on another machine, of whose disk nothing is known here. */
export function fullDiskOf(folder: string): Promise<string | undefined> {
  return fullDisk(folder).catch(() => undefined);
}

/** Removes a container with all it holds, and waits until it is gone; one that is gone, or going, is no error. */
export async function removeContainer(container: Docker.Container): Promise<void> {
  await askFor('removing a container', () =>
    container.remove({ force: true, v: true }).catch((error: { statusCode?: number }) => {
      if (error.statusCode === 409) return container.wait({ condition: 'removed' });
      throw error;
    }),
  );
}

/** Resolves when the output of a command ends. Standard error is logged. */
function outputOf(stream: Duplex, watch: Watch, onStdout: (bytes: Buffer) => void): Promise<void> {
  const frames = new Demultiplexer((bytes, from) => (from === 'stdout' ? onStdout(bytes) : watch.log.add(bytes)));
  stream.on('data', (chunk: Buffer) => frames.add(chunk));
  return new Promise((resolve, reject) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.once('error', (error) => (watch.killed ? resolve() : reject(engineFault('running a command', error))));
  });
}
