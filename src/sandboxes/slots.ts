import { MachineFault } from '../support/errors.js';
import type { Cell } from './sandbox.js';

/** A cell as its sandbox keeps it. */
export interface KeptCell extends Cell {
  /** Whether it may be used again; false once discarded, or once it ended by itself. */
  readonly usable: boolean;
  /** Whether it still is as it was settled. */
  isIntact(): Promise<boolean>;
  /** Clears away what a use left. False: it cannot be used again. */
  settle(): Promise<boolean>;
  /** Ends it and removes what it holds. May be called again. */
  end(): Promise<void>;
}

/** One warm cell a slot: made when first needed, settled after each use, replaced after a bad one. */
export class Slots {
  private readonly warm = new Map<number, Promise<KeptCell | undefined>>();
  private closed = false;
  /** What went wrong with ending a cell: no matter of the run that it served, so the next use tells it. */
  private fault: unknown;

  constructor(private readonly make: (slot: number) => Promise<KeptCell>) {}

  async use<T>(slot: number, work: (cell: Cell) => Promise<T>): Promise<T> {
    const cell = await this.cellFor(slot).catch(beforeRun);
    let value: T;
    try {
      value = await work(cell);
    } catch (error) {
      await this.end(cell);
      throw error;
    }
    // A result need not wait until its cell is ready for the next.
    if (cell.usable && !this.closed && !this.warm.has(slot)) this.warm.set(slot, this.settled(cell, slot));
    else await this.end(cell);
    return value;
  }

  /** Ends all cells. What cannot be ended now goes by itself, or at the next start. */
  async close(): Promise<void> {
    this.closed = true;
    const cells = await Promise.all(this.warm.values());
    this.warm.clear();
    await Promise.all(cells.map((cell) => cell && this.end(cell)));
  }

  private async cellFor(slot: number): Promise<KeptCell> {
    this.tellFault();
    const warm = this.warm.get(slot);
    this.warm.delete(slot);
    const cell = await warm;
    if (cell?.usable && (await cell.isIntact())) return cell;
    if (cell) await this.end(cell);
    this.tellFault();
    return this.make(slot);
  }

  /** The cell, cleared for the slot's next use, or another where it cannot be; undefined where there is none to be had now. */
  private async settled(cell: KeptCell, slot: number): Promise<KeptCell | undefined> {
    if (await cell.settle().catch(() => false)) return cell;
    await this.end(cell);
    if (this.closed || this.fault !== undefined) return undefined;
    return this.make(slot).catch(() => undefined); // the next use tries again, and tells
  }

  private async end(cell: KeptCell): Promise<void> {
    try {
      await cell.end();
    } catch (error) {
      this.fault = error;
    }
  }

  private tellFault(): void {
    const { fault } = this;
    this.fault = undefined;
    if (fault !== undefined) throw fault;
  }
}

/** Without a cell no program begins: such a fault is not of the point that was to run. */
function beforeRun(error: unknown): never {
  if (error instanceof MachineFault) error.beforeRun = true;
  throw error;
}
