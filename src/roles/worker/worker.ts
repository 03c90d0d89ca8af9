import type { ArtifactStore } from '../../artifacts/store.js';
import { sightings } from '../../queue/fleet.js';
import type { Lease } from '../../queue/leases.js';
import { decodeTravel, encode, Malformed } from '../../queue/messages.js';
import { Renewer } from '../../queue/renewer.js';
import type { Simulator } from '../../simulators/simulator.js';
import { Bell, pause } from '../../support/bell.js';
import { MachineFault, messageOf, Unavailable } from '../../support/errors.js';
import { OwnFolder } from '../../support/ownFolder.js';
import { Stopped } from '../../support/stop.js';
import { afterLoss, lostWith } from '../common/blame.js';
import type { Member } from '../common/member.js';
import { Bench } from './bench.js';
import { type Answer, Finisher } from './finisher.js';
import { LeaseLost, Run } from './run.js';

export interface WorkerOptions {
  /** Worker slots: runs at a time. */
  concurrency: number;
  /** End when the search is over. */
  exitWhenDone: boolean;
  /** Seconds that a run may take. */
  timeoutSeconds: number;
  /** Runs of the program that may fail before the point is an error. */
  attempts: number;
  /** The folder below which runs get their directories; others may share it. */
  scratch: string;
  /** What this machine stores, no other reads: a fleet on several hosts finds few parents' files. */
  storeIsLocal: boolean;
}

/** Points are leased ahead for about this long, so that quick runs go by the hundred and slow ones one by one. */
const aheadMs = 50;
const mostAhead = 500;
/** A run that lasts longer is told to SQL as running. */
const announceAfterMs = 50;
const announceEveryMs = 25;
const mostCodesTold = 20;
/** After an abort, reports and given-back points have this long to reach Redis. */
const lastWordMs = 4000;
/** After an abort, files that are being copied or stored, and containers, are waited for no longer. */
const leaveMs = 1000;
const shortestPauseMs = 5;
const longestPauseMs = 250;
const forgetMs = 600_000;

/**
 * Runs points. Its duties:
 * 1. see that this machine can run them, and step aside while it cannot;
 * 2. lease points, as many as the slots run soon, and keep the leases while runs go on;
 * 3. run each in a fresh directory, warm-started from its parent's files, and store what it leaves;
 * 4. end each lease: a report, with the neighbours of a stable point; or the point goes back.
 */
export class WorkerRole {
  private readonly pending: Lease[] = [];
  private readonly held = new Map<string, Run | undefined>();
  private readonly work = new Bell();
  private readonly room = new Bell();
  private readonly lastWord = new AbortController();
  private readonly finisher: Finisher;
  private readonly renewer: Renewer;
  private readonly bench: Bench;
  private readonly scratch: OwnFolder;
  private announcing: NodeJS.Timeout | undefined;
  private meanRunMs = Number.POSITIVE_INFINITY;
  private over = false;
  /** What aborted runs still do. */
  private leftovers: Promise<unknown> = Promise.resolve();
  /** Points whose workers vanished are about: nothing is leased ahead, so that few others share their fate. */
  private cautious = false;
  private fail: (error: Error) => void = () => undefined;
  private readonly failure = new Promise<never>((_, reject) => {
    this.fail = reject;
  });

  constructor(
    private readonly member: Member,
    private readonly simulator: Simulator,
    private readonly store: ArtifactStore,
    private readonly options: WorkerOptions,
  ) {
    const { search, session, facts } = member;
    facts.slots = options.concurrency;
    facts.ended = 0;
    this.finisher = new Finisher(member, (tokens, answer) => this.finished(tokens, answer), this.lastWord.signal);
    const settings = { name: search.name, redisUrl: search.redisUrl, owner: session.owner, leaseMs: search.leaseMs };
    this.renewer = new Renewer(
      settings,
      (tokens) => this.lost(tokens),
      (error) => this.fail(error),
    );
    this.scratch = new OwnFolder(options.scratch, 'atmos-fleet-runs-');
    this.bench = new Bench(member, simulator, store, this.scratch, () => this.nothingLeft());
  }

  /** Serves until it is stopped, or until the search is over. Answers whether it was over. */
  async serve(): Promise<boolean> {
    const { member } = this;
    try {
      if (!(await member.join())) return false;
      await this.bench.ready(); // first, so that what no waiting mends ends this at once
      await member.opened();
      if (this.nothingLeft()) return true;
      if (this.simulator.keepsFiles && this.options.storeIsLocal) await this.warnOfOtherHosts();
      member.serves('points run here', { slots: this.options.concurrency });
      await this.serveUntilStopped();
      return this.over;
    } finally {
      await this.renewer.end();
      await this.close();
    }
  }

  private async closeAll(): Promise<void> {
    await this.leftovers;
    await this.simulator.close();
    await this.store.close();
    await this.scratch.remove();
  }

  private async close(): Promise<void> {
    const closing = this.closeAll();
    const { abort } = this.member.stop;
    if (!abort.aborted) return closing;
    const late = pause(leaveMs).then(() => 'late');
    if ((await Promise.race([closing, late])) === 'late') {
      closing.catch(() => undefined);
      this.member.log.warn(
        'leaves while files of aborted runs are still in use: the next start here removes what is left',
      );
    }
  }

