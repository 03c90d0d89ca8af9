import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type RunMetadata, writeMetadata } from '../../artifacts/metadata.js';
import type { ArtifactStore } from '../../artifacts/store.js';
import type { Lease } from '../../queue/leases.js';
import { encode, longestElement, type Report, type Travel } from '../../queue/messages.js';
import type { Attempt, Outcome, Simulator } from '../../simulators/simulator.js';
import type { Point } from '../../space/space.js';
import { isoNow, monotonicMs } from '../../support/clock.js';
import { messageOf, Unstorable } from '../../support/errors.js';
import { onDisk, removeDirectory } from '../../support/files.js';
import type { OwnFolder } from '../../support/ownFolder.js';
import { Stopped } from '../../support/stop.js';
import { version } from '../../support/version.js';
import type { Member } from '../common/member.js';
import type { RunEnding } from './finisher.js';

/** A run may take its whole time, and still have its files fetched and stored. */
const longestTransferMs = 600_000;

/** The lease is another's now: whatever this run tells does not count. */
export class LeaseLost extends Error {
  override name = 'LeaseLost';
}

const tooLong = {
  kind: 'error',
  errorKind: 'program',
  message: `its result is longer than ${longestElement} characters as JSON: keep big things in files`,
} as const;

interface Surroundings {
  member: Member;
  simulator: Simulator;
  store: ArtifactStore;
  timeoutSeconds: number;
  attempts: number;
  scratch: OwnFolder;
}

/** One attempt at one point, from its lease to what is to be told of it. */
export class Run {
  /** On this process's own clock, ms. */
  readonly begun = performance.now();
  /** On the monotonic clock that threads share, ms: no renewal after. */
  readonly latestEnd: number;
  announced = false;
  private readonly startTime = isoNow();
  private readonly attempt: number;
  /** Made when it is first asked for: quick runs by the thousand never do. */
  private aborting: AbortController | undefined;
  private working: Promise<RunEnding> | undefined;
  private letGo: (reason: Error) => void = () => undefined;

  constructor(
    readonly lease: Lease,
    readonly point: Point,
    private readonly travel: Travel,
    private readonly slot: number,
    private readonly around: Surroundings,
  ) {
    this.attempt = travel.attempt ?? 1;
    const filesMs = around.simulator.keepsFiles ? longestTransferMs : 0;
    this.latestEnd = monotonicMs() + around.timeoutSeconds * 1000 + filesMs;
  }

  get signal(): AbortSignal {
    this.aborting ??= new AbortController();
    return this.aborting.signal;
  }

  abort(reason: Error): void {
    this.aborting ??= new AbortController();
    this.aborting.abort(reason);
    if (reason instanceof Stopped) this.letGo(reason);
  }

  /**
   * Runs the point. Throws `MachineFault`, `LeaseLost`, and `Stopped` at once when it is told so, whatever is still being copied or
   * stored then: `settled` waits for that.
   */
  done(): Promise<RunEnding> {
    return new Promise((resolve, reject) => {
      this.letGo = reject;
      this.working = this.work();
      this.working.then(resolve, reject);
    });
  }

  /** Resolves when nothing of it goes on any more. */
  async settled(): Promise<void> {
    await this.working?.catch(() => undefined); // told by done
  }

  private async work(): Promise<RunEnding> {
    const { simulator } = this.around;
    if (!simulator.keepsFiles) return this.ending(await simulator.run(this.forSimulator()));
    const folder = join(await this.around.scratch.path(), this.lease.token);
    try {
      const outcome = await unlessUnstorable(async () => simulator.run(this.forSimulator(await this.prepare(folder))));
      return await this.stored(outcome, join(folder, 'output'));
    } finally {
      await removeDirectory(folder).catch(() => {}); // what is left goes with the scratch folder
    }
  }

  /** That it began, for SQL. */
  news(): Report {
    const { previous_hash, depth } = this.travel;
    return {
      previous_hash,
      depth,
      attempt: this.attempt,
      table: this.lease.table,
      worker: this.worker,
      start_time: this.startTime,
    };
  }

  private get worker(): string {
    return this.around.member.session.owner;
  }

  private forSimulator(directories?: Attempt['directories']): Attempt {
    const run = this;
    return {
      parameters: this.point.dictionary,
      code: this.point.code,
      hash: this.point.hash,
      warm: this.travel.previous_hash !== undefined || this.travel.previous_path !== undefined,
      token: this.lease.token,
      slot: this.slot,
      ...(directories ? { directories } : {}),
      get signal() {
        return run.signal;
      },
    };
  }

