import { Worker } from 'node:worker_threads';
import type { RenewerOrder, RenewerSettings } from './renewerThread.js';

/**
 * Prolongs a worker's leases from a thread of its own, on a connection of its own: neither a busy event loop nor a blocked
 * container can starve it.
 */
export class Renewer {
  private readonly thread: Worker;

  constructor(settings: RenewerSettings, onLost: (tokens: string[]) => void, onFailure: (error: Error) => void) {
    this.thread = new Worker(new URL('./renewerThread.js', import.meta.url), { workerData: settings });
    this.thread.on('message', onLost);
    this.thread.on('error', onFailure);
  }

  hold(tokens: readonly string[]): void {
    this.tell({ hold: tokens.join(' ') });
  }

  release(tokens: readonly string[]): void {
    this.tell({ release: tokens.join(' ') });
  }

  /** No renewal after these times: the run should be over by then. */
  limit(until: [token: string, time: number][]): void {
    this.tell({ until });
  }

  async end(): Promise<void> {
    await this.thread.terminate();
  }

  private tell(order: RenewerOrder): void {
    this.thread.postMessage(order);
  }
}