  /** Whether this worker is to end because the search is over. */
  private nothingLeft(): boolean {
    return this.options.exitWhenDone && this.member.searchClosed && this.held.size === 0;
  }

  private async warnOfOtherHosts(): Promise<void> {
    const { member } = this;
    const roles = await member.insist(() => sightings(member.session, forgetMs), member.stop.quiet);
    const others = roles.filter(
      ({ role, host, silentMs }) =>
        role === 'worker' && host !== member.facts.host && silentMs <= member.search.leaseMs,
    );
    if (others.length === 0) return;
    const hosts = [...new Set(others.map(({ host }) => host))].join(', ');
    member.log.warn(
      `artifacts.url is a folder, but workers run on other hosts too (${hosts}): a bucket serves them all`,
    );
  }

  private async serveUntilStopped(): Promise<void> {
    const { stop } = this.member;
    stop.abort.addEventListener('abort', () => {
      const runs = [...this.held.values()].filter((run) => run !== undefined);
      for (const run of runs) run.abort(stop.abort.reason);
      this.leftovers = Promise.all(runs.map((run) => run.settled()));
      setTimeout(() => this.lastWord.abort(stop.abort.reason), lastWordMs).unref();
    });
    const sending = this.finisher.run();
    const slots = Array.from({ length: this.options.concurrency }, (_, slot) => this.runInSlot(slot));
    try {
      await Promise.race([this.leaseOn(), this.failure, sending]);
      this.giveBack(this.pending.splice(0));
      this.work.ring();
      await Promise.race([Promise.all(slots), this.failure, sending]);
      this.finisher.close();
      await Promise.race([sending, this.failure]);
    } finally {
      clearInterval(this.announcing);
    }
  }

  /** Duty 2: leases whenever there is room, until no new work is to be taken. */
  private async leaseOn(): Promise<void> {
    const { member } = this;
    const { stop } = member;
    let wait = shortestPauseMs;
    while (!stop.quiet.aborted) {
      await this.bench.free();
      const room = this.ahead() - this.held.size;
      if (room <= 0) {
        await this.room.heard(stop.quiet);
        continue;
      }
      const leases = await this.take(room);
      if (leases.length > 0) {
        wait = shortestPauseMs;
        continue;
      }
      if (this.nothingLeft()) {
        this.over = true;
        return;
      }
      // Woken in vain (others were faster, or reports pile up): pause, ever longer, before the next look.
      await pause(wait, stop.quiet);
      wait = Math.min(wait * 2, longestPauseMs);
      await this.awaitWork();
    }
  }

  private async take(most: number): Promise<Lease[]> {
    const { member } = this;
    const leases = await member.insist(() => member.leases.lease(most), member.stop.quiet).catch(unlessStopped);
    if (leases.length === 0) return leases;
    for (const { token } of leases) this.held.set(token, undefined);
    this.renewer.hold(leases.map(({ token }) => token));
    this.announcing ??= setInterval(() => this.announce(), announceEveryMs);
    const suspects = leases.filter(({ element }) => element.includes('"lost":['));
    this.cautious = suspects.length > 0;
    const left = await this.forOthers(suspects);
    for (const lease of suspects.filter((suspect) => !left.has(suspect)).slice(this.options.concurrency))
      left.add(lease);
    this.giveBack([...left]);
    const taken = leases.filter((lease) => !left.has(lease));
    this.pending.push(...taken);
    this.work.ring();
    return taken;
  }

  /** The suspect points that this worker has lost before, and that a live worker has not met yet: that one is to try. */
  private async forOthers(suspects: readonly Lease[]): Promise<Set<Lease>> {
    const { member } = this;
    const { owner } = member.session;
    const own = suspects.filter(({ element }) => element.includes(`"${owner}"`));
    if (own.length === 0) return new Set();
    const roles = await member.insist(() => sightings(member.session, forgetMs)).catch(unlessStopped);
    const able = roles.filter(
      ({ role, silentMs, benched }) =>
        role === member.role && silentMs <= member.search.leaseMs && benched === undefined,
    );
    return new Set(
      own.filter(({ element }) => {
        const lost = lostWith(element, member.search.space);
        return lost.includes(owner) && able.some(({ id }) => !lost.includes(id));
      }),
    );
  }

  /** The end of the search wakes nobody: whoever is to end with it looks more often. */
  private async awaitWork(): Promise<void> {
    const woken = this.member.awaitWork('main_Q');
    await (this.options.exitWhenDone ? Promise.race([woken, pause(1000)]) : woken);
  }

  private ahead(): number {
    const { concurrency } = this.options;
    if (this.cautious) return concurrency;
    const soon = Math.floor((concurrency * aheadMs) / this.meanRunMs);
    return Math.max(concurrency, Math.min(soon, mostAhead));
  }

