import type { ArtifactStore } from '../artifacts/store.js';
import type { Simulator } from '../simulators/simulator.js';
import { pause } from '../support/bell.js';
import { MachineFault, messageOf, Unavailable } from '../support/errors.js';
import { orStopped } from '../support/patience.js';
import type { Member } from './member.js';

const faultsInRow = 3;
const probesALease = 6;
const longestProbeMs = 300_000;
const glanceMs = 1000;

/**
 * Where a worker waits while its machine cannot run points (no Docker, no disk, no image): it says so, takes no points, and
 * probes again with backoff. Faults of the machine cost no point an attempt.
 */
export class Bench {
  private faults = 0;
  private reason = '';
  private probeMs: number;

  constructor(
    private readonly member: Member,
    private readonly simulator: Simulator,
    private readonly store: ArtifactStore,
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
    if (this.faults < faultsInRow) return;
    const { member } = this;
    member.facts.benched = this.reason;
    member.log.error(`benched after ${this.faults} faults of this machine in a row: ${this.reason}`);
    await this.sit();
    await this.ready();
    // One more fault, and it is benched again.
    this.faults = faultsInRow - 1;
  }

  private async prepare(): Promise<void> {
    await this.simulator.prepare(this.member.stop.quiet);
    if (this.simulator.keepsFiles) await this.store.check();
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

  faulted(reason: string): void {
    this.faults++;
    this.reason = reason;
    this.member.log.warn(`this machine failed a run, its point goes back: ${reason}`);
  }

  ranWell(): void {
    this.faults = 0;
    this.probeMs = this.firstProbeMs;
  }

  private get firstProbeMs(): number {
    return this.member.search.leaseMs / probesALease;
  }
}
