import type { Ledger } from '../ledger/ledger.js';
import type { Point, Space } from '../space/space.js';
import { wordsOf } from '../space/space.js';
import { is, markOf, PointSet, PointTable } from './pointTable.js';
import { type CheckedRow, checkRow, namesOf, type Problem, type ProblemKind, pointOf } from './rowCheck.js';

export type { Problem, ProblemKind } from './rowCheck.js';

export interface Verdict {
  /** There are rows, all is as it must be, no point is left to run, and none ended in an error. */
  complete: boolean;
  /** The same, but for what lies beyond points that ended in an error. */
  completeUpToErrors: boolean;
  rows: number;
  stable: number;
  unstable: number;
  errors: number;
  /** Rows that no other proposed. */
  roots: number;
  problems: Record<ProblemKind, number>;
  /** Points that the search's limit kept out: no problem, but not complete. */
  beyondMaxPoints: number;
  /** False: so many points have no row that the rest of them was neither named nor counted. */
  countedAll: boolean;
}

/** Rows read so far, of how many. The total grows when there are problems to be named. */
export interface Progress {
  read: number;
  total: number;
}

/** Points without a row that are told apart, 23 bytes each, beside one for every two rows. */
const missingToldApart = 1_000_000;

/**
 * Computes from SQL alone whether a search is complete, and names each problem. Three passes: each row by itself; what
 * each stable row proposes; and, only if something is wrong with how the rows hang together, their names. That each row
 * but the roots is one step deeper than the stable row that proposed it is proof of the whole chain to a root.
 */
export async function verify(
  ledger: Ledger,
  space: Space,
  maxPoints: number | null,
  onProblem: (problem: Problem) => void,
  onProgress: (progress: Progress) => void = () => {},
): Promise<Verdict> {
  const { states, stable } = await ledger.counts();
  const expected = states.queue + states.running + states.error + states.completed;
  const verification = new Verification(ledger, space, maxPoints, onProblem, onProgress, expected, stable);
  return verification.verdict();
}

class Verification {
  private readonly table: PointTable;
  private readonly missing = new PointSet(1024);
  private readonly mark = new Int32Array(4);
  private readonly found = {
    rows: 0,
    stable: 0,
    unstable: 0,
    errors: 0,
    roots: 0,
    beyondMaxPoints: 0,
    countedAll: true,
  };
  private readonly problems = {
    malformed: 0,
    hash: 0,
    columns: 0,
    unsettled: 0,
    missing: 0,
    orphaned: 0,
    extra: 0,
  };
  private readonly progress: Progress;

  constructor(
    private readonly ledger: Ledger,
    private readonly space: Space,
    private readonly maxPoints: number | null,
    private readonly onProblem: (problem: Problem) => void,
    private readonly onProgress: (progress: Progress) => void,
    expected: number,
    stable: number,
  ) {
    this.table = new PointTable(expected);
    this.progress = { read: 0, total: expected + stable };
  }

  async verdict(): Promise<Verdict> {
    await this.checkRows();
    await this.followNeighbours();
    if (this.anyUnexplained()) await this.nameUnexplained();
    const { found, problems } = this;
    const wrong = Object.values(problems).some((count) => count > 0);
    const completeUpToErrors = found.rows > 0 && !wrong && found.beyondMaxPoints === 0;
    return { complete: completeUpToErrors && found.errors === 0, completeUpToErrors, ...found, problems };
  }

  /** Pass 1: what is wrong with each row by itself; all points enter the table. */
  private async checkRows(): Promise<void> {
    for await (const rows of this.ledger.rawRows()) {
      for (const row of rows) {
        const checked = checkRow(row, this.space);
        for (const fault of checked.faults) this.tell(fault);
        this.count(checked);
        if (checked.point && !this.enter(checked.point, checked)) {
          this.tell({ kind: 'extra', ...namesOf(row), text: 'another row has the same point' });
        }
      }
      this.advance(rows.length);
    }
    this.progress.total = this.found.rows + this.found.stable;
  }

  private count({ end, previous }: CheckedRow): void {
    const { found } = this;
    found.rows++;
    if (end === 'stable') found.stable++;
    else if (end === 'unstable') found.unstable++;
    else if (end === 'error') found.errors++;
    if (previous === null) found.roots++;
  }

  /** Of two rows with one code, the one whose hash is right stands for the point. False: both claim it rightly. */
  private enter(point: Point, { sound, end, depth, previous }: CheckedRow): boolean {
    const { table } = this;
    const before = table.size;
    const row = table.add(markOf(point, this.mark));
    if (table.size === before && (!sound || table.has(row, is.sound))) return !sound;
    const isRoot = previous === null && (depth === 0 || depth === undefined);
    // A parent that cannot be read is named already.
    const facts =
      (end === 'stable' ? is.stable : 0) |
      (isRoot ? is.root : 0) |
      (previous === undefined ? is.linked : 0) |
      (sound ? is.sound : 0);
    table.set(row, facts, depth, typeof previous === 'string' ? wordsOf(previous) : undefined);
    return true;
  }

