import type { Coordinate, Point } from './space.js';

/** Coordinates of one axis, each leading to those of the next; on the last axis to nothing. */
type Level = Map<Coordinate | undefined, Level | undefined>;

/**
 * A set of points of one space, told apart by their coordinates: a third of the cost of writing and hashing their codes.
 * After an axis of very many values has made its coordinates anew, a point counts as another; the set may hold it twice.
 */
export class PointSet {
  size = 0;
  private readonly root: Level = new Map();

  has({ coordinates }: Point): boolean {
    let level: Level | undefined = this.root;
    const last = coordinates.length - 1;
    for (let axis = 0; axis < last; axis++) {
      level = level.get(coordinates[axis]);
      if (!level) return false;
    }
    return level.has(coordinates[last]);
  }

  /** False: it was there. */
  add({ coordinates }: Point): boolean {
    let level = this.root;
    const last = coordinates.length - 1;
    for (let axis = 0; axis < last; axis++) {
      const coordinate = coordinates[axis];
      let next = level.get(coordinate);
      if (!next) {
        next = new Map();
        level.set(coordinate, next);
      }
      level = next;
    }
    if (level.has(coordinates[last])) return false;
    level.set(coordinates[last], undefined);
    this.size++;
    return true;
  }
}
