import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Document, LineCounter, parseDocument } from 'yaml';
import { messageOf, UsageError } from '../support/errors.js';
import { withoutPassword, withoutPasswords } from '../support/secrets.js';
import { type KeyPath, keyText, show, valueAt } from './explain.js';

export type Tree = { readonly [key: string]: unknown };

export type Environment = Readonly<Record<string, string | undefined>>;

/** Values from one place, in the file's shape, and how a message names that place. */
export interface Source {
  values: Tree;
  /** Where this source's relative paths set out. */
  folder: string;
  mayHoldSecrets: boolean;
  label(path: KeyPath): string;
  /** The mounted file that a section's URL came from. */
  secretFile?(section: string): string | undefined;
}

export function flagSource(values: Tree): Source {
  return { values, folder: process.cwd(), mayHoldSecrets: false, label: (path) => `--${keyText(path)}` };
}

export function environmentSource(env: Environment): Source {
  const redis = secretFrom(env, 'REDIS_URL');
  const database = secretFrom(env, 'DATABASE_URL');
  return {
    values: { ...(redis && { redis: { url: redis.value } }), ...(database && { database: { url: database.value } }) },
    folder: process.cwd(),
    mayHoldSecrets: true,
    label: ([section]) => (section === 'redis' ? redis?.name : database?.name) ?? 'environment',
    secretFile: (section) => (section === 'redis' ? redis : database)?.file,
  };
}

export function fileSource(path: string): Source {
  return {
    values: parseFile(path),
    folder: dirname(resolve(path)),
    mayHoldSecrets: false,
    label: (at) => `${path}: ${keyText(at) || 'the file'}`,
  };
}

interface Secret {
  /** The variable. */
  name: string;
  value: string;
  file?: string;
}

/** A variable's value, or that of the file which its `_FILE` form names (a mounted secret). */
export function secretFrom(env: Environment, name: string): Secret | undefined {
  const path = env[`${name}_FILE`];
  if (env[name] && path) throw new UsageError(`${name} and ${name}_FILE are both set: wants one of them`);
  if (env[name]) return { name, value: env[name].trim() };
  if (!path) return undefined;
  try {
    return { name: `${name}_FILE`, value: readFileSync(path, 'utf8').trim(), file: resolve(path) };
  } catch (error) {
    throw new UsageError(`${name}_FILE: ${show(path)} cannot be read: ${messageOf(error)}`);
  }
}

function parseFile(path: string): Tree {
  const lines = new LineCounter();
  const document = parseDocument(readText(path), { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    const errors = document.errors.map(({ message, pos }) => {
      const { line, col } = lines.linePos(pos[0]);
      return `${path}:${line}:${col}: no valid YAML: ${withoutPasswords(message)}`;
    });
    throw new UsageError(errors.join('\n'));
  }
  const values = toValues(path, document);
  if (typeof values === 'object' && values !== null && !Array.isArray(values)) return values as Tree;
  throw new UsageError(`${path}: found ${show(values)}, wants a block of keys: name, parameters, …`);
}

function toValues(path: string, document: Document): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new UsageError(`${path}: no valid YAML: ${withoutPasswords(messageOf(error))}`);
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new UsageError(`${path} cannot be read: ${messageOf(error)}`);
    throw new UsageError(`${path}: no such file. Name the configuration with --config or ATMOS_FLEET_CONFIG`);
  }
}

/** Deep: a block over a block joins them, anything else replaces. What is undefined was not said. */
export function merge(below: Tree, above: Tree): Tree {
  const merged: Record<string, unknown> = { ...below };
  for (const [key, value] of Object.entries(above)) {
    if (value === undefined) continue;
    const other = merged[key];
    merged[key] = isTree(value) && isTree(other) ? merge(other, value) : value;
  }
  return merged;
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A secret in a file or argument list is refused even where another source overrides it: it has leaked already. */
export function secretsIn(sources: readonly Source[]): string[] {
  return sources
    .filter(({ mayHoldSecrets }) => !mayHoldSecrets)
    .flatMap(({ values, label }) =>
      ['redis', 'database'].flatMap((section) => {
        const url = valueAt(values, [section, 'url']);
        if (typeof url !== 'string' || withoutPassword(url) === url) return [];
        const variable = `${section.toUpperCase()}_URL`;
        const advice = `wants none here: give the URL in ${variable}, or in a file that ${variable}_FILE names`;
        return [`${label([section, 'url'])}: found a password in ${withoutPassword(url)}, ${advice}`];
      }),
    );
}
