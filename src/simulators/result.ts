import { z } from 'zod';
import type { FileKind } from '../sandboxes/sandbox.js';
import { messageOf } from '../support/errors.js';
import { readFirst } from '../support/files.js';
import { shorten } from '../support/text.js';
import type { Result } from './simulator.js';

export const resultFile = 'result.json';
const maxResultBytes = 1024 * 1024;
const maxNamesInNote = 3;
const shownNameLength = 40;
const maxMessageLength = 200;

const finite = z.number('wants a finite number');

/** No half of a surrogate pair: databases refuse JSON with it. */
const outputName = z
  .string()
  .min(1)
  .max(100)
  .regex(/^\P{Surrogate}*$/u, 'wants a name of whole characters');

const resultSchema = z.strictObject({
  stable: z.boolean('wants true or false'),
  temperature: finite.positive('wants a temperature in K').exactOptional(),
  pressure: finite.nonnegative('wants a pressure in bar').exactOptional(),
  outputs: z.record(outputName, finite, 'wants names and numbers').default({}),
  message: z.string().max(500).exactOptional(),
});

/** What stands in the place of the result where no regular file does. */
export function noResult(kind: FileKind | undefined): string {
  if (kind === undefined) return `it left no ${resultFile}`;
  return `its ${resultFile} is a ${kind}: expected a regular file`;
}

/** The result in the file that a program left, or what is wrong with it; undefined: there is no such regular file. */
export async function readResult(path: string): Promise<Result | string | undefined> {
  const content = await readFirst(path, maxResultBytes + 1);
  if (content === undefined) return undefined;
  if (content.length > maxResultBytes) return `its ${resultFile} is larger than ${maxResultBytes} bytes`;
  return parseResult(content.toString());
}

/**
 * The result in a text, or what is wrong with it. A byte order mark is no part of it. A number that is NaN, infinite or
 * null counts as not given, and the message says so.
 */
export function parseResult(text: string): Result | string {
  let value: unknown;
  try {
    value = parseJson(text.replace(/^\uFEFF/, ''));
  } catch (error) {
    return `its ${resultFile} is not JSON: ${messageOf(error)}`;
  }
  if (hasReservedName(value)) return `its ${resultFile} has the name __proto__, which is reserved: choose another`;
  const { finiteOnly, dropped } = withoutBadNumbers(value);
  const checked = resultSchema.safeParse(finiteOnly);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    // Both may hold a name that the program chose.
    const place = shorten(issue?.path.join('.') || 'the top', maxMessageLength);
    return `its ${resultFile} is wrong at ${place}: ${shorten(issue?.message ?? '', maxMessageLength)}`;
  }
  if (dropped.length === 0) return checked.data;
  const { message } = checked.data;
  return { ...checked.data, message: message ? `${message}; ${noteOn(dropped)}` : noteOn(dropped) };
}

/** JSON, and the NaN, inf and Infinity that Python, C and Fortran programs write into it, as null. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // A string, ended or not, always matches: no way back, so that the time grows with the text alone.
    const withNulls = text.replace(/"(?:[^"\\]+|\\.?)*"?|-?\b(?:nan|inf(?:inity)?)\b/gis, (token) =>
      token.startsWith('"') ? token : 'null',
    );
    if (withNulls === text) throw error;
    return JSON.parse(withNulls);
  }
}

/** Objects made from it would lose that name without a word. */
function hasReservedName(value: unknown): boolean {
  return isObject(value) && [value, value.outputs].some((part) => isObject(part) && Object.hasOwn(part, '__proto__'));
}

function withoutBadNumbers(value: unknown): { finiteOnly: unknown; dropped: string[] } {
  if (!isObject(value)) return { finiteOnly: value, dropped: [] };
  const dropped: string[] = [];
  const kept = (name: string, number: unknown): boolean => {
    const isBad = number === null || (typeof number === 'number' && !Number.isFinite(number));
    if (isBad) dropped.push(name);
    return !isBad;
  };
  const isNumber = new Set(['temperature', 'pressure']);
  const finiteOnly = Object.fromEntries(
    Object.entries(value).filter(([name, number]) => !isNumber.has(name) || kept(name, number)),
  );
  if (isObject(value.outputs)) {
    finiteOnly.outputs = Object.fromEntries(
      Object.entries(value.outputs).filter(([name, number]) => kept(name, number)),
    );
  }
  return { finiteOnly, dropped };
}

function noteOn(dropped: readonly string[]): string {
  const names = dropped.slice(0, maxNamesInNote).map((name) => shorten(name, shownNameLength));
  const more = dropped.length > maxNamesInNote ? ` and ${dropped.length - maxNamesInNote} more` : '';
  return `without ${names.join(', ')}${more}: not finite (NaN, infinite or null)`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
