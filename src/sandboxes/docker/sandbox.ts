import type { Duplex } from 'node:stream';
import type Docker from 'dockerode';
import { MachineFault, UsageError } from '../../support/errors.js';
import { hasEnded, thisProcess } from '../../support/owner.js';
import type { OutputLimits } from '../output.js';
import type { Cell, Sandbox } from '../sandbox.js';
import { type KeptCell, Slots } from '../slots.js';
import { whyNotStartable } from '../startable.js';
import { DockerCell, fullDiskOf, removeContainer } from './cell.js';
import { ask, connect } from './engine.js';
import { type Image, inspect, obtain, type PullPolicy, scratchDirectory } from './image.js';
import { placeIn } from './look.js';

/** The label that says which process a container or volume belongs to. */
export const ownerLabel = 'io.atmos-fleet.owner';

const ownLabels = { [ownerLabel]: thisProcess };

/** The program of a container: it ends when its input does. */
const keeper = 'cat';
const nobody = '65534:65534';
/** Age at which a container that never ran counts as left behind, whoever made it, s. */
const abandonedSeconds = 600;

export interface DockerOptions extends OutputLimits {
  image: string;
  pull: PullPolicy;
  /** bytes */
  memory: number;
  cpus: number;
  pids: number;
  /** bytes */
  scratch: number;
  user?: string | undefined;
  warm: boolean;
  /** Whether commands are run by the image's entry point; keep where absent. */
  entrypoint?: 'keep' | 'clear' | undefined;
  /** Where commands start: a directory of the image, or the image's own; the run's directory where absent. */
  workdir?: string | undefined;
}

/**
 * Programs in containers: no network, a read-only root, no capabilities, no new privileges, bounded memory, processors
 * and processes. Each container's own process reads from a connection that this process holds: whatever way it ends,
 * SIGKILL included, the engine closes that input, the container ends and is removed.
 */
export class DockerSandbox implements Sandbox {
  readonly facts: Record<string, string> = { sandbox: 'docker' };
  private readonly slots = new Slots(() => this.make());
  private connected: Docker | undefined;
  private image: Image | undefined;
  /** Where the engine keeps its files. */
  private disk = '';
  /** The image that is known to hold the program which keeps its containers. */
  private keptBy: string | undefined;

  /** `checkout`: the directory of the image that runs work in; its root is then writable, and dies with the container. */
  constructor(
    private readonly options: DockerOptions,
    private readonly checkout?: string,
    private readonly note: (sentence: string) => void = () => {},
  ) {}

  async prepare(signal?: AbortSignal): Promise<void> {
    await ask('greeting the engine', () => this.engine.ping());
    const { DockerRootDir } = await ask('asking about the engine', () => this.engine.info());
    this.disk = DockerRootDir;
    const full = await fullDiskOf(DockerRootDir);
    if (full !== undefined) throw new MachineFault(`${full}: make room for Docker`);
    await this.removeLeftovers();
    const { image, pull } = this.options;
    if (!this.image || !(await inspect(this.engine, this.image.id))) {
      this.image = await obtain(this.engine, image, pull, this.note, signal);
    }
    Object.assign(this.facts, { image, image_digest: this.image.digest });
  }

  use<T>(slot: number, work: (cell: Cell) => Promise<T>): Promise<T> {
    return this.slots.use(slot, work);
  }

  close(): Promise<void> {
    return this.slots.close();
  }

  private get engine(): Docker {
    this.connected ??= connect();
    return this.connected;
  }

  /** What ended workers of this host could not remove; and what never ran, and nobody will start any more. */
  private async removeLeftovers(): Promise<void> {
    const found = await ask('listing containers', () =>
      this.engine.listContainers({ all: true, filters: { label: [ownerLabel] } }),
    );
    const old = Date.now() / 1000 - abandonedSeconds;
    for (const { Id, Labels, State, Created } of found) {
      const abandoned = State !== 'running' && Created < old;
      if (hasEnded(Labels[ownerLabel] ?? '') || abandoned) await removeContainer(this.engine.getContainer(Id));
    }
    await this.removeVolumes();
  }

  /** A volume goes with its container; what an engine that was ended in the middle of it kept goes here. */
  private async removeVolumes(): Promise<void> {
    const filters = JSON.stringify({ dangling: ['true'], label: [ownerLabel] });
    const { Volumes } = await ask('listing volumes', () => this.engine.listVolumes({ filters }));
    for (const { Name, Labels } of Volumes ?? []) {
      if (!hasEnded(Labels?.[ownerLabel] ?? '')) continue;
      await ask('removing a volume', () => this.engine.getVolume(Name).remove()).catch(() => {}); // tried again next time
    }
  }

