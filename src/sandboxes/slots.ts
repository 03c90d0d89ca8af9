import type { Cell } from './sandbox.js';

/** A cell as its sandbox keeps it. */
export interface KeptCell extends Cell {
  /** Whether it may be used again; false once discarded, or once it ended by itself. */
  readonly usable: boolean;
  /** Clears away what a use left. False: it cannot be used again. */
  settle(): Promise<boolean>;
  /** Ends it and removes what it holds. May be called again. */
  end(): Promise<void>;
}

/** One warm cell a slot: made when first needed, settled after each use, replaced after a bad one. */
export class Slots {
  private readonly warm = new Map<number, Promise<KeptCell | undefined>>();
  private closed = false;

  constructor(private readonly make: (slot: number) => Promise<KeptCell>) {}

  async use<T>(slot: number, work: (cell: Cell) => Promise<T>): Promise<T> {
    const kept = this.warm.get(slot);
    this.warm.delete(slot);
    const cell = (await kept) ?? (await this.make(slot));
    let value: T;
    try {
      value = await work(cell);
    } catch (error) {
      await cell.end();
      throw error;
    }
    // A result need not wait until its cell is ready for the next.
    if (cell.usable && !this.closed && !this.warm.has(slot)) this.warm.set(slot, settled(cell));
    else await cell.end();
    return value;
  }

  async close(): Promise<void> {
    this.closed = true;
    const cells = await Promise.all(this.warm.values());
    this.warm.clear();
    await Promise.all(cells.map((cell) => cell?.end()));
  }
}

/** The cell, ready for its next use; undefined, and ended, if it cannot be. */
async function settled(cell: KeptCell): Promise<KeptCell | undefined> {
  if (await cell.settle().catch(() => false)) return cell;
  await cell.end();
  return undefined;
}
