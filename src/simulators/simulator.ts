import type { Dictionary } from '../space/space.js';

/** One run of one point. The directories are fresh, empty but for `previous`, and this attempt's alone. */
export interface Attempt {
  parameters: Dictionary;
  code: string;
  hash: string;
  /** Whether it is to start from another point's files. */
  warm: boolean;
  /** Unique to this attempt; its files lie under it. */
  token: string;
  /** Which worker slot runs it, from 0: a simulator may keep a warm container per slot. */
  slot: number;
  /** Absent for simulators that keep no files. `previous` is absent where the parent left none. */
  directories?: { input: string; output: string; previous?: string };
  /** Aborted when the lease is lost or the worker stops: end the run at once and throw. */
  signal: AbortSignal;
}

/** Numbers that a completed run yields; each finite. */
export interface Result {
  stable: boolean;
  /** Surface temperature, K. */
  temperature?: number;
  /** Surface pressure, bar. */
  pressure?: number;
  /** Every other number, by name, e.g. surface fluxes. */
  outputs: Record<string, number>;
  /** One sentence for people; made from the numbers where absent. */
  message?: string;
}

/** What became of a run that says something about its point. Unstable is a result, never a failure. */
export type Outcome =
  | ({ kind: 'completed' } & Result)
  | { kind: 'error'; errorKind: 'program' | 'timeout'; message: string };

/** Turns points into outcomes. Throws `MachineFault` when this machine is at fault, and the signal's reason when aborted. */
export interface Simulator {
  /** Whether runs leave files worth keeping: without, no directories are made and nothing is stored. */
  readonly keepsFiles: boolean;
  /** Facts of the simulator for a run's metadata, e.g. the image's digest. */
  readonly facts: Record<string, string>;
  /**
   * Checks and prepares the machine (pulls the image, removes leftovers). Throws `MachineFault`, and the signal's reason when
   * aborted; may be called again.
   */
  prepare(signal?: AbortSignal): Promise<void>;
  run(attempt: Attempt): Promise<Outcome>;
  /** Ends whatever is still kept warm. */
  close(): Promise<void>;
}
