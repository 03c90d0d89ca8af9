import type { Cell } from './sandbox.js';

/** A cell as its sandbox keeps it. */
export interface KeptCell extends Cell {
  /** Whether it may be used again; false once discarded, or once it ended by itself. */
  readonly usable: boolean;
  /** Makes it ready for the next use. False: it cannot be. */
  renew(): Promise<boolean>;
  /** Ends it and removes what it holds. May be called again. */
  end(): Promise<void>;
}

/** One warm cell a slot: made when first needed, renewed for each use, replaced after a bad one. */
export class Slots {
  private readonly warm = new Map<number, KeptCell>();
  private closed = false;

  constructor(private readonly make: (slot: number) => Promise<KeptCell>) {}

  async use<T>(slot: number, work: (cell: Cell) => Promise<T>): Promise<T> {
    const cell = (await this.takeWarm(slot)) ?? (await this.make(slot));
    let kept = false;
    try {
      const value = await work(cell);
      kept = cell.usable && !this.closed;
      if (kept) this.warm.set(slot, cell);
      return value;
    } finally {
      if (!kept) await cell.end();
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    const cells = [...this.warm.values()];
    this.warm.clear();
    await Promise.all(cells.map((cell) => cell.end()));
  }

  private async takeWarm(slot: number): Promise<KeptCell | undefined> {
    const cell = this.warm.get(slot);
    this.warm.delete(slot);
    if (!cell || (await cell.renew())) return cell;
    await cell.end();
    return undefined;
  }
}
