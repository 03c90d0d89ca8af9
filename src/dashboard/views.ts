import { UsageError } from '../support/errors.js';
import { type CellAxis, type Cells, type Dot, type Dots, kinds, type Selection } from './api.js';
import type { Column, Snapshot } from './snapshot.js';

/** Bins of an axis whose values are too many to stand for themselves. */
const bins = 60;

/** Counts and means over a grid of two fields: what a heat map shows, however many rows there are. */
export function cellsOf(
  snapshot: Snapshot,
  [xName, yName]: readonly [string, string],
  colours: readonly string[],
  selection: Selection,
): Cells {
  const [x, y] = [new Binning(snapshot, xName), new Binning(snapshot, yName)];
  const means = colours.map((name) => columnOf(snapshot, name).numbers);
  const size = x.count * y.count;
  const counts = new Uint32Array(size * kinds.length);
  const sums = means.map(() => ({ total: new Float64Array(size), having: new Uint32Array(size) }));
  const matches = matcher(snapshot, selection);
  let rows = 0;
  for (let row = 0; row < snapshot.size; row++) {
    if (!matches(row)) continue;
    const [column, line] = [x.binOf(row), y.binOf(row)];
    if (column < 0 || line < 0) continue;
    rows++;
    const cell = line * x.count + column;
    counts[cell * kinds.length + (snapshot.kinds[row] as number)] =
      (counts[cell * kinds.length + (snapshot.kinds[row] as number)] as number) + 1;
    for (let index = 0; index < means.length; index++) {
      const value = (means[index] as Float64Array)[row] as number;
      if (Number.isNaN(value)) continue;
      const sum = sums[index] as { total: Float64Array; having: Uint32Array };
      sum.total[cell] = (sum.total[cell] as number) + value;
      sum.having[cell] = (sum.having[cell] as number) + 1;
    }
  }
  const cells: Cells['cells'] = [];
  for (let cell = 0; cell < size; cell++) {
    const own = counts.subarray(cell * kinds.length, (cell + 1) * kinds.length);
    if (own.every((count) => count === 0)) continue;
    cells.push({
      x: cell % x.count,
      y: Math.floor(cell / x.count),
      counts: [...own],
      means: sums.map(({ total, having }) =>
        having[cell] ? (total[cell] as number) / (having[cell] as number) : null,
      ),
    });
  }
  return { x: x.axis, y: y.axis, cells, rows };
}

/** The rows of a selection, or a sample of them: even within each kind, and with a tenth for each kind that has so many. */
export function dotsOf(snapshot: Snapshot, fields: readonly string[], selection: Selection, most: number): Dots {
  const columns = fields.map((name) => columnOf(snapshot, name).numbers);
  const matches = matcher(snapshot, selection);
  const found = kinds.map(() => 0);
  const kindOf = (row: number) => snapshot.kinds[row] as number;
  for (let row = 0; row < snapshot.size; row++) if (matches(row)) found[kindOf(row)] = (found[kindOf(row)] ?? 0) + 1;
  const shares = sharesOf(found, most);
  const [met, taken] = [kinds.map(() => 0), kinds.map(() => 0)];
  const dots: Dot[] = [];
  for (let row = 0; row < snapshot.size && dots.length < most; row++) {
    if (!matches(row)) continue;
    const kind = kindOf(row);
    const [before, all, share] = [taken[kind] ?? 0, found[kind] ?? 0, shares[kind] ?? 0];
    const isNext = before < share && (met[kind] ?? 0) >= Math.floor((before * all) / share);
    met[kind] = (met[kind] ?? 0) + 1;
    if (!isNext) continue;
    taken[kind] = before + 1;
    dots.push({
      hash: snapshot.hashes[row] as string,
      kind,
      values: columns.map((numbers) => (Number.isNaN(numbers[row]) ? null : (numbers[row] as number))),
    });
  }
  return { fields: [...fields], dots, rows: found.reduce((total, count) => total + count) };
}

/** How many of each kind are shown of so many, so that none is lost for being rare; `most` in all, or all there are. */
function sharesOf(found: readonly number[], most: number): number[] {
  const shares = found.map(() => 0);
  let [left, rows] = [most, found.reduce((total, count) => total + count)];
  const rarestFirst = [...found.keys()].sort((one, other) => (found[one] ?? 0) - (found[other] ?? 0));
  for (const kind of rarestFirst) {
    const count = found[kind] ?? 0;
    const even = rows === 0 ? 0 : Math.floor((left * count) / rows);
    const share = Math.min(count, left, Math.max(even, Math.floor(most / 10)));
    shares[kind] = share;
    left -= share;
    rows -= count;
  }
  return shares;
}

/** Whether a row belongs to the selection. A row without a limited number does not. */
function matcher(snapshot: Snapshot, { limits, kinds: wanted }: Selection): (row: number) => boolean {
  const tests = limits.map(({ field, from, to }) => ({
    numbers: columnOf(snapshot, field).numbers,
    from: from ?? Number.NEGATIVE_INFINITY,
    to: to ?? Number.POSITIVE_INFINITY,
  }));
  const takes = Uint8Array.from(kinds, (kind) => (wanted === undefined || wanted.includes(kind) ? 1 : 0));
  return (row) => {
    if (takes[snapshot.kinds[row] as number] === 0) return false;
    for (let index = 0; index < tests.length; index++) {
      const { numbers, from, to } = tests[index] as (typeof tests)[number];
      const value = numbers[row] as number;
      if (!(value >= from && value <= to)) return false;
    }
    return true;
  };
}

/** How a field's numbers fall into the cells of an axis. */
class Binning {
  readonly axis: CellAxis;
  readonly count: number;
  private readonly column: Column;
  private readonly values: Float64Array | undefined;
  private readonly scale: number;

  constructor(snapshot: Snapshot, field: string) {
    this.column = columnOf(snapshot, field);
    const { values, min, max } = this.column;
    this.values = values && Float64Array.from(values);
    this.count = values ? values.length : bins;
    const width = (max - min) / bins || 1;
    this.scale = 1 / width;
    const ends = (offset: number) => Array.from({ length: bins }, (_, bin) => min + (bin + offset) * width);
    this.axis = values ? { field, from: values, to: values } : { field, from: ends(0), to: ends(1) };
  }

  /** −1: the row has no such number. */
  binOf(row: number): number {
    const value = this.column.numbers[row] as number;
    if (Number.isNaN(value)) return -1;
    if (!this.values) return Math.min(bins - 1, Math.floor((value - this.column.min) * this.scale));
    let [low, high] = [0, this.values.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.values[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function columnOf(snapshot: Snapshot, name: string): Column {
  const column = snapshot.column(name);
  if (!column) throw new UsageError(`'${name}' is no field of this search`);
  return column;
}