  /** Duty 3, one slot's share. */
  private async runInSlot(slot: number): Promise<void> {
    const { stop } = this.member;
    for (;;) {
      const lease = this.pending.shift();
      if (lease) await this.runOne(lease, slot);
      else if (stop.quiet.aborted || this.over) return;
      else await this.work.heard(stop.quiet);
    }
  }

  private async runOne(lease: Lease, slot: number): Promise<void> {
    if (!this.held.has(lease.token)) return;
    const { member, options } = this;
    const begun = performance.now();
    try {
      const { point, facts, byHand } = decodeTravel(lease.element, member.search.space);
      if (byHand) return this.finisher.add({ token: lease.token, arrival: 'main_sql_Q' });
      member.stop.abort.throwIfAborted();
      const run = new Run(lease, point, facts, slot, {
        member,
        simulator: this.simulator,
        store: this.store,
        ...options,
        scratch: this.scratch,
      });
      this.held.set(lease.token, run);
      this.finisher.add(await run.done());
      this.bench.ranWell();
    } catch (error) {
      await this.failed(lease, error);
    }
    const lasted = performance.now() - begun;
    this.meanRunMs = Number.isFinite(this.meanRunMs) ? 0.9 * this.meanRunMs + 0.1 * lasted : lasted;
  }

  private async failed(lease: Lease, error: unknown): Promise<void> {
    if (error instanceof LeaseLost) return;
    if (error instanceof Malformed) {
      this.member.log.warn({ element: lease.element.slice(0, 200) }, `malformed, moved aside: ${error.message}`);
      this.finisher.add({ token: lease.token, arrival: 'main_Q:malformed' });
      return;
    }
    if (error instanceof Stopped) return this.giveBack([lease]);
    if (!(error instanceof MachineFault)) this.member.log.error(error, 'an error of this program');
    await this.faulted(lease, messageOf(error), error instanceof MachineFault && error.beforeRun);
  }

  /** A fault of this machine costs the point nothing; where the machine is sound, it counts as a loss of the point. */
  private async faulted(lease: Lease, fault: string, beforeRun: boolean): Promise<void> {
    const { search, session, log } = this.member;
    const { point, facts } = decodeTravel(lease.element, search.space);
    if (!(await this.bench.faulted(point.hash, fault, beforeRun))) return this.giveBack([lease]);
    const ending = afterLoss(point, facts, lease, { worker: session.owner, fault }, search.losses);
    const next = ending.arrival === 'main_Q' ? 'it is queued again' : 'it is an error now, of kind poison';
    log.warn(
      { hash: point.hash, code: point.code },
      `the run of this point failed on a sound machine, ${next}: ${fault}`,
    );
    this.finisher.add(ending);
  }

  private giveBack(leases: readonly Lease[]): void {
    for (const { token } of leases) this.finisher.add({ token, arrival: 'main_Q' });
  }

  private finished(tokens: string[], answer: Answer): void {
    if (answer === 'stale') {
      this.member.meters?.lostLeases.inc(tokens.length);
      this.member.log.warn({ tokens }, 'leases were lost to others: what these runs told does not count');
    } else if (answer === 'unknown') {
      this.member.log.info(
        { tokens },
        'a reply of Redis was lost: these leases are over, by what was sent then or by a loss',
      );
    } else {
      this.member.facts.ended = (this.member.facts.ended ?? 0) + tokens.length;
    }
    for (const token of tokens) this.held.delete(token);
    this.renewer.release(tokens);
    this.room.ring();
  }

  private lost(tokens: string[]): void {
    for (const token of tokens) {
      // A renewal that crosses the end of its lease finds nothing left to renew.
      if (this.finisher.ends(token)) continue;
      const run = this.held.get(token);
      if (!this.held.delete(token)) continue;
      this.member.meters?.lostLeases.inc();
      this.member.log.warn({ token }, 'a lease was lost to another: its run ends here');
      run?.abort(new LeaseLost(token));
    }
    this.room.ring();
  }

  /** Tells SQL of runs that last, and the renewer when they must be over. */
  private announce(): void {
    const now = performance.now();
    const runs = [...this.held.values()].filter((run) => run !== undefined);
    this.member.facts.busy = runs.length;
    this.member.facts.running = runs.slice(0, mostCodesTold).map(({ point }) => point.code);
    if (this.held.size === 0) {
      // Until the next lease: an idle fleet of many workers costs nothing.
      clearInterval(this.announcing);
      this.announcing = undefined;
    }
    const lasting = runs.filter((run) => !run.announced && now - run.begun >= announceAfterMs);
    if (lasting.length === 0) return;
    for (const run of lasting) run.announced = true;
    const news = lasting.map((run) => ({ token: run.lease.token, element: encode(run.point.code, run.news()) }));
    this.renewer.limit(lasting.map((run) => [run.lease.token, run.latestEnd]));
    this.member.leases.announce(news).catch((error: unknown) => {
      // News owns nothing: it is told again when Redis answers.
      if (!(error instanceof Unavailable)) return this.fail(error as Error);
      for (const run of lasting) run.announced = false;
    });
  }
}

function unlessStopped(error: unknown): never[] {
  if (error instanceof Stopped) return [];
  throw error;
}
