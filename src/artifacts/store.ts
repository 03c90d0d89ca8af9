import type { Readable } from 'node:stream';
import type { RunMetadata } from './metadata.js';

/** A stored run, as a listing finds it; `problem` where its metadata cannot be read, `foreign` where it is another search's. */
export type StoredRun = { outPath: string } & ({ metadata: RunMetadata } | { problem: string } | { foreign: true });

/** A file of a stored run; its path is relative to the run. */
export interface StoredFile {
  path: string;
  bytes: number;
}

export interface OpenFile {
  bytes: number;
  content: Readable;
}

/**
 * Keeps the files of runs under `<prefix>/<name>/<hash>/<token>/`, each run whole or not at all. Throws `MachineFault`
 * when this machine is at fault, `Unavailable` when the service is away.
 */
export interface ArtifactStore {
  /** Checks that runs can be stored here, and removes what dead workers left half done. */
  check(): Promise<void>;
  /**
   * Stores the regular files below a directory, and answers the path they are found by. May be repeated. Aborted: it ends soon, by
   * the signal's reason, and there is no such run.
   */
  save(directory: string, hash: string, token: string, signal?: AbortSignal): Promise<string>;
  /** Copies a run's files into a directory. False: there is no such run. Aborted: it ends soon, by the signal's reason. */
  fetch(outPath: string, directory: string, signal?: AbortSignal): Promise<boolean>;
  /** At most `max` of a run's files, in the order of their paths; no content is read. Undefined: there is no such run. */
  list(outPath: string, max: number): Promise<StoredFile[] | undefined>;
  /** Opens a file of a run to be streamed once, until the signal ends it. Undefined: there is no such file. */
  open(outPath: string, path: string, signal?: AbortSignal): Promise<OpenFile | undefined>;
  close(): Promise<void>;
}

const hashPattern = /^[0-9a-f]{32}$/;
const tokenPattern = /^[A-Za-z0-9_-]{1,100}$/;

/** A run's place below `<prefix>/<name>/`, made of hash and token alone. */
export function runPath(hash: string, token: string): string {
  if (!hashPattern.test(hash) || !tokenPattern.test(token))
    throw new Error(`not a hash and a token: ${hash}, ${token}`);
  return `${hash}/${token}`;
}

/** The run's place that an `out_path` ends in, whatever stands before it; undefined where it names none. */
export function runPathOf(outPath: string): string | undefined {
  const [token = '', hash = ''] = outPath.split('/').reverse();
  return hashPattern.test(hash) && tokenPattern.test(token) ? `${hash}/${token}` : undefined;
}

/** Whether what lies there below a prefix is a run of the search of that name, whose own place or its parent the prefix is. */
export function isRunOf(name: string, inside: string): boolean {
  const run = runPathOf(inside);
  return run !== undefined && (inside === run || inside === `${name}/${run}`);
}

/** Whether that is the path of a file below its run: relative, and never upward. */
export function isInsideRun(path: string): boolean {
  return !path.includes('\0') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** Some `max` of the files, in the order of their paths. */
export async function firstFiles(files: AsyncIterable<StoredFile>, max: number): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  for await (const file of files) if (found.push(file) >= max) break;
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}
