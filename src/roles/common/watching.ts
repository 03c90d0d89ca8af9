import { collectDefaultMetrics, Gauge } from 'prom-client';
import type { Ledger } from '../../ledger/ledger.js';
import { look } from '../../queue/look.js';
import type { Session } from '../../queue/session.js';
import { Unavailable } from '../../support/errors.js';
import { Meters } from '../../support/meters.js';
import type { Probes } from '../../support/probes.js';

export { Meters };

/** A service that has not answered by then counts as away, ms. */
const patienceMs = 3000;
/** Rows are counted by a pass over the table: not at every scrape, ms. */
const countAgainMs = 10_000;

/** What a role shows to those who watch it: whether it can work, what it counts, and what Redis and SQL hold. */
export class Watching implements Probes {
  private readonly lists: Gauge<'list'>;
  private readonly leases: Gauge;
  private readonly batched: Gauge;
  private readonly points: Gauge<'state'>;
  private countedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly meters: Meters,
    private readonly session: Session,
    /** Absent where a role has no database. */
    private readonly ledger?: Ledger,
    /** Why this process cannot work, whatever the services say. */
    private readonly hindrance: () => string | undefined = () => undefined,
  ) {
    const { registry } = meters;
    const registers = [registry];
    collectDefaultMetrics({ register: registry });
    this.lists = gauge('list_length', 'Elements in the lists of Redis', ['list']);
    this.leases = gauge('leases', 'Points leased to workers', []);
    this.batched = gauge('batched', 'Elements in batches on their way to SQL', []);
    this.points = gauge('points', 'Rows by state; completed ones are stable or unstable', ['state']);

    function gauge<T extends string>(name: string, help: string, labelNames: readonly T[]): Gauge<T> {
      return new Gauge({ name: `atmos_fleet_${name}`, help, labelNames, registers });
    }
  }

  async ready(): Promise<void> {
    const hindrance = this.hindrance();
    if (hindrance !== undefined) throw new Unavailable(hindrance);
    await inTime(
      'Redis',
      this.session.connection.ask((redis) => redis.ping()),
    );
    if (this.ledger) await inTime('the database', this.ledger.open());
  }

  async metrics(): Promise<string> {
    await Promise.all([this.lookAtRedis(), this.lookAtSql()]);
    return this.meters.registry.metrics();
  }

  /** What is not known is left out: Prometheus tells absence from zero. */
  private async lookAtRedis(): Promise<void> {
    const seen = await known(inTime('Redis', look(this.session)));
    for (const meter of [this.lists, this.leases, this.batched]) meter.reset();
    if (!seen) {
      this.leases.remove();
      this.batched.remove();
      return;
    }
    for (const [list, length] of Object.entries(seen.lists)) this.lists.set({ list }, length);
    this.leases.set(seen.leases);
    this.batched.set(Object.values(seen.batches).reduce((total, size) => total + size, 0));
  }

  private async lookAtSql(): Promise<void> {
    if (!this.ledger || performance.now() - this.countedAt < countAgainMs) return;
    this.countedAt = performance.now();
    const counts = await known(inTime('the database', this.ledger.counts()));
    this.points.reset();
    if (!counts) return;
    const { queue, running, error } = counts.states;
    const { stable, unstable } = counts;
    for (const [state, rows] of Object.entries({ queue, running, error, stable, unstable })) {
      this.points.set({ state }, rows);
    }
  }
}

async function inTime<T>(service: string, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Unavailable(`${service} does not answer`)), patienceMs);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

async function known<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
}
