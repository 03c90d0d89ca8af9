import type { RawRow } from '../ledger/ledger.js';
import { longestCode } from '../ledger/schema.js';
import { formatNumber } from '../space/decimal.js';
import { NotAPoint, type Point, type Space } from '../space/space.js';
import { oneLine, shorten } from '../support/text.js';

/** What may be wrong with a point of the ledger. */
export type ProblemKind =
  /** Something in the row says nothing. */
  | 'malformed'
  /** Hash and code disagree. */
  | 'hash'
  /** The parameters' columns and the code disagree. */
  | 'columns'
  /** It has not ended. */
  | 'unsettled'
  /** A neighbour of a stable point without a row. */
  | 'missing'
  /** No stable parent led to it. */
  | 'orphaned'
  /** No search would have come to it. */
  | 'extra';

export interface Problem {
  kind: ProblemKind;
  /** As the row has it; for a missing point, as it would be. */
  hash: string;
  code?: string;
  /** One sentence that says what is wrong. */
  text: string;
}

/** What a row says, as far as it can be read. */
export interface CheckedRow {
  /** The point of its code. */
  point: Point | undefined;
  /** Its hash is this point's. */
  sound: boolean;
  end: 'stable' | 'unstable' | 'error' | undefined;
  depth: number | undefined;
  /** Null: it is a root. */
  previous: string | null | undefined;
  faults: Problem[];
}

/** The largest depth that is believed. */
const deepest = 2 ** 27 - 2;
const longestShown = 60;
const isHash = /^[0-9a-f]{32}$/;

/** Reads one row, trusting nothing in it, and finds what is wrong with it by itself. */
export function checkRow(row: RawRow, space: Space): CheckedRow {
  const faults: Problem[] = [];
  const fault = (kind: ProblemKind, text: string) => faults.push({ kind, ...namesOf(row), text: oneLine(text) });
  const point = pointOf(row.code, space, (why) => fault('malformed', why));
  const checked: CheckedRow = { point, sound: false, end: undefined, depth: undefined, previous: undefined, faults };
  if (point) {
    checked.sound = row.hash === point.hash;
    if (!checked.sound) fault('hash', `the hash is ${shown(row.hash)}, but its code's is ${point.hash}`);
    if (row.code !== point.code) fault('hash', `the code is ${shown(row.code)}, but is rightly written ${point.code}`);
    const odd = oddColumns(row, point, space);
    if (odd !== '') fault('columns', `the columns differ from the code: ${odd}`);
  }
  checked.end = endOf(row, fault);
  if (isDepth(row.depth)) checked.depth = row.depth;
  else fault('malformed', `the depth is ${shown(row.depth)}, wants a whole number from 0 to ${deepest}`);
  const previous = row.previous_hash;
  if (previous === null || (typeof previous === 'string' && isHash.test(previous))) checked.previous = previous;
  else fault('malformed', `the previous_hash is ${shown(previous)}, wants 32 hex characters or null`);
  if (previous === null && (checked.depth ?? 0) > 0)
    fault('malformed', `it has no parent, yet its depth is ${shown(row.depth)}`);
  return checked;
}

/** Whatever a column holds, for a sentence: short, on one line, without control characters. */
export function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  const text = typeof value === 'string' ? shorten(value, longestShown) : value;
  return oneLine(JSON.stringify(text) ?? 'absent');
}

/** How a row is named in what is said of it. */
export function namesOf({ hash, code }: RawRow): Pick<Problem, 'hash' | 'code'> {
  const name = (value: unknown) =>
    typeof value === 'string' && /^[\w.,+-]{1,512}$/.test(value) ? value : shown(value);
  return { hash: name(hash), code: name(code) };
}

/** The point of a code, if it has one; `refuse` hears why not. */
export function pointOf(code: unknown, space: Space, refuse: (why: string) => void = () => {}): Point | undefined {
  if (typeof code !== 'string') {
    refuse(`the code is ${shown(code)}, wants text`);
    return undefined;
  }
  if (code.length > longestCode) {
    refuse(`the code has ${code.length} characters, at most ${longestCode} are allowed`);
    return undefined;
  }
  try {
    return space.decode(code);
  } catch (error) {
    if (!(error instanceof NotAPoint)) throw error;
    refuse(`the code ${shown(code)} is no point: ${error.message}`);
    return undefined;
  }
}

/** The columns whose number is not the code's, in words; empty where all agree. */
function oddColumns(row: RawRow, point: Point, space: Space): string {
  const odd: string[] = [];
  for (const [index, value] of point.values.entries()) {
    const name = space.names[index] as string;
    if (row[name] !== value) odd.push(`${name} is ${shown(row[name])}, not ${formatNumber(value)}`);
  }
  return odd.join('; ');
}

function endOf({ state, stable }: RawRow, fault: (kind: ProblemKind, text: string) => void): CheckedRow['end'] {
  if (state === 'queue' || state === 'running') {
    fault('unsettled', `the point has not ended: its state is ${state}`);
  } else if (state === 'completed') {
    if (stable === 1) return 'stable';
    if (stable === 0) return 'unstable';
    fault('unsettled', `the point completed without a verdict: stable is ${shown(stable)}`);
  } else if (state === 'error') {
    if (stable !== null) fault('malformed', `the point ended in an error, but stable is ${shown(stable)}`);
    return 'error';
  } else {
    fault('malformed', `the state is ${shown(state)}, wants queue, running, error or completed`);
  }
  return undefined;
}

function isDepth(depth: unknown): depth is number {
  return Number.isInteger(depth) && (depth as number) >= 0 && (depth as number) <= deepest;
}
