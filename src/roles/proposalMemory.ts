/**
 * The codes that a worker proposed lately, for sure, in one generation: Redis has seen them, so they need not be sent again.
 * Bounded: the older half goes when the younger is full.
 */
export class ProposalMemory {
  private young = new Set<string>();
  private old = new Set<string>();
  private generation = '';

  constructor(private readonly half = 50_000) {}

  /** Forgets all when the generation is another. */
  of(generation: string): this {
    if (generation !== this.generation) {
      this.young = new Set();
      this.old = new Set();
      this.generation = generation;
    }
    return this;
  }

  has(code: string): boolean {
    return this.young.has(code) || this.old.has(code);
  }

  add(codes: Iterable<string>): void {
    for (const code of codes) this.young.add(code);
    if (this.young.size < this.half) return;
    this.old = this.young;
    this.young = new Set();
  }
}
