import { MachineFault } from '../support/errors.js';

/** A command in a cell. */
export interface Command {
  argv: readonly string[];
  /** Added to the little that every command gets; a value may name a place in the cell by its absolute path. */
  environment?: Readonly<Record<string, string>> | undefined;
  /** Seconds after which the command and all that it started are killed. */
  timeoutSeconds: number;
  /** Aborted: the command and all that it started are killed, and `execute` throws the signal's reason. */
  signal: AbortSignal;
  /** Asked about each line of output as it comes; true ends the command. */
  stopWhen?: (line: string) => boolean;
  /** Files to read once it has ended by itself, by paths relative to the cell's directory. */
  results?: readonly string[];
}

/** How a command ended. */
export interface Ending {
  ending: 'exited' | 'timeout' | 'stopped';
  /** Exit status; 128 and the signal's number when a signal ended it. */
  status: number;
  /** Standard output and error as they came; the middle is left out of a long one. */
  log: string;
  /** What else is known about its end, e.g. that it was over the memory limit. */
  remark?: string;
}

export interface Execution extends Ending {
  /** Those of the command's `results` that it left, by their paths. */
  files: ReadonlyMap<string, Buffer>;
}

export interface Copy {
  from: string;
  to: string;
}

/** A command could not be started: most likely it is not there, or no program. */
export class CannotStart extends MachineFault {
  override name = 'CannotStart';
}

/** A place of its own for one run at a time. */
export interface Cell {
  /** Absolute path of the directory that commands start in and may write to, as they see it. */
  readonly directory: string;
  /** Copies local files, or the files below local directories, to paths relative to the cell's directory. */
  put(...copies: Copy[]): Promise<void>;
  /** Throws `CannotStart` where the command cannot be started at all. */
  execute(command: Command): Promise<Execution>;
  /** Why a command could not be started here, found without running it. Undefined: it can, as far as can be seen. */
  problemWith(command: Pick<Command, 'argv' | 'environment' | 'results'>): Promise<string | undefined>;
  /**
   * Copies a file, or the regular files below a directory, out to a local path. False: it is not there. Throws `Unstorable`
   * where there is more of it than a run may leave, or where names cannot be stored.
   */
  take(from: string, to: string): Promise<boolean>;
  /** Reads a file, its first 64 MiB at most. Undefined: it is not there. */
  read(path: string): Promise<Buffer | undefined>;
  /** What stands at a path, a link itself and not what it leads to. Undefined: nothing does. */
  kindOf(path: string): Promise<FileKind | undefined>;
  /** Says that the cell must not be used again: what it holds is in doubt. */
  discard(): void;
  /** As `discard`, for a run that failed: throws `MachineFault` where this machine may be why (no room, no memory). */
  failed(): Promise<void>;
}

export type FileKind = 'regular file' | 'directory' | 'symbolic link' | 'named pipe' | 'socket' | 'device';

/** Most bytes of a file that `read` gives. */
export const mostBytesRead = 64 * 1024 * 1024;

/** The results of a command that are there, by their paths. */
export async function resultsOf(
  { results = [] }: Command,
  read: (path: string) => Promise<Buffer | undefined>,
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const path of results) {
    const content = await read(path);
    if (content) files.set(path, content);
  }
  return files;
}

/** Where simulators' programs run: `docker` or `local`. Throws `MachineFault` when this machine is at fault. */
export interface Sandbox {
  /** Facts for a run's metadata, e.g. the image's digest. Known once prepared. */
  readonly facts: Record<string, string>;
  /**
   * Checks the machine and removes what dead workers left. May be called again, also while cells are in use. Aborted: the
   * pull of an image ends at once, and the signal's reason is thrown.
   */
  prepare(signal?: AbortSignal): Promise<void>;
  /**
   * Works in the slot's cell, kept warm from one use to the next, and replaced after a use that threw or discarded it, or
   * whose traces cannot be cleared. Its directory is empty, or holds the simulator's `checkout` where the sandbox has one.
   */
  use<T>(slot: number, work: (cell: Cell) => Promise<T>): Promise<T>;
  /** Ends all cells. */
  close(): Promise<void>;
}