  /** Pass 2: what the stable rows of pass 1 propose must have rows, and names the one that proposed it first. */
  private async followNeighbours(): Promise<void> {
    const { space, table, mark } = this;
    for await (const rows of this.ledger.rawRows({ state: 'completed', stable: true })) {
      for (const row of rows) {
        const point = pointOf(row.code, space);
        const parent = point ? table.find(markOf(point, mark)) : -1;
        if (!point || parent < 0 || !table.has(parent, is.stable)) continue;
        const hash = wordsOf(point.hash);
        for (const neighbour of space.neighbours(point)) {
          const child = table.find(markOf(neighbour, mark));
          if (child < 0) this.miss(neighbour, point);
          else this.propose(child, parent, hash);
        }
      }
      this.advance(rows.length);
    }
  }

  private propose(child: number, parent: number, hash: Int32Array): void {
    const { table } = this;
    const isParent = table.isChildOf(child, hash) && table.isBelow(child, parent);
    table.note(child, isParent ? is.proposed | is.linked : is.proposed);
  }

  /** A neighbour without a row, told once. Its mark is the last that was computed. */
  private miss(neighbour: Point, parent: Point): void {
    const { missing, found, maxPoints } = this;
    const before = missing.size;
    if (before >= missingToldApart + found.rows / 2) {
      if (missing.find(this.mark) < 0) found.countedAll = false;
      return;
    }
    missing.add(this.mark);
    if (missing.size === before) return;
    if (maxPoints !== null && found.rows >= maxPoints) {
      found.beyondMaxPoints++;
      return;
    }
    const { hash, code } = neighbour;
    this.tell({ kind: 'missing', hash, code, text: `no row has this neighbour of the stable point ${parent.hash}` });
  }

  private anyUnexplained(): boolean {
    for (const row of this.table.members()) {
      if (this.isOrphaned(row) || this.isExtra(row)) return true;
    }
    return false;
  }

  private isOrphaned(row: number): boolean {
    return !this.table.has(row, is.root) && !this.table.has(row, is.linked);
  }

  private isExtra(row: number): boolean {
    return !this.table.has(row, is.root) && !this.table.has(row, is.proposed);
  }

  /** Pass 3: the rows that no stable parent explains. */
  private async nameUnexplained(): Promise<void> {
    this.progress.total += this.found.rows;
    for await (const rows of this.ledger.rawRows()) {
      const orphans: { names: Pick<Problem, 'hash' | 'code'>; checked: CheckedRow }[] = [];
      for (const row of rows) {
        const checked = checkRow(row, this.space);
        const at = checked.point ? this.table.find(markOf(checked.point, this.mark)) : -1;
        if (at < 0) continue;
        const names = namesOf(row);
        if (this.isExtra(at)) {
          this.tell({ kind: 'extra', ...names, text: 'it is no root, and no neighbour of any stable point' });
        }
        if (this.isOrphaned(at)) orphans.push({ names, checked });
      }
      await this.nameOrphans(orphans);
      this.advance(rows.length);
    }
  }

  private async nameOrphans(
    orphans: readonly { names: Pick<Problem, 'hash' | 'code'>; checked: CheckedRow }[],
  ): Promise<void> {
    const hashes = [...new Set(orphans.flatMap(({ checked }) => checked.previous ?? []))];
    const parents = new Map((await this.ledger.findRaw(hashes)).map((row) => [row.hash, checkRow(row, this.space)]));
    for (const { names, checked } of orphans) {
      this.tell({ kind: 'orphaned', ...names, text: lackOf(checked, parents.get(checked.previous), this.space) });
    }
  }

  private tell(problem: Problem): void {
    this.problems[problem.kind]++;
    this.onProblem(problem);
  }

  private advance(rows: number): void {
    this.progress.read += rows;
    this.onProgress({ ...this.progress });
  }
}

/** Why a row hangs on no stable parent. */
function lackOf({ point, previous, depth }: CheckedRow, parent: CheckedRow | undefined, space: Space): string {
  if (previous === null) return `it has no parent, yet its depth is ${depth}`;
  if (!parent) return `its parent ${previous} has no row`;
  if (!parent.point || !parent.sound) return `the row of its parent ${previous} holds no point of that hash`;
  if (parent.end !== 'stable') return `its parent ${previous} is not stable`;
  const isNeighbour = space.neighbours(parent.point).some(({ code }) => code === point?.code);
  if (!isNeighbour) return `it is no neighbour of its parent ${previous}`;
  if (depth !== (parent.depth ?? 0) + 1)
    return `its depth is ${depth}, but its parent's, ${previous}, is ${parent.depth}`;
  return `its parent ${previous} was not stable yet when its row was read`;
}
