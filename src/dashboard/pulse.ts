import { type Kill, type RoleSighting, readKill, sightings } from '../queue/fleet.js';
import { type Look, look } from '../queue/look.js';
import type { OneShot } from '../roles/common/oneShot.js';
import { pause } from '../support/bell.js';
import { Unavailable } from '../support/errors.js';
import type { Beat, Freshness, Now, RoleSight } from './api.js';
import type { Follower } from './follower.js';

const beatMs = 1000;
/** What Redis told is stale when it answered no look for so long. */
const staleMs = 5000;
const rateWindowMs = 60_000;
/** A quarter of an hour. */
const beatsKept = 900;
const rolesShown = 500;
const errorsShown = 50;
/** Roles silent for longer are forgotten, as `status` does. */
const forgetMs = 600_000;

interface Sample {
  at: number;
  ended: number;
  generation: string | undefined;
}

/** Looks at Redis every second, and tells whoever listens what goes on. */
export class Pulse {
  readonly beats: Beat[] = [];
  private readonly listeners = new Set<(now: Now) => void>();
  private samples: Sample[] = [];
  private seen: { at: number; look: Look; roles: RoleSighting[]; kill: Kill | undefined } | undefined;
  private trouble: string | undefined;
  private rate: number | null = null;

  constructor(
    private readonly command: OneShot,
    private readonly follower: Follower,
  ) {}

  /** What stays the same as long as no row changes; undefined while the search goes on. */
  get settled(): string | undefined {
    const seen = this.seen?.look;
    return seen?.closed && !this.freshness.stale ? `${seen.generation} ${seen.moves}` : undefined;
  }

  listen(listener: (now: Now) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Looks at Redis, and tells what is known, each second; what is known gets older while Redis hangs. */
  async beatOn(signal: AbortSignal): Promise<void> {
    await Promise.all([this.lookOn(signal), this.tellOn(signal)]);
  }

  private async lookOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await pause(beatMs, signal);
    }
  }

  private async tellOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const now = this.now();
      if (now.rate !== null) this.beats.push({ at: now.at, rate: now.rate, frontier: now.frontier });
      if (this.beats.length > beatsKept) this.beats.shift();
      for (const listener of this.listeners) listener(now);
      await pause(beatMs, signal);
    }
  }

  private get freshness(): Freshness {
    if (!this.seen) return { ageMs: null, stale: this.trouble !== undefined };
    const ageMs = Math.round(performance.now() - this.seen.at);
    return { ageMs, stale: this.trouble !== undefined || ageMs > staleMs };
  }

  now(): Now {
    const { snapshot, whole, trouble } = this.follower;
    const { counts, size, version } = snapshot;
    const seen = this.seen?.look;
    const fresh = { redis: this.freshness, database: this.follower.freshness };
    const areBothFresh = !fresh.redis.stale && !fresh.database.stale;
    const waiting = seen ? seen.lists.main_sql_Q + (seen.batches.main_sql_Q ?? 0) : 0;
    return {
      fresh,
      at: Date.now(),
      counts: { ...counts },
      rows: size,
      whole,
      version,
      leavesOutputsOut: snapshot.leavesOutputsOut,
      frontier: counts.queue + counts.running + waiting,
      rate: fresh.redis.stale ? null : this.rate,
      lists: seen?.lists ?? {},
      leases: seen?.leases ?? 0,
      batches: Object.values(seen?.batches ?? {}).reduce((total, size) => total + size, 0),
      kill: this.seen?.kill ?? null,
      done: areBothFresh && size > 0 && whole && counts.queue + counts.running === 0 && seen?.closed === true,
      dropped: seen?.dropped ?? 0,
      damage: seen?.damage ?? [],
      roles: (this.seen?.roles ?? []).slice(0, rolesShown).map((role) => this.roleSight(role)),
      errors: snapshot.errors(errorsShown),
      troubles: [
        this.trouble ?? (fresh.redis.stale ? 'Redis does not answer' : undefined),
        trouble ?? (fresh.database.stale ? 'the database does not answer' : undefined),
      ].filter((text) => text !== undefined),
    };
  }

  private async look(): Promise<void> {
    const { session, log } = this.command;
    const at = performance.now();
    try {
      const [seen, roles, kill] = await Promise.all([look(session), sightings(session, forgetMs), readKill(session)]);
      roles.sort((a, b) => (a.role + a.id < b.role + b.id ? -1 : 1));
      this.seen = { at, look: seen, roles, kill };
      if (this.trouble !== undefined) log.info(`looks at Redis again after: ${this.trouble}`);
      this.trouble = undefined;
      this.measure({ at: seen.now, ended: seen.ended, generation: seen.generation });
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      if (this.trouble !== error.message) log.warn(`waiting: ${error.message}`);
      this.trouble = error.message;
      this.rate = null;
      this.samples = [];
    }
  }

  /** A new generation counts anew. */
  private measure(sample: Sample): void {
    if (this.samples.at(-1)?.generation !== sample.generation) this.samples = [];
    this.samples.push(sample);
    while (sample.at - (this.samples[0] as Sample).at > rateWindowMs) this.samples.shift();
    const first = this.samples[0] as Sample;
    const seconds = (sample.at - first.at) / 1000;
    this.rate = seconds > 0 ? Math.max(0, sample.ended - first.ended) / seconds : null;
  }

  private roleSight({ id, role, host, silentMs, slots, running, ended, benched }: RoleSighting): RoleSight {
    return {
      ...{ id, role, host },
      silentMs: silentMs + (this.freshness.ageMs ?? 0),
      alive: silentMs <= this.command.search.leaseMs,
      slots: slots ?? null,
      running: (running ?? []).slice(0, 20),
      ended: ended ?? null,
      benched: benched ?? null,
    };
  }
}
