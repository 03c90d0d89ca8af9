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
 * Computes from SQL alone whether a search is complete, and names each problem. A pass over each row by itself, and one over what
 * each stable row proposes. Then the parents that the rows name make chains: where they lead to a root, all is proven. Where they
 * do not (SQL lost rows, and what led to a point is another one now), any stable neighbour will do that a chain leads to: passes
 * over the stable rows go on as long as they reach more. A last one names what is still without a chain.
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
    await this.reachAll();
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
    // The start is a root, whatever its row says: where SQL lost that, a neighbour led to it again.
    const isRoot = (previous === null && (depth === 0 || depth === undefined)) || point.hash === this.space.start.hash;
    const facts = (end === 'stable' ? is.stable : 0) | (isRoot ? is.root | is.reached : 0) | (sound ? is.sound : 0);
    table.set(row, facts, typeof previous === 'string' ? wordsOf(previous) : undefined);
    return true;
  }

  /** Pass 2: what the stable rows of pass 1 propose must have rows, and may name the one that proposed it first. */
  private async followNeighbours(): Promise<void> {
    const { table } = this;
    await this.eachStable((parent, point) => {
      const hash = wordsOf(point.hash);
      for (const neighbour of this.space.neighbours(point)) {
        const child = table.find(markOf(neighbour, this.mark));
        if (child < 0) {
          this.miss(neighbour, point);
          continue;
        }
        table.note(child, is.proposed);
        if (!table.has(child, is.linked) && table.isChildOf(child, hash)) table.link(child, parent);
      }
    });
  }

  /** Further passes: a point is reached by way of any stable neighbour that is. */
  private async reachAll(): Promise<void> {
    const { table, found, progress } = this;
    for (let more = this.followChains(); more; ) {
      progress.total += found.stable;
      more = false;
      await this.eachStable((parent, point) => {
        if (!table.has(parent, is.reached)) return;
        for (const neighbour of this.space.neighbours(point)) {
          const child = table.find(markOf(neighbour, this.mark));
          if (child < 0 || table.has(child, is.reached)) continue;
          table.note(child, is.reached);
          more = true;
        }
      });
      more = more && this.followChains();
    }
  }

  /** Reaches what hangs on rows that are reached. Answers whether a point is left that a stable one proposed. */
  private followChains(): boolean {
    const { table } = this;
    for (const row of table.members()) table.forget(row, is.visited);
    let left = false;
    for (const row of table.members()) {
      let end = row;
      while (end >= 0 && !table.has(end, is.reached) && !table.has(end, is.visited)) {
        table.note(end, is.visited);
        end = table.parentOf(end);
      }
      if (end >= 0 && table.has(end, is.reached)) {
        for (let next = row; !table.has(next, is.reached); next = table.parentOf(next)) table.note(next, is.reached);
      } else if (table.has(row, is.proposed)) {
        left = true;
      }
    }
    return left;
  }

  /** The rows that were stable when all were read, each with its place. */
  private async eachStable(visit: (row: number, point: Point) => void): Promise<void> {
    const { space, table, mark } = this;
    for await (const rows of this.ledger.rawRows({ state: 'completed', stable: true })) {
      for (const row of rows) {
        const point = pointOf(row.code, space);
        const parent = point ? table.find(markOf(point, mark)) : -1;
        if (!point || parent < 0 || !table.has(parent, is.stable)) continue;
        visit(parent, point);
      }
      this.advance(rows.length);
    }
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
    return !this.table.has(row, is.reached);
  }

  private isExtra(row: number): boolean {
    return !this.table.has(row, is.root) && !this.table.has(row, is.proposed);
  }

  /** The last pass: the rows that no stable parent explains. */
  private async nameUnexplained(): Promise<void> {
    this.progress.total += this.found.rows;
    for await (const rows of this.ledger.rawRows()) {
      for (const row of rows) {
        const point = pointOf(row.code, this.space);
        const at = point ? this.table.find(markOf(point, this.mark)) : -1;
        if (at < 0) continue;
        const names = namesOf(row);
        if (this.isExtra(at)) {
          this.tell({ kind: 'extra', ...names, text: 'it is no root, and no neighbour of any stable point' });
        }
        if (this.isOrphaned(at)) {
          this.tell({ kind: 'orphaned', ...names, text: 'no chain of stable neighbours leads to it from a root' });
        }
      }
      this.advance(rows.length);
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
