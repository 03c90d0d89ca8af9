/** Outputs that get a column each: programs may name them differently at each point. */
export const maxOutputs = 100;
/** Names without a column whose frequency is kept. */
const maxCounted = 20_000;
const maxNameLength = 200;
/** A name must be so many times as frequent as the rarest with a column to be worth reading all rows again. */
const worthReading = 2;

/**
 * Which outputs have a column: the most frequent, as far as bounded memory tells. Names come as rows do; while there is room each
 * gets a column, later ones are counted (Misra and Gries: never too high, and too low by one in 20,000 names met at most).
 */
export class OutputNames {
  /** Rows that have each. */
  private readonly columns = new Map<string, number>();
  private readonly counted = new Map<string, number>();
  /** Some names were met that have no column. */
  areLeftOut = false;

  /** `chosen`: those that get a column in any case. */
  constructor(chosen: readonly string[] = []) {
    for (const name of chosen) this.columns.set(name, 0);
  }

  /** Counts one more row with that name; whether it has a column. */
  meet(name: string): boolean {
    const rows = this.columns.get(name);
    const hasRoom = this.columns.size < maxOutputs && name.length <= maxNameLength;
    if (rows === undefined && !hasRoom) {
      this.areLeftOut = true;
      if (name.length <= maxNameLength) this.count(name);
      return false;
    }
    this.columns.set(name, (rows ?? 0) + 1);
    return true;
  }

  /** The most frequent names, where they are so much more frequent than those with a column that a new start is worth it. */
  better(): string[] | undefined {
    const rarest = Math.min(...this.columns.values());
    const most = [...this.counted.values()].reduce((high, count) => Math.max(high, count), 0);
    if (!this.areLeftOut || most < worthReading * Math.max(1, rarest)) return undefined;
    const all = [...this.columns, ...this.counted].sort(([, one], [, other]) => other - one);
    return all.slice(0, maxOutputs).map(([name]) => name);
  }

  private count(name: string): void {
    const before = this.counted.get(name);
    if (before !== undefined || this.counted.size < maxCounted) {
      this.counted.set(name, (before ?? 0) + 1);
      return;
    }
    for (const [other, count] of this.counted) {
      if (count === 1) this.counted.delete(other);
      else this.counted.set(other, count - 1);
    }
  }
}
