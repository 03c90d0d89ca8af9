import { execFile } from 'node:child_process';
import { access, lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Docker from 'dockerode';
import { type Pack, pack } from 'tar-stream';
import { ownerLabel } from '../../src/sandboxes/docker/sandbox.js';
import { regularFiles } from '../../src/support/files.js';
import { thisProcess } from '../../src/support/owner.js';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const busyboxTag = 'atmos-fleet-test/busybox:local';
const standInTag = 'atmos-fleet-test/atmos-standin:local';

let engine: Promise<Docker> | undefined;

/** A real engine: the one that answers, or one that is started for the tests. `DOCKER_HOST` names it from here on. */
export function dockerEngine(): Promise<Docker> {
  engine ??= run(join(root, 'scripts', 'test-docker-engine')).then(({ stdout }) => {
    process.env.DOCKER_HOST = stdout.trim();
    return new Docker();
  });
  return engine;
}

/** A small image with a shell, made of this machine's own BusyBox: no registry is needed. */
export async function busyboxImage(): Promise<string> {
  const engine = await dockerEngine();
  if (await isThere(engine, busyboxTag)) return busyboxTag;
  return imageWith(busyboxTag);
}

/** An image of BusyBox, other files and what a Dockerfile would say after that, e.g. `VOLUME /data`. */
export async function imageWith(tag: string, files: File[] = [], instructions: string[] = []): Promise<string> {
  const archive = pack();
  archive.entry({ name: 'bin/busybox', mode: 0o755 }, await readFile(await busybox()));
  const { stdout } = await run('busybox', ['--list']);
  for (const name of stdout.trim().split('\n')) {
    if (name !== 'busybox') archive.entry({ name: `bin/${name}`, type: 'symlink', linkname: 'busybox' });
  }
  archive.entry({ name: 'tmp', type: 'directory', mode: 0o1777 });
  archive.entry({ name: 'etc/passwd' }, 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
  for (const { name, content, mode = 0o755 } of files) archive.entry({ name: name.slice(1), mode }, content);
  await importImage(await dockerEngine(), archive, tag, instructions);
  return tag;
}

/** A program of this machine with the libraries that it needs. */
export async function programFiles(program: string): Promise<File[]> {
  const { stdout } = await run('ldd', [program]);
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path as string);
  return Promise.all([program, ...libraries].map(async (name) => ({ name, content: await readFile(name) })));
}

interface File {
  /** An absolute path. */
  name: string;
  content: string | Buffer;
  mode?: number;
}

/** The stand-in for Atmos, built as it is for anybody. */
export async function standInImage(): Promise<string> {
  const [engine, base] = [await dockerEngine(), await busyboxImage()];
  const context = join(root, 'docker', 'atmos-standin');
  const archive = pack();
  for await (const name of regularFiles(context)) {
    const { mode } = await lstat(join(context, name));
    archive.entry({ name, mode }, await readFile(join(context, name)));
  }
  archive.finalize();
  const options = { t: standInTag, buildargs: { BASE: base }, forcerm: true };
  await succeeded(await engine.buildImage(Readable.from(archive), options));
  return standInTag;
}

/** The containers of a process, by default this one; all there are, running or not. */
export async function containersOf(owner = thisProcess): Promise<Docker.ContainerInfo[]> {
  const filters = { label: [`${ownerLabel}=${owner}`] };
  return (await dockerEngine()).listContainers({ all: true, filters });
}

export async function importImage(
  engine: Docker,
  archive: Pack,
  tag: string,
  instructions: string[] = [],
): Promise<void> {
  archive.finalize();
  const [repo, version] = tag.split(':');
  // The types know of a file name only.
  const body = Readable.from(archive) as unknown as string;
  await succeeded(await engine.importImage(body, { repo, tag: version, changes: instructions }));
}

async function succeeded(progress: NodeJS.ReadableStream): Promise<void> {
  for await (const line of createInterface(progress)) {
    const { error } = line.trim() === '' ? {} : JSON.parse(line);
    if (error !== undefined) throw new Error(error);
  }
}

async function isThere(engine: Docker, tag: string): Promise<boolean> {
  return engine
    .getImage(tag)
    .inspect()
    .then(
      () => true,
      () => false,
    );
}

/** A statically linked BusyBox, as Debian's busybox-static has it. */
async function busybox(): Promise<string> {
  const path = '/usr/bin/busybox';
  const there = await access(path).then(
    () => true,
    () => false,
  );
  if (!there) await run('apt-get', ['-o', 'DPkg::Lock::Timeout=300', 'install', '-y', '-qq', 'busybox-static']);
  return path;
}
