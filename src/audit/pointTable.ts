import type { Point } from '../space/space.js';

const wordsAMark = 4;
const growth = 1.5;

/**
 * Writes the 128 bits that stand for a point into `mark`, and answers it; the first word is never 0.
 *
 * Two points' marks agree by chance as seldom as their MD5s, by which SQL knows them: with 10^6 rows and 10^8 questions, 1 in
 * 10^24. But the mark of a neighbour takes a few exclusive ors instead of the writing and digesting of its code.
 */
export function markOf({ coordinates }: Point, mark: Int32Array): Int32Array {
  let [first, second, third, fourth] = [0, 0, 0, 0];
  for (const { mark: own } of coordinates) {
    first ^= own[0] as number;
    second ^= own[1] as number;
    third ^= own[2] as number;
    fourth ^= own[3] as number;
  }
  mark[0] = first === 0 ? 1 : first;
  mark[1] = second;
  mark[2] = third;
  mark[3] = fourth;
  return mark;
}

/**
 * A set of points, each known by its mark, by open addressing: a place holds a mark and what is kept with it, side by side, so
 * that a look-up reads memory once. Places move when it grows, which it does beyond `expected` members alone.
 */
export class PointSet {
  size = 0;
  protected words: Int32Array;
  private places: number;

  constructor(
    expected: number,
    /** Words of 32 bits at a place: the mark's four, then what else is kept. */
    private readonly width: number = wordsAMark,
  ) {
    this.places = placesFor(expected);
    this.words = new Int32Array(this.places * width);
  }

  /** Bytes that it takes. */
  get bytes(): number {
    return this.words.byteLength;
  }

  /** The place of a member; −1: it is none. */
  find(mark: Int32Array): number {
    const at = this.placeOf(mark, 0);
    return this.words[at] === 0 ? -1 : at;
  }

  /** Takes in a mark, once, and answers its place; `size` tells whether it was new. */
  add(mark: Int32Array): number {
    const at = this.placeOf(mark, 0);
    if (this.words[at] !== 0) return at;
    if (placesFor(this.size + 1) > this.places) {
      this.grow();
      return this.add(mark);
    }
    this.words.set(mark, at);
    this.size++;
    return at;
  }

  /** The places of all members. */
  *members(): Generator<number> {
    for (let at = 0; at < this.words.length; at += this.width) if (this.words[at] !== 0) yield at;
  }

  private grow(): void {
    const { words, width } = this;
    this.places = placesFor(Math.ceil(this.size * growth) + 1);
    this.words = new Int32Array(this.places * width);
    for (let from = 0; from < words.length; from += width) {
      if (words[from] !== 0) this.words.set(words.subarray(from, from + width), this.placeOf(words, from));
    }
  }

  /** The place of the mark that stands at `from` in `marks`: its own, or the free one where it belongs. */
  private placeOf(marks: Int32Array, from: number): number {
    const { words, width } = this;
    const first = marks[from] as number;
    let at = Math.floor(((first >>> 0) / 2 ** 32) * this.places) * width;
    while (words[at] !== 0 && !(words[at] === first && same(words, at, marks, from))) {
      at += width;
      if (at === words.length) at = 0;
    }
    return at;
  }
}

/**
 * What is known of a row, as bits of its last word. Linked: its parent's place is known. Reached: a chain of stable points leads to
 * it from a root. Visited: whether its own chain does was looked at.
 */
export const is = { stable: 1, root: 2, proposed: 4, linked: 8, sound: 16, reached: 32, visited: 64 } as const;

const parentWords = 3;

/**
 * The rows of a ledger, 32 bytes a place and 46 a row: the point's mark, 96 bits of its parent's hash or the parent's place, and what
 * is known of it.
 */
export class PointTable extends PointSet {
  constructor(expected: number) {
    super(expected, wordsAMark + parentWords + 1);
  }

  /** Writes what a row says. */
  set(row: number, facts: number, parent: Int32Array | undefined): void {
    for (let word = 0; word < parentWords; word++) this.words[row + wordsAMark + word] = parent?.[word] ?? 0;
    this.words[row + wordsAMark + parentWords] = facts;
  }

  has(row: number, facts: number): boolean {
    return (this.facts(row) & facts) === facts;
  }

  note(row: number, facts: number): void {
    this.words[row + wordsAMark + parentWords] = this.facts(row) | facts;
  }

  forget(row: number, facts: number): void {
    this.words[row + wordsAMark + parentWords] = this.facts(row) & ~facts;
  }

  /** Whether a row that is not linked names this hash as its parent's. */
  isChildOf(row: number, parent: Int32Array): boolean {
    const { words } = this;
    const at = row + wordsAMark;
    return words[at] === parent[0] && words[at + 1] === parent[1] && words[at + 2] === parent[2];
  }

  /** Keeps the place of a row's parent, instead of its hash. Places stay as they are as long as none is added. */
  link(row: number, parent: number): void {
    this.words[row + wordsAMark] = parent;
    this.note(row, is.linked);
  }

  /** The place of a linked row's parent; −1 of another row. */
  parentOf(row: number): number {
    return this.has(row, is.linked) ? (this.words[row + wordsAMark] as number) : -1;
  }

  private facts(row: number): number {
    return this.words[row + wordsAMark + parentWords] as number;
  }
}

/** Seven places of ten are taken at most, so that a look-up seldom goes on to a next place. */
function placesFor(members: number): number {
  return Math.ceil(members / 0.7) + 1;
}

function same(words: Int32Array, at: number, marks: Int32Array, from: number): boolean {
  return words[at + 1] === marks[from + 1] && words[at + 2] === marks[from + 2] && words[at + 3] === marks[from + 3];
}
