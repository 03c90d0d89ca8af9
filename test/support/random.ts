/** Random numbers that a seed repeats (mulberry32). */
export class Random {
  constructor(private state: number) {}

  /** From 0 up to, not including, 1. */
  real(from = 0, to = 1): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return from + (to - from) * (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32);
  }

  /** A whole number, both bounds included. */
  whole(from: number, to: number): number {
    return Math.floor(this.real(from, to + 1));
  }

  /** A number of so many digits; every magnitude between the bounds is as likely. */
  magnitude(from: number, to: number, digits = 3): number {
    return Number(Math.exp(this.real(Math.log(from), Math.log(to))).toPrecision(digits));
  }

  pick<T>(from: readonly T[]): T {
    if (from.length === 0) throw new Error('nothing to pick from');
    return from[this.whole(0, from.length - 1)] as T;
  }

  chance(probability: number): boolean {
    return this.real() < probability;
  }

  shuffled<T>(values: readonly T[]): T[] {
    return values
      .map((value) => ({ value, key: this.real() }))
      .sort((one, other) => one.key - other.key)
      .map(({ value }) => value);
  }
}

/**
 * The seed of this run, printed, so that a failure can be repeated by FLEET_SEED. Continuous integration judges a change by one
 * seed, always the same; every other run looks somewhere new.
 */
export function seedOfRun(what: string): number {
  const seed = Number(process.env.FLEET_SEED || (process.env.CI ? 20_261_121 : Date.now() % 2 ** 32));
  console.log(`${what}: FLEET_SEED=${seed}`);
  return seed;
}
