import { NotAPoint, type Point, type Space } from '../space/space.js';
import { isMark } from './generation.js';

/** The version that this program writes; it reads all up to it. */
const messageVersion = 1;
/** An element longer than this is malformed, whatever it says. */
export const longestElement = 1 << 20;
const longestPath = 1024;
export const maxFaultLength = 500;

/** What travels with a point on its way to a run. */
export interface Travel {
  previous_hash?: string | undefined;
  /** Where the parent's files are; absent when it left none. */
  previous_path?: string | undefined;
  depth: number;
  /** The number of its next run, from 1. Absent: 1. */
  attempt?: number | undefined;
  /** Attempts that were spent before its errors were put back: the allowance counts from here. */
  spent?: number | undefined;
  /** Workers that vanished with it, or whose machine failed it though it passed its probe, in a row. */
  lost?: string[] | undefined;
  /** The message of the last of those machine faults. */
  fault?: string | undefined;
}

/** What a run tells SQL, under the names of the table's columns. */
export interface Report {
  previous_hash?: string | undefined;
  depth: number;
  attempt: number;
  /** The mark of the table that the run was for. Absent in version 0.1, and where people push reports. */
  table?: string | undefined;
  worker?: string | undefined;
  /** ISO 8601, UTC. */
  start_time?: string | undefined;
  end_time?: string | undefined;
  /** Seconds. */
  run_time?: number | undefined;
  error_kind?: 'program' | 'timeout' | 'poison' | undefined;
  error_msg?: string | undefined;
  complete_msg?: string | undefined;
  out_path?: string | undefined;
  /** Surface temperature, K. */
  temperature?: number | undefined;
  /** Surface pressure, bar. */
  pressure?: number | undefined;
  outputs?: Record<string, number> | undefined;
}

type Check = (value: unknown) => boolean;
const isText: Check = (value) => typeof value === 'string';
const isHash: Check = (value) => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
const isCount: Check = (value) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31;
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isTime: Check = (value) => {
  const year = typeof value === 'string' ? new Date(value).getUTCFullYear() : Number.NaN;
  return year >= 1000 && year <= 9999; // What every database can hold.
};
const isPath: Check = (value) => typeof value === 'string' && value.length <= longestPath;
const isErrorKind: Check = (value) => value === 'program' || value === 'timeout' || value === 'poison';
const isObject: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Half a surrogate pair: no UTF-8 holds it, and databases refuse JSON with it. */
const halfCharacter = /\p{Surrogate}/u;
const isOutputs: Check = (value) =>
  isObject(value) &&
  Object.entries(value as object).every(
    ([name, number]) => name.length <= 200 && !halfCharacter.test(name) && isNumber(number),
  );

const known: Record<string, [Check, string]> = {
  previous_hash: [isHash, 'a hash of 32 hex characters'],
  previous_path: [isPath, `text of at most ${longestPath} characters`],
  depth: [isCount, 'a whole number'],
  attempt: [isCount, 'a whole number'],
  table: [(value) => typeof value === 'string' && isMark(value), 'the 8 hex characters of a table'],
  spent: [isCount, 'a whole number'],
  lost: [(value) => Array.isArray(value) && value.every(isText), 'a list of names'],
  fault: [isText, 'text'],
  worker: [isText, 'text'],
  start_time: [isTime, 'a time'],
  end_time: [isTime, 'a time'],
  run_time: [isNumber, 'a number'],
  error_kind: [isErrorKind, 'program, timeout or poison'],
  error_msg: [isText, 'text'],
  complete_msg: [isText, 'text'],
  out_path: [isPath, `text of at most ${longestPath} characters`],
  temperature: [isNumber, 'a finite number'],
  pressure: [isNumber, 'a finite number'],
  outputs: [isOutputs, 'an object of finite numbers under names of at most 200 characters'],
};

/** An element that says nothing that can be used; the message says why. */
export class Malformed extends Error {
  override name = 'Malformed';
}

/** An element as it travels: the code, then what else is known of the point. */
export function encode(code: string, facts: Travel | Report): string {
  return `${code};${JSON.stringify({ v: messageVersion, ...facts })}`;
}

/** A decoded element. `byHand`: a bare code, which the system itself never writes. */
export interface Decoded<Facts> {
  point: Point;
  facts: Facts;
  byHand: boolean;
}

/** Decodes an element of `main_sql_Q`, `main_Q` or `processing_Q`. Throws `Malformed`. */
export function decodeTravel(element: string, space: Space): Decoded<Travel> {
  const { point, facts, byHand } = decode(element, space);
  return { point, facts: { depth: 0, ...facts }, byHand };
}

/** Decodes an element of a report list. Throws `Malformed`. */
export function decodeReport(element: string, space: Space): Decoded<Report> {
  const { point, facts, byHand } = decode(element, space);
  return { point, facts: { depth: 0, attempt: 1, ...facts }, byHand };
}

function decode(element: string, space: Space): Decoded<object> {
  if (element.length > longestElement)
    throw new Malformed(`${element.length} characters long, at most ${longestElement}`);
  const end = element.indexOf(';');
  try {
    const point = space.decode(end < 0 ? element : element.slice(0, end));
    return { point, facts: end < 0 ? {} : factsOf(element.slice(end + 1)), byHand: end < 0 };
  } catch (error) {
    if (error instanceof NotAPoint) throw new Malformed(error.message, { cause: error });
    throw error;
  }
}

function factsOf(text: string): object {
  let facts: unknown;
  try {
    facts = JSON.parse(text);
  } catch {
    throw new Malformed('what follows the ; is no JSON');
  }
  if (!isObject(facts)) throw new Malformed('what follows the ; is no JSON object');
  const { v = messageVersion, ...rest } = facts as Record<string, unknown>;
  if (!isCount(v)) throw new Malformed('v is no message version');
  if ((v as number) > messageVersion) {
    throw new Malformed(`message version ${v}, this program knows ${messageVersion}: update it`);
  }
  for (const [name, value] of Object.entries(rest)) {
    const rule = Object.hasOwn(known, name) ? known[name] : undefined;
    if (value === null) delete rest[name];
    else if (rule && !rule[0](value)) throw new Malformed(`${name} is not ${rule[1]}`);
  }
  return rest;
}
