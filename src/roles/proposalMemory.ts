/**
 * The codes that a worker proposed lately, for sure, in one generation: Redis has seen them, so they need not be sent again.
 * Bounded: the oldest go first.
 */
export class ProposalMemory {
  private codes = new Set<string>();
  private generation = '';

  constructor(private readonly most = 100_000) {}

  /** Forgets all when the generation is another. */
  of(generation: string): this {
    if (generation !== this.generation) {
      this.codes = new Set();
      this.generation = generation;
    }
    return this;
  }

  has(code: string): boolean {
    return this.codes.has(code);
  }

  add(codes: Iterable<string>): void {
    for (const code of codes) this.codes.add(code);
    for (const oldest of this.codes) {
      if (this.codes.size <= this.most) return;
      this.codes.delete(oldest);
    }
  }
}
