import type { Duplex, Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { MachineFault } from '../../support/errors.js';
import { type Command, type Copy, type Execution, mostBytesRead } from '../sandbox.js';
import type { KeptCell } from '../slots.js';
import { Watch } from '../watch.js';
import { firstFile, packed, unpack } from './archive.js';
import { Demultiplexer } from './demux.js';
import { ask, askFor, engineFault } from './engine.js';

/** Statuses that a shell gives for a command it cannot start; the engine gives them as well. */
const cannotStart = new Set([126, 127]);
const killedStatus = 137;
/** How the container's own process ends when the engine is told to stop. */
const stoppedStatus = 143;
/** The process that keeps a container alive, and the one that reaps orphans. */
const ownProcesses = 2;
const pollMilliseconds = 2000;
const settleSeconds = 60;
const lingerMilliseconds = 1000;
const endMilliseconds = 30_000;

export interface CellOptions {
  directory: string;
  /** Whether the directory is part of the image, kept from one use to the next. */
  checkout: boolean;
  /** Whether it may be used more than once. */
  warm: boolean;
  /** For messages. */
  image: string;
  /** Bytes, for messages. */
  memory: number;
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

  async put(...copies: Copy[]): Promise<void> {
    const archive = packed(copies, !this.options.checkout);
    const unread = new Promise<never>((_, reject) => archive.once('error', reject));
    const sent = this.container.putArchive(archive, { path: this.directory });
    await ask('copying files into a container', () => Promise.race([sent, unread]));
  }

  async take(from: string, to: string): Promise<boolean> {
    const archive = await this.archive(from);
    return archive ? unpack(archive, to) : false;
  }

  async read(path: string): Promise<Buffer | undefined> {
    const archive = await this.archive(path);
    return archive && firstFile(archive, mostBytesRead);
  }

  /**
   * A container with a process that a run left behind, or whose space cannot be emptied, is not used again. A checkout is
   * restored by the simulator that knows what lies in it.
   */
  async settle(): Promise<boolean> {
    const { Processes } = await ask('listing processes', () => this.container.top());
    if (Processes.length > ownProcesses) return false;
    if (this.options.checkout) return true;
    const { status } = await this.execute({
      argv: ['find', this.directory, '/tmp', '-mindepth', '1', '-maxdepth', '1', '-exec', 'rm', '-rf', '{}', '+'],
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

  async execute(command: Command): Promise<Execution> {
    command.signal.throwIfAborted();
    const exec = await ask('starting a command', () =>
      this.container.exec({
        Cmd: [...command.argv],
        Env: Object.entries(command.environment ?? {}).map(([name, value]) => `${name}=${value}`),
        AttachStdout: true,
        AttachStderr: true,
      }),
    );
    const stream = await ask('starting a command', () => exec.start({ hijack: true, stdin: false }));
    const over = new AbortController();
    const watch = new Watch(command, () => {
      this.end().catch(() => {});
      setTimeout(() => stream.destroy(), endMilliseconds).unref();
    });
    try {
      await Promise.race([outputOf(stream, watch), this.endOf(exec, over.signal)]);
      if (watch.killed) return watch.execution(killedStatus);
      return await this.examine(exec, watch, command);
    } finally {
      over.abort();
      watch.close();
      stream.destroy();
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

  private async examine(exec: Docker.Exec, watch: Watch, { argv }: Command): Promise<Execution> {
    const found = await askFor('asking how a command ended', () => exec.inspect());
    const status = found?.Running === false ? (found.ExitCode ?? killedStatus) : killedStatus;
    if (found && found.Pid === 0 && cannotStart.has(status)) {
      throw new MachineFault(
        `The image ${this.options.image} cannot start '${argv[0]}': ${watch.execution(status).log.trim()}`,
      );
    }
    if (status !== killedStatus) return watch.execution(status);
    const limit = `${Math.round(this.options.memory / 2 ** 20)} MiB`;
    const end = await Promise.race([this.gone.then((value) => ({ value })), delay(lingerMilliseconds, undefined)]);
    if (!end) return watch.execution(status, `killed by signal 9, most likely over its memory limit of ${limit}`);
    if (end.value === undefined || end.value === stoppedStatus) {
      throw new MachineFault('A container was stopped from outside, or its Docker engine ended');
    }
    return watch.execution(status, `its container ended with it, with status ${end.value}`);
  }

  private archive(path: string): Promise<Readable | undefined> {
    return askFor('copying files out of a container', async () => {
      const archive = await this.container.getArchive({ path: `${this.directory}/${path}` });
      return archive as Readable;
    });
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

/** Removes a container with all it holds, and waits until it is gone; one that is gone, or going, is no error. */
export async function removeContainer(container: Docker.Container): Promise<void> {
  await askFor('removing a container', () =>
    container.remove({ force: true, v: true }).catch((error: { statusCode?: number }) => {
      if (error.statusCode === 409) return container.wait({ condition: 'removed' });
      throw error;
    }),
  );
}

/** Resolves when the output of a command ends. */
function outputOf(stream: Duplex, watch: Watch): Promise<void> {
  const frames = new Demultiplexer((bytes) => watch.log.add(bytes));
  stream.on('data', (chunk: Buffer) => frames.add(chunk));
  return new Promise((resolve, reject) => {
    stream.once('end', resolve);
    stream.once('close', resolve);
    stream.once('error', (error) => (watch.killed ? resolve() : reject(engineFault('running a command', error))));
  });
}