  private async make(): Promise<KeptCell> {
    if (!this.image) throw new Error('a sandbox is prepared before it is used');
    const { image, warm, memory, workdir } = this.options;
    const creation = this.creation(this.image);
    const { volumes, path } = this.image;
    const container = await ask('making a container', () => this.engine.createContainer(creation));
    try {
      await this.seeKeeper(container, this.image);
      const lifeline = (await ask('connecting to a container', () =>
        container.attach({ stream: true, stdin: true, hijack: true }),
      )) as Duplex;
      await ask(`starting a container of ${image}`, () => container.start());
      const directory = this.checkout ?? scratchDirectory;
      return new DockerCell(container, lifeline, {
        directory,
        checkout: this.checkout !== undefined,
        warm,
        clearable: this.checkout === undefined && volumes.length === 0,
        entrypoint: this.options.entrypoint === 'clear' ? [] : this.image.entrypoint,
        workdir: workdir === 'image' ? this.image.workdir : workdir,
        path,
        image,
        memory,
        limits: this.options,
        disk: this.disk,
      });
    } catch (error) {
      await removeContainer(container).catch(() => {});
      throw error;
    }
  }

  /** The engine would start a container without it, which would end at once. */
  private async seeKeeper(container: Docker.Container, { id, path }: Image): Promise<void> {
    if (this.keptBy === id) return;
    const { image } = this.options;
    const problem = await whyNotStartable(keeper, placeIn(container, image, path, '/'));
    if (problem !== undefined) {
      throw new UsageError(
        `simulator.sandbox.image: ${image} has to hold ${keeper}, which keeps containers: ${problem}`,
      );
    }
    this.keptBy = id;
  }

  private creation({ id, user, volumes }: Image): Docker.ContainerCreateOptions {
    const { memory, cpus, pids, scratch } = this.options;
    return {
      Image: id,
      Labels: ownLabels,
      Entrypoint: [keeper],
      Cmd: [],
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      User: this.options.user ?? this.userFor(user),
      WorkingDir: this.checkout ?? scratchDirectory,
      Env: ['HOME=/tmp', 'TMPDIR=/tmp'],
      NetworkDisabled: true,
      Healthcheck: { Test: ['NONE'] },
      HostConfig: {
        AutoRemove: true,
        Init: true,
        NetworkMode: 'none',
        IpcMode: 'private',
        ReadonlyRootfs: this.checkout === undefined,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges'],
        Memory: memory,
        MemorySwap: memory,
        NanoCpus: Math.round(cpus * 1e9),
        PidsLimit: pids,
        Ulimits: [
          { Name: 'fsize', Soft: scratch, Hard: scratch },
          { Name: 'core', Soft: 0, Hard: 0 },
        ],
        LogConfig: { Type: 'none', Config: {} },
        Tmpfs: { '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${scratch}` },
        Mounts: [...volumes.map(declaredVolume), ...(this.checkout === undefined ? [scratchVolume(scratch)] : [])],
      },
    };
  }

  /** Root, without any capability, only where it owns the checkout that it must write to. */
  private userFor(imageUser: string): string {
    const isRoot = ['', '0', 'root'].includes(imageUser.split(':')[0] ?? '');
    return isRoot && this.checkout === undefined ? nobody : imageUser;
  }
}

/** A volume that the image declares, with a label by which it is found should the engine forget to remove it. */
function declaredVolume(target: string): Docker.MountSettings {
  const DriverConfig = { Name: 'local', Options: {} };
  return { ...anonymous(target), VolumeOptions: { NoCopy: false, Labels: ownLabels, DriverConfig } };
}

/** A volume in memory, of bounded size, that goes with its container; unlike a plain tmpfs, the engine can copy to it. */
function scratchVolume(size: number): Docker.MountSettings {
  const Options = { type: 'tmpfs', device: 'tmpfs', o: `size=${size},mode=0777,nosuid,nodev` };
  const DriverConfig = { Name: 'local', Options };
  return { ...anonymous(scratchDirectory), VolumeOptions: { NoCopy: true, Labels: ownLabels, DriverConfig } };
}

function anonymous(target: string): Docker.MountSettings {
  return { Type: 'volume', Source: '', Target: target };
}
