import { Worker } from 'node:worker_threads';
import type { RenewerOrder, RenewerSettings } from './renewerThread.js';

/** The thread is told this often in a lease which leases there are. */
const tellingsALease = 20;

/**
 * Prolongs a worker's leases from a thread of its own, on a connection of its own: neither a busy event loop nor a blocked
 * container can starve it. Leases that end soon never come to it: quick runs go by the thousand.
 */
export class Renewer {
  private readonly thread: Worker;
  private readonly telling: NodeJS.Timeout;
  /** Held, and not yet told. */
  private readonly young = new Set<string>();
  private released: string[] = [];

  constructor(settings: RenewerSettings, onLost: (tokens: string[]) => void, onFailure: (error: Error) => void) {
    this.thread = new Worker(new URL('./renewerThread.js', import.meta.url), { workerData: settings });
    this.thread.on('message', onLost);
    this.thread.on('error', onFailure);
    this.telling = setInterval(() => this.tellAll(), settings.leaseMs / tellingsALease);
  }

  hold(tokens: readonly string[]): void {
    for (const token of tokens) this.young.add(token);
  }

  release(tokens: readonly string[]): void {
    for (const token of tokens) if (!this.young.delete(token)) this.released.push(token);
  }

  /** No renewal after these times: the run should be over by then. */
  limit(until: [token: string, time: number][]): void {
    this.tellAll();
    this.tell({ until });
  }

  async end(): Promise<void> {
    clearInterval(this.telling);
    await this.thread.terminate();
  }

  private tellAll(): void {
    if (this.young.size > 0) this.tell({ hold: [...this.young] });
    if (this.released.length > 0) this.tell({ release: this.released });
    this.young.clear();
    this.released = [];
  }

  private tell(order: RenewerOrder): void {
    this.thread.postMessage(order);
  }
}
