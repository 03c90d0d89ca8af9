import { Counter, Histogram, Registry } from 'prom-client';

/** What one process counts for Prometheus. A process that is not asked for it has none. */
export class Meters {
  readonly registry = new Registry();
  private readonly registers = [this.registry];

  /** `outcome`: stable, unstable or error. */
  readonly runSeconds = new Histogram({
    name: 'atmos_fleet_run_seconds',
    help: 'Duration of runs by their outcome',
    labelNames: ['outcome'] as const,
    buckets: [0.001, 0.01, 0.1, 1, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200],
    registers: this.registers,
  });

  readonly retries = new Counter({
    name: 'atmos_fleet_retries_total',
    help: 'Failed runs that are tried again',
    registers: this.registers,
  });

  readonly lostLeases = new Counter({
    name: 'atmos_fleet_lost_leases_total',
    help: 'Leases that were lost to others here, or that a master found expired',
    registers: this.registers,
  });

  /** `list`: where the batch was taken from. */
  readonly batchSize = new Histogram({
    name: 'atmos_fleet_batch_size',
    help: 'Elements in the batches that SQL clients and masters take',
    labelNames: ['list'] as const,
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
    registers: this.registers,
  });
}
