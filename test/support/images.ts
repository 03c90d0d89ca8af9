import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { dockerEngine, standInImage } from './docker.js';
import { atEnd } from './scope.js';
import { until } from './until.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);
const gzipMagic = Buffer.of(0x1f, 0x8b);

/** Redis and MariaDB, for containers of a test. */
const services = `FROM debian:bookworm-slim
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \\
    redis-server mariadb-server-core mariadb-client-core && rm -rf /var/lib/apt/lists/*
`;

/** Runs the Docker client; the engine's own builder, unless BuildKit is asked for. */
export async function docker(...args: string[]): Promise<string> {
  await dockerEngine();
  const env = { DOCKER_BUILDKIT: '0', ...process.env };
  const { stdout } = await execute('docker', args, { env, cwd: root, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

/** Builds the image of all roles as anybody would, on official base images or their stand-ins. */
export async function fleetImage(context = root): Promise<string> {
  await dockerEngine();
  await execute(join(root, 'scripts', 'test-base-images'));
  return built('atmos-fleet-test/fleet:local', '--file', join(context, 'docker/Dockerfile'), context);
}

/** Builds the worker into the stand-in for Atmos. */
export async function workerImage(fleet: string, context = root): Promise<string> {
  const from = ['--build-arg', `FLEET=${fleet}`, '--build-arg', `SIMULATOR=${await standInImage()}`];
  return built('atmos-fleet-test/worker:local', '--file', join(context, 'docker/worker.Dockerfile'), ...from, context);
}

/** Which of these texts stand in an image: in any file of any layer, its configuration or its history. */
export async function textsIn(image: string, texts: readonly string[]): Promise<string[]> {
  const saving = spawn('docker', ['save', image], { stdio: ['ignore', 'pipe', 'inherit'] });
  const found = new Set<string>();
  for await (const entry of saving.stdout.pipe(extract())) {
    const packed = await buffer(entry);
    const content = packed.subarray(0, 2).equals(gzipMagic) ? gunzipSync(packed) : packed;
    for (const text of texts) if (content.includes(text)) found.add(text);
  }
  return texts.filter((text) => found.has(text));
}

export async function servicesImage(): Promise<string> {
  const context = await mkdtemp(join(tmpdir(), 'fleet-services-'));
  try {
    await writeFile(join(context, 'Dockerfile'), services);
    return await built('atmos-fleet-test/services:local', context);
  } finally {
    await rm(context, { recursive: true });
  }
}

async function built(tag: string, ...args: string[]): Promise<string> {
  await docker('build', '--quiet', '--force-rm', '--tag', tag, ...args);
  return tag;
}

/** As Kubernetes confines a pod under the policy `restricted`, and with a read-only root. */
const confined = [
  '--read-only',
  '--cap-drop',
  'ALL',
  '--security-opt',
  'no-new-privileges',
  '--tmpfs',
  '/tmp:exec,mode=1777',
];

let networks = 0;

/** A Docker network with the containers of one test; all gone when it ends. */
export class FleetNetwork {
  private readonly containers: string[] = [];

  static async create(): Promise<FleetNetwork> {
    const network = new FleetNetwork(`atmos-fleet-test-${process.pid}-${++networks}`);
    await docker('network', 'create', network.name);
    atEnd(() => network.remove());
    return network;
  }

  private constructor(readonly name: string) {}

  /** Starts a container that others reach by its name; answers its id. */
  async run(alias: string, image: string, args: readonly string[], options: readonly string[] = []): Promise<string> {
    const where = ['--network', this.name, '--network-alias', alias, '--init'];
    const id = await docker('run', '--detach', ...where, ...options, image, ...args);
    this.containers.push(id);
    return id;
  }

  /** Starts a role, confined, with the configuration in that folder and its results as /results. */
  role(alias: string, image: string, args: readonly string[], folder: string): Promise<string> {
    const volumes = ['--volume', `${folder}:/etc/atmos-fleet:ro`, '--volume', `${folder}/results:/results`];
    return this.run(alias, image, args, [...confined, ...volumes]);
  }

  /** Runs a role to its end; answers what it wrote on standard output. */
  command(image: string, args: readonly string[], folder: string): Promise<string> {
    const where = ['--rm', '--network', this.name, ...confined, '--volume', `${folder}:/etc/atmos-fleet:ro`];
    return docker('run', ...where, image, ...args);
  }

  private async remove(): Promise<void> {
    if (this.containers.length > 0) await docker('rm', '--force', '--volumes', ...this.containers);
    await docker('network', 'rm', this.name);
  }
}

/** Does what a test does with a container; where that fails, says what the container wrote last. */
export async function withLog<T>(container: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const { stdout, stderr } = await execute('docker', ['logs', '--tail', '20', container]);
    throw new Error(`${(error as Error).message}; the container wrote:\n${stdout}${stderr}`, { cause: error });
  }
}

/** Waits until a container's own health check is content. */
export async function healthy(container: string): Promise<void> {
  const state = () => docker('inspect', '--format', '{{.State.Status}} {{.State.Health.Status}}', container);
  await withLog(container, () => until(async () => (await state()) === 'running healthy', 'the container is healthy'));
}
