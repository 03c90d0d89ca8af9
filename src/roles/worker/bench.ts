import type { ArtifactStore } from '../../artifacts/store.js';
import type { Simulator } from '../../simulators/simulator.js';
import { pause } from '../../support/bell.js';
import { MachineFault, messageOf, Unavailable } from '../../support/errors.js';
import { onDisk } from '../../support/files.js';
import { fullDisk } from '../../support/machine.js';
import type { OwnFolder } from '../../support/ownFolder.js';
import { orStopped } from '../../support/patience.js';
import type { Member } from '../common/member.js';

const maxFaults = 3;
const probesALease = 6;
const longestProbeMs = 300_000;
const glanceMs = 1000;

/**
 * Where a worker waits while its machine cannot run points (no Docker, no disk, no image): it says so, takes no points, and
 * probes again with backoff. After a fault in a run the machine is probed: one that fails the probe is paused at once and the
 * point pays nothing; on one that passes, the fault goes with the point, and only faults of different points in a row pause it.
 * A fault from before a run began is never the point's.
 */
export class Bench {
  /** The faults of this machine since a run last ended, by the hashes of their points; each fault from before a run by itself. */
  private failed = new Set<string>();
  /** Faults before a run began: each counts by itself, also after a pause. */
  private early = 0;
  private reason = '';
  /** It failed the probe after a fault. */
  private unfit = false;
  private probing: Promise<string | undefined> | undefined;
  private probeMs: number;

  constructor(
    private readonly member: Member,
    private readonly simulator: Simulator,
    private readonly store: ArtifactStore,
    private readonly scratch: OwnFolder,
    /** Whether there will be nothing to run any more. */
    private readonly over: () => boolean = () => false,
  ) {
    this.probeMs = this.firstProbeMs;
  }

  /** Prepares the machine; waits on the bench until it can run points, or until the worker has nothing to do any more. */
  async ready(): Promise<void> {
    const { member } = this;
    const { quiet } = member.stop;
    while (!quiet.aborted && !this.over()) {
      try {
        await orStopped(this.prepare(), quiet);
        if (member.facts.benched !== undefined) member.log.info('off the bench: this machine can run points');
        delete member.facts.benched;
        return;
      } catch (error) {
        if (quiet.aborted) return;
        if (!(error instanceof MachineFault || error instanceof Unavailable)) throw error;
        member.facts.benched = messageOf(error);
        member.log.error(`benched: ${messageOf(error)}; looks again in ${Math.round(this.probeMs / 1000)} s`);
        await this.sit();
      }
    }
  }

  /** Waits while this worker is benched. */
  async free(): Promise<void> {
    if (this.failed.size < maxFaults && !this.unfit) return;
    const { member } = this;
    const after = this.unfit ? 'a fault and a failed probe' : `${this.failed.size} faults of this machine in a row`;
    member.facts.benched = this.reason;
    member.log.error(`benched after ${after}: ${this.reason}`);
    await this.sit();
    await this.ready();
    this.unfit = false;
    // A fault of one more point, and it is paused again.
    this.failed = new Set([...this.failed].slice(1 - maxFaults));
  }

  private async prepare(): Promise<void> {
    await this.simulator.prepare(this.member.stop.quiet);
    if (!this.simulator.keepsFiles) return;
    const folder = await this.scratch.prepare();
    const full = await onDisk(`looking at ${folder}`, () => fullDisk(folder));
    if (full !== undefined) throw new MachineFault(`${full}: make room, or set TMPDIR`);
    await this.store.check();
  }

  /** Waits until the machine is to be probed again, each time twice as long. */
  private async sit(): Promise<void> {
    const { quiet } = this.member.stop;
    const until = performance.now() + this.probeMs;
    while (performance.now() < until && !quiet.aborted && !this.over()) {
      await pause(Math.min(until - performance.now(), glanceMs), quiet);
    }
    this.probeMs = Math.min(this.probeMs * 2, longestProbeMs);
  }

  /** Counts a fault in the run of a point. Answers whether the machine is sound all the same: then the fault goes with the point. */
  async faulted(hash: string, reason: string, beforeRun = false): Promise<boolean> {
    const { log, stop } = this.member;
    this.reason = reason;
    if (beforeRun) {
      this.failed.add(`fault ${++this.early}`);
      log.warn(`this machine could not begin a run, the point goes back: ${reason}`);
      return false;
    }
    this.failed.add(hash);
    this.probing ??= this.probe().finally(() => {
      this.probing = undefined;
    });
    const trouble = await this.probing;
    if (stop.quiet.aborted) return false;
    if (trouble !== undefined) {
      this.unfit = true;
      this.reason = trouble;
      log.warn(`this machine failed a run and its probe, the point goes back: ${reason}`);
    }
    return trouble === undefined;
  }

  /** What is wrong with the machine now; undefined: nothing, or the worker is to stop. */
  private async probe(): Promise<string | undefined> {
    const { quiet } = this.member.stop;
    try {
      await orStopped(this.prepare(), quiet);
      return undefined;
    } catch (error) {
      if (quiet.aborted) return undefined;
      if (!(error instanceof MachineFault || error instanceof Unavailable)) throw error;
      return messageOf(error);
    }
  }

  ranWell(): void {
    this.failed.clear();
    this.probeMs = this.firstProbeMs;
  }

  private get firstProbeMs(): number {
    return this.member.search.leaseMs / probesALease;
  }
}
