import { PointSet } from '../../space/pointSet.js';
import type { Point } from '../../space/space.js';

/**
 * The points that a worker proposed lately, for sure, in one generation: Redis has seen them, so they need not be sent again.
 * Bounded: of two halves the older goes when the newer is full.
 */
export class ProposalMemory {
  private newer = new PointSet();
  private older = new PointSet();
  private generation = '';

  constructor(private readonly most = 100_000) {}

  /** Forgets all when the generation is another. */
  of(generation: string): this {
    if (generation !== this.generation) {
      this.newer = new PointSet();
      this.older = new PointSet();
      this.generation = generation;
    }
    return this;
  }

  has(point: Point): boolean {
    return this.newer.has(point) || this.older.has(point);
  }

  add(points: readonly Point[]): void {
    for (const point of points) this.newer.add(point);
    if (this.newer.size < this.most / 2) return;
    this.older = this.newer;
    this.newer = new PointSet();
  }
}
