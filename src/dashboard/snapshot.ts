import type { MappedRow, RowMark } from '../ledger/reader.js';
import { type ErrorGroup, type Field, type Kind, kinds } from './api.js';
import { OutputNames } from './outputNames.js';

/** More values of a field than this are not kept apart. */
const mostValues = 120;
const mostErrorGroups = 500;
const otherErrors = 'others';
const firstCapacity = 1024;

/** The numbers of one field, one a row; NaN where a row has none. */
export class Column {
  numbers = new Float64Array(firstCapacity).fill(Number.NaN);
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  private few: Set<number> | undefined = new Set();
  private ordered: number[] | undefined;

  constructor(
    readonly name: string,
    readonly group: Field['group'],
    readonly unit: string,
  ) {}

  set(row: number, value: number | null | undefined): void {
    const number = value ?? Number.NaN;
    this.numbers[row] = number;
    if (Number.isNaN(number)) return;
    if (number < this.min) this.min = number;
    if (number > this.max) this.max = number;
    if (this.few === undefined || this.few.has(number)) return;
    this.few.add(number);
    this.ordered = undefined;
    if (this.few.size > mostValues) this.few = undefined;
  }

  grow(capacity: number): void {
    const grown = new Float64Array(capacity).fill(Number.NaN);
    grown.set(this.numbers);
    this.numbers = grown;
  }

  /** All values in order, where they are few. */
  get values(): number[] | undefined {
    this.ordered ??= this.few && [...this.few].sort((a, b) => a - b);
    return this.ordered;
  }

  describe(): Field {
    const any = this.min <= this.max;
    const { name, group, unit } = this;
    const range = { min: any ? this.min : null, max: any ? this.max : null };
    return { name, group, unit, ...range, values: (any && this.values) || null };
  }
}

/** All rows of the search in columns: what the views are computed from, about 150 bytes a row. */
export class Snapshot {
  size = 0;
  /** Rises whenever a row changed. */
  version = 0;
  kinds = new Uint8Array(firstCapacity);
  readonly hashes: string[] = [];
  readonly counts: Record<Kind, number> = { queue: 0, running: 0, error: 0, unstable: 0, stable: 0 };
  private readonly rows = new Map<string, number>();
  private readonly columns = new Map<string, Column>();
  private readonly messages = new Map<number, string>();
  private readonly groups = new Map<string, ErrorGroup>();
  private attempts = new Uint16Array(firstCapacity);
  private readonly outputs: OutputNames;

  /** `outputs`: names that get a column in any case. */
  constructor(
    private readonly parameters: readonly string[],
    private readonly isMixture: boolean,
    outputs: readonly string[] = [],
  ) {
    this.outputs = new OutputNames(outputs);
    for (const name of parameters) this.add(new Column(name, 'parameter', isMixture ? 'mixing ratio' : ''));
    this.add(new Column('temperature', 'measured', 'K'));
    this.add(new Column('pressure', 'measured', 'bar'));
    this.add(new Column('run_time', 'measured', 's'));
    this.add(new Column('depth', 'measured', 'steps'));
  }

  /** Whether a row is new or has changed. */
  differs({ hash, state, stable, attempts }: RowMark): boolean {
    const row = this.rows.get(hash);
    return row === undefined || this.kinds[row] !== codeOf(state, stable) || this.attempts[row] !== attempts;
  }

  apply(rows: readonly MappedRow[]): void {
    for (const row of rows) this.put(row);
    if (rows.length > 0) this.version++;
  }

  column(name: string): Column | undefined {
    return this.columns.get(name);
  }

  fields(): Field[] {
    return [...this.columns.values()].map((column) => column.describe());
  }

  /** Rows have outputs without a column, which are no fields. */
  get leavesOutputsOut(): boolean {
    return this.outputs.areLeftOut;
  }

  /** An empty one whose columns are for much more frequent outputs, where rows have such: all rows have to be read again. */
  better(): Snapshot | undefined {
    const names = this.outputs.better();
    return names && new Snapshot(this.parameters, this.isMixture, names);
  }

  /** Errors by message, the most frequent first; numbers in the messages aside. */
  errors(most: number): ErrorGroup[] {
    return [...this.groups.values()].sort((a, b) => b.count - a.count).slice(0, most);
  }

  private put(row: MappedRow): void {
    const known = this.rows.get(row.hash);
    const at = known ?? this.enter(row.hash);
    const code = codeOf(row.state, row.stable);
    if (known !== undefined) this.counts[kinds[this.kinds[at] as number] as Kind]--;
    this.counts[kinds[code] as Kind]++;
    this.kinds[at] = code;
    this.attempts[at] = row.attempts;
    for (const [index, name] of this.parameters.entries()) this.columns.get(name)?.set(at, row.values[index]);
    for (const name of ['temperature', 'pressure', 'run_time', 'depth'] as const)
      this.columns.get(name)?.set(at, row[name]);
    for (const [name, value] of Object.entries(row.outputs ?? {}))
      if (this.outputs.meet(name)) this.output(name).set(at, value);
    this.regroup(at, row);
  }

  private enter(hash: string): number {
    const row = this.size++;
    if (row === this.kinds.length) this.grow(2 * row);
    this.hashes.push(hash);
    this.rows.set(hash, row);
    return row;
  }

  private grow(capacity: number): void {
    const [kinds, attempts] = [new Uint8Array(capacity), new Uint16Array(capacity)];
    kinds.set(this.kinds);
    attempts.set(this.attempts);
    this.kinds = kinds;
    this.attempts = attempts;
    for (const column of this.columns.values()) column.grow(capacity);
  }

  private add(column: Column): Column {
    if (column.numbers.length < this.kinds.length) column.grow(this.kinds.length);
    this.columns.set(column.name, column);
    return column;
  }

  private output(name: string): Column {
    const key = `outputs.${name}`;
    return this.columns.get(key) ?? this.add(new Column(key, 'output', ''));
  }

  private regroup(at: number, { state, error_kind, error_msg }: MappedRow): void {
    const before = this.messages.get(at);
    const group = before === undefined ? undefined : this.groups.get(before);
    if (group && --group.count === 0) this.groups.delete(before as string);
    this.messages.delete(at);
    if (state !== 'error') return;
    const [kind, message] = [error_kind ?? 'program', (error_msg ?? '').trim()];
    const key = `${kind} ${message.replaceAll(/[0-9a-f]{8,}|\d+(?:\.\d+)?(?:e[+-]?\d+)?/gi, '#')}`;
    const name = this.groups.has(key) || this.groups.size < mostErrorGroups ? key : otherErrors;
    const own = this.groups.get(name) ?? { kind, message: name === otherErrors ? 'others' : message, count: 0 };
    own.count++;
    this.groups.set(name, own);
    this.messages.set(at, name);
  }
}

function codeOf(state: MappedRow['state'], stable: boolean | null): number {
  return kinds.indexOf(state === 'completed' ? (stable ? 'stable' : 'unstable') : state);
}
