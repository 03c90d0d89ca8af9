import { posix } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { MachineFault } from '../../support/errors.js';
import { ask, askFor, pullSilenceSeconds, readAll } from './engine.js';
import { credentialsFor } from './registry.js';

/** Where runs without a checkout have their files. */
export const scratchDirectory = '/fleet';
/** What the engine gives a container whose image has no PATH. */
const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const ownMounts = [scratchDirectory, '/tmp', '/dev/shm'];

export type PullPolicy = 'missing' | 'always' | 'never';

/** An image as the engine has it. */
export interface Image {
  /** What containers are made of, whatever the name means later. */
  id: string;
  /** The registry's digest of it; its id where it never came from a registry. */
  digest: string;
  /** The user that it wants to run as; empty means root. */
  user: string;
  /** The words that it wants before a command; its program by its whole path where that is relative. */
  entrypoint: string[];
  workdir: string;
  path: string;
  /** Directories that it declares to be volumes: each container has them writable, with the image's files in them. */
  volumes: string[];
}

/** What a line of a pull's progress may hold. */
interface Progress {
  status?: string;
  id?: string;
  error?: string;
}

/** What the engine knows of an image; undefined where it is not on this machine. */
export function inspect(engine: Docker, name: string): Promise<Docker.ImageInspectInfo | undefined> {
  return askFor('looking for the image', () => engine.getImage(name).inspect());
}

/** Finds the image, pulled as the policy says. Throws `MachineFault` where it cannot be had, and the signal's reason when aborted. */
export async function obtain(
  engine: Docker,
  name: string,
  policy: PullPolicy,
  note: (sentence: string) => void,
  signal?: AbortSignal,
): Promise<Image> {
  const present = policy === 'always' ? undefined : await inspect(engine, name);
  if (!present && policy === 'never') {
    throw new MachineFault(`The image ${name} is not on this machine, and sandbox.pull is never: pull or build it`);
  }
  if (!present) {
    await pull(engine, name, note, signal).catch((error) => {
      signal?.throwIfAborted();
      throw error;
    });
  }
  const found = present ?? (await inspect(engine, name));
  if (!found) throw new MachineFault(`The image ${name} was pulled, but is not there`);
  const { Id, RepoDigests = [], Config } = found;
  return {
    id: Id,
    digest: RepoDigests[0] ?? Id,
    user: Config.User,
    ...commandsOf(Config),
    volumes: volumesOf(Config),
  };
}

function commandsOf({ Entrypoint, WorkingDir, Env }: Config): Pick<Image, 'entrypoint' | 'workdir' | 'path'> {
  const workdir = WorkingDir || '/';
  const [program = '', ...rest] = typeof Entrypoint === 'string' ? [Entrypoint] : (Entrypoint ?? []);
  const absolute = program.includes('/') ? posix.resolve(workdir, program) : program;
  const path = Env?.find((variable) => variable.startsWith('PATH='))?.slice(5) ?? defaultPath;
  return { entrypoint: program === '' ? [] : [absolute, ...rest], workdir, path };
}

type Config = Docker.ImageInspectInfo['Config'];

/** But for those that every container has in memory. */
function volumesOf({ Volumes }: Config): string[] {
  const paths = Object.keys(Volumes ?? {}).map((path) => posix.resolve('/', path));
  return paths.filter((path) => !ownMounts.includes(path));
}

async function pull(
  engine: Docker,
  name: string,
  note: (sentence: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const authconfig = await credentialsFor(name, note);
  // A name without a tag would mean every tag of it.
  const one = /[@:][^/]*$/.test(name) ? name : `${name}:latest`;
  const doing = `pulling the image ${one}`;
  note(doing);
  const stream = await ask(doing, () =>
    engine.pull(one, { ...(authconfig && { authconfig }), ...(signal && { abortSignal: signal }) }),
  );
  const report = new Report(doing, note);
  await readAll(doing, stream as Readable, pullSilenceSeconds, (progress) => follow(progress, report));
  note(`pulled the image ${one}`);
}

/** Reads a pull's progress to its end. Throws where it tells of an error. */
async function follow(stream: Readable, report: Report): Promise<void> {
  for await (const line of createInterface(stream)) {
    const progress: Progress = line === '' ? {} : JSON.parse(line);
    if (progress.error !== undefined) throw new Error(progress.error);
    report.add(progress);
  }
}

const reportMilliseconds = 5000;
const finished = new Set(['Pull complete', 'Already exists']);

/** Says now and then how many layers of a pull are there. */
class Report {
  private readonly layers = new Map<string, boolean>();
  private last = Date.now();

  constructor(
    private readonly doing: string,
    private readonly note: (sentence: string) => void,
  ) {}

  add({ id, status = '' }: Progress): void {
    if (id === undefined || status.startsWith('Pulling from')) return;
    this.layers.set(id, finished.has(status));
    if (Date.now() - this.last < reportMilliseconds) return;
    this.last = Date.now();
    const there = [...this.layers.values()].filter(Boolean).length;
    this.note(`${this.doing}: ${there} of ${this.layers.size} layers are there`);
  }
}