  /** Fresh directories, with the parent's files where there are any. */
  private async prepare(folder: string): Promise<NonNullable<Attempt['directories']>> {
    const [input, output, previous] = ['input', 'output', 'previous'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await onDisk('making the directories of a run', () =>
      Promise.all([mkdir(input, { recursive: true }), mkdir(output, { recursive: true })]),
    );
    const path = this.travel.previous_path;
    const found = path !== undefined && (await this.insist(() => this.around.store.fetch(path, previous, this.signal)));
    return found ? { input, output, previous } : { input, output };
  }

  /** What cannot be stored makes a run a failed one, of which its metadata alone is kept. */
  private async stored(outcome: Outcome, output: string): Promise<RunEnding> {
    const kept = await unlessUnstorable(() => this.keep(outcome, output));
    if (typeof kept === 'string') return this.ending(outcome, kept);
    await onDisk('removing the output of a run', async () => {
      await removeDirectory(output);
      await mkdir(output);
    });
    return this.ending(kept, await this.keep(kept, output));
  }

  /** Stores the files, metadata last; failed runs' files too. */
  private async keep(outcome: Outcome, output: string): Promise<string> {
    await writeMetadata(output, this.metadata(outcome));
    return this.insist(() => this.around.store.save(output, this.point.hash, this.lease.token, this.signal));
  }

  /** What was begun with files ends before they are removed. */
  private async insist<T>(call: () => Promise<T>): Promise<T> {
    let begun: Promise<unknown> | undefined;
    const begin = () => {
      const calling = call();
      begun = calling.catch(() => {}); // told by insist
      return calling;
    };
    try {
      return await this.around.member.insist(begin, this.signal);
    } finally {
      await begun;
    }
  }

  private ending(outcome: Outcome, out_path?: string): RunEnding {
    this.measure(outcome);
    if (outcome.kind === 'error') return this.failing(outcome, out_path);
    const { stable, temperature, pressure, outputs, message } = outcome;
    const { previous_hash, depth } = this.travel;
    const { end_time, run_time } = this.times();
    // Written out field by field: spread together, the report would cost more than a quick run.
    const report: Report = {
      previous_hash,
      depth,
      attempt: this.attempt,
      table: this.lease.table,
      worker: this.worker,
      start_time: this.startTime,
      end_time,
      run_time,
      out_path,
      temperature,
      pressure,
      outputs: Object.keys(outputs).length === 0 ? undefined : outputs,
      complete_msg: message,
    };
    const element = encode(this.point.code, report);
    if (element.length > longestElement) return this.failing(tooLong, out_path);
    const { token } = this.lease;
    if (!stable) return { token, arrival: 'complete1_sql_Q', element };
    const parent = { point: this.point, depth, outPath: out_path ?? null };
    return { token, arrival: 'complete0_sql_Q', element, parent };
  }

  private measure(outcome: Outcome): void {
    const { meters } = this.around.member;
    if (!meters) return;
    const verdict = outcome.kind === 'error' ? 'error' : outcome.stable ? 'stable' : 'unstable';
    meters.runSeconds.observe({ outcome: verdict }, (performance.now() - this.begun) / 1000);
  }

  /** A failed attempt: once more, while the allowance lasts; else an error for SQL. */
  private failing({ errorKind, message }: Extract<Outcome, { kind: 'error' }>, out_path?: string): RunEnding {
    const { token } = this.lease;
    const made = this.attempt - (this.travel.spent ?? 0);
    if (made < this.around.attempts) {
      this.around.member.meters?.retries.inc();
      this.around.member.log.warn(
        { hash: this.point.hash, code: this.point.code, attempt: this.attempt },
        `failed, to be tried again: ${message}`,
      );
      const { lost: _, fault: __, ...travel } = this.travel;
      return { token, arrival: 'main_Q', element: encode(this.point.code, { ...travel, attempt: this.attempt + 1 }) };
    }
    const facts = { ...this.news(), ...this.times(), out_path };
    const report: Report = { ...facts, error_kind: errorKind, error_msg: message };
    return { token, arrival: 'error_sql_Q', element: encode(this.point.code, report) };
  }

  private times() {
    const microseconds = Math.round((performance.now() - this.begun) * 1000);
    return { end_time: isoNow(), run_time: microseconds / 1e6 };
  }

  private metadata(outcome: Outcome): RunMetadata {
    const completed = outcome.kind === 'completed' ? outcome : undefined;
    const failed = outcome.kind === 'error' ? outcome : undefined;
    const { end_time, run_time } = this.times();
    return {
      version: 1,
      incarnation: this.lease.table,
      definition: JSON.parse(this.around.member.search.definition),
      parameters: this.point.dictionary,
      code: this.point.code,
      hash: this.point.hash,
      previous_hash: this.travel.previous_hash ?? null,
      depth: this.travel.depth,
      outcome: outcome.kind,
      stable: completed?.stable ?? null,
      temperature: completed?.temperature ?? null,
      pressure: completed?.pressure ?? null,
      outputs: completed?.outputs ?? {},
      message: completed?.message ?? null,
      error_kind: failed?.errorKind ?? null,
      error_message: failed?.message ?? null,
      attempt: this.attempt,
      token: this.lease.token,
      worker: this.worker,
      started_at: this.startTime,
      ended_at: end_time,
      run_seconds: run_time,
      simulator: this.around.simulator.facts,
      program_version: version,
    };
  }
}

type Failure = Extract<Outcome, { kind: 'error' }>;

/** What `work` gives; where a run left what cannot be kept, that as a failure of its program. */
async function unlessUnstorable<T>(work: () => Promise<T>): Promise<T | Failure> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Unstorable)) throw error;
    return { kind: 'error', errorKind: 'program', message: messageOf(error) };
  }
}
