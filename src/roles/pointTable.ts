import type { Point } from '../space/space.js';

/** Slots a member: how empty the table is kept, so that a look-up seldom passes a neighbour. */
const slotsAMember = 1.5;
const growth = 1.5;
const wordsAMark = 4;

/** The 128 bits that stand for a point, written into `mark` and answered. */
export function markOf({ coordinates }: Point, mark: Int32Array): Int32Array {
  mark.fill(0);
  for (const coordinate of coordinates) {
    for (let word = 0; word < wordsAMark; word++)
      mark[word] = (mark[word] as number) ^ (coordinate.mark[word] as number);
  }
  return mark;
}

/**
 * A set of points, each known by its mark and numbered in the order of entry; 22 bytes a member.
 *
 * Marks are as wide as the MD5 that names a point, so as unlikely to agree by chance: among 10^6 points and 10^8 questions
 * about others, 1 in 10^24. But a neighbour's takes a few exclusive ors, not a digest of its code.
 */
export class PointSet {
  size = 0;
  private marks: Int32Array;
  /** The member's number and one, or 0: open addressing, by the first word of the mark, to the next free slot. */
  private slots: Uint32Array;

  constructor(expected: number) {
    this.marks = new Int32Array(wordsAMark * Math.max(expected, 1));
    this.slots = new Uint32Array(slotsFor(this.capacity));
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return this.marks.byteLength + this.slots.byteLength;
  }

  /** How many members it has room for before it grows. */
  get capacity(): number {
    return this.marks.length / wordsAMark;
  }

  /** The number of a member, from 0; −1: it is none. */
  find(mark: Int32Array): number {
    return (this.slots[this.slotOf(mark, 0)] as number) - 1;
  }

  /** Takes in a mark, once, and answers its number. */
  add(mark: Int32Array): number {
    if (this.size === this.capacity) this.grow();
    const slot = this.slotOf(mark, 0);
    const found = this.slots[slot] as number;
    if (found > 0) return found - 1;
    this.marks.set(mark, this.size * wordsAMark);
    this.size++;
    this.slots[slot] = this.size;
    return this.size - 1;
  }

  protected grow(): void {
    this.marks = enlarged(this.marks, wordsAMark * Math.ceil(this.capacity * growth + 1));
    this.slots = new Uint32Array(slotsFor(this.capacity));
    for (let member = 0; member < this.size; member++) {
      this.slots[this.slotOf(this.marks, member * wordsAMark)] = member + 1;
    }
  }

  /** The slot of the mark that stands at `at`: its own, or the free one where it belongs. */
  private slotOf(mark: Int32Array, at: number): number {
    const { marks, slots } = this;
    const [first, second, third, fourth] = [mark[at], mark[at + 1], mark[at + 2], mark[at + 3]];
    for (let slot = Math.floor((((first as number) >>> 0) / 2 ** 32) * slots.length); ; slot++) {
      if (slot === slots.length) slot = 0;
      const member = slots[slot] as number;
      if (member === 0) return slot;
      const own = (member - 1) * wordsAMark;
      const same = marks[own] === first && marks[own + 1] === second;
      if (same && marks[own + 2] === third && marks[own + 3] === fourth) return slot;
    }
  }
}

/** What is known of a row, as bits. */
export const is = { stable: 1, root: 2, proposed: 4, linked: 8, sound: 16 } as const;

const unknownDepth = 0xffff_ffff;
export const deepest = unknownDepth - 1;

/** The rows of a ledger, 43 bytes each: the point, its parent's hash, its depth, and what is known of it. */
export class PointTable extends PointSet {
  private parents: Int32Array;
  private depths: Uint32Array;
  private facts: Uint8Array;

  constructor(expected: number) {
    super(expected);
    this.parents = new Int32Array(wordsAMark * this.capacity);
    this.depths = new Uint32Array(this.capacity);
    this.facts = new Uint8Array(this.capacity);
  }

  override get bytes(): number {
    return super.bytes + this.parents.byteLength + this.depths.byteLength + this.facts.byteLength;
  }

  /** Writes a row's facts. A depth that is undefined could not be read: no other is at odds with it. */
  set(row: number, facts: number, depth: number | undefined, parent: Int32Array | undefined): void {
    this.facts[row] = facts;
    this.depths[row] = depth ?? unknownDepth;
    if (parent) this.parents.set(parent, row * wordsAMark);
  }

  has(row: number, facts: number): boolean {
    return ((this.facts[row] as number) & facts) === facts;
  }

  note(row: number, facts: number): void {
    this.facts[row] = (this.facts[row] as number) | facts;
  }

  /** Whether a row names this hash as its parent's. */
  isChildOf(row: number, parent: Int32Array): boolean {
    const { parents } = this;
    const at = row * wordsAMark;
    if (parents[at] !== parent[0] || parents[at + 1] !== parent[1]) return false;
    return parents[at + 2] === parent[2] && parents[at + 3] === parent[3];
  }

  /** Whether a row is one step deeper than another, as far as the depths could be read. */
  isBelow(row: number, above: number): boolean {
    const [own, its] = [this.depths[row] as number, this.depths[above] as number];
    return own === unknownDepth || its === unknownDepth || own === its + 1;
  }

  protected override grow(): void {
    super.grow();
    this.parents = enlarged(this.parents, wordsAMark * this.capacity);
    this.depths = enlarged(this.depths, this.capacity);
    this.facts = enlarged(this.facts, this.capacity);
  }
}

function slotsFor(members: number): number {
  return Math.ceil(members * slotsAMember) + 1;
}

function enlarged<Words extends Int32Array | Uint32Array | Uint8Array>(words: Words, length: number): Words {
  const larger = new (words.constructor as new (length: number) => Words)(length);
  larger.set(words);
  return larger;
}
