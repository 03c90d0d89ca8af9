import type { z } from 'zod';
import { closest } from '../support/closest.js';
import { withoutPassword } from '../support/secrets.js';
import { shorten } from '../support/text.js';

/** Where a value stands in the configuration, e.g. `['parameters', 'O2', 'step', 0, 'by']`. */
export type KeyPath = readonly PropertyKey[];

/** One thing that is wrong, in words that follow the name of its key. */
export interface Problem {
  path: KeyPath;
  message: string;
}

type Issue = z.core.$ZodIssue;

const shownCharacters = 80;

/** What the schema says of an input. A schema's own messages are phrases that complete "found 3, wants …". */
export function problemsWith(schema: z.ZodType, input: unknown): Problem[] {
  const parsed = schema.safeParse(input, { error: wanted, reportInput: true });
  return parsed.success ? [] : parsed.error.issues.flatMap(explain);
}

/** `parameters.O2.step[0].by` */
export function keyText(path: KeyPath): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${withoutPassword(String(key))}`))
    .join('')
    .replace(/^\./, '');
}

/** A value as it stands in a message: short, and without any password. */
export function show(value: unknown): string {
  const redact = (_: string, part: unknown) => (typeof part === 'string' ? withoutPassword(part) : part);
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value, redact) ?? String(value));
  return shorten(text, shownCharacters);
}

export function valueAt(tree: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>((value, key) => {
    const own = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
    return own ? (value as Record<PropertyKey, unknown>)[key] : undefined;
  }, tree);
}

/** Keys named `__proto__`, at any depth: no schema sees them, as joining and copying blocks would lose them. */
export function prototypeKeys(tree: unknown, path: KeyPath = []): Problem[] {
  if (typeof tree !== 'object' || tree === null) return [];
  return Object.entries(tree).flatMap(([key, value]) => {
    const at = [...path, Array.isArray(tree) ? Number(key) : key];
    return key === '__proto__' ? [{ path: at, message: 'is no known key' }] : prototypeKeys(value, at);
  });
}

function explain(issue: Issue): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(', ');
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: unknownKey(key, known) }));
  }
  if (issue.code === 'custom' && issue.params?.isSentence) return [{ path: issue.path, message: issue.message }];
  const isKind = issue.code === 'invalid_union' && issue.discriminator !== undefined;
  const found = isKind ? valueAt(issue.input, [issue.discriminator as string]) : issue.input;
  const state = found === undefined ? 'is missing' : `found ${show(found)}`;
  return [{ path: issue.path, message: `${state}, wants ${issue.message}` }];
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = closest(key, known);
  return meant === undefined
    ? `is no known key, wants one of ${known.join(', ')}`
    : `is no known key: did you mean ${meant}?`;
}

/** The phrase for a schema that brings none of its own. */
function wanted(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'unrecognized_keys':
      return Object.keys((issue.inst as unknown as z.ZodObject).shape).join(', ');
    case 'invalid_type':
      return typeNames[issue.expected] ?? `a value of type ${issue.expected}`;
    case 'invalid_value':
      return oneOf(issue.values);
    case 'invalid_union':
      return oneOf((issue as { options?: unknown[] }).options ?? []);
    case 'too_small':
      return `${amount(issue.origin)} ${issue.inclusive ? 'at least' : 'over'} ${issue.minimum}`;
    case 'too_big':
      return `${amount(issue.origin)} ${issue.inclusive ? 'at most' : 'under'} ${issue.maximum}`;
    default:
      return undefined;
  }
}

const typeNames: Record<string, string> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a block of keys',
  record: 'a block of keys',
};

function amount(origin: string): string {
  if (origin === 'array') return 'a list of length';
  return origin === 'string' ? 'a text of length' : 'a number';
}

function oneOf(values: readonly unknown[]): string {
  return values.length === 0 ? 'another kind of value' : values.map(String).join(' or ');
}
