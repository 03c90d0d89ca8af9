import { formatNumber } from '../space/decimal.js';
import { type Parameter, type SearchMode, Space, type SpaceDefinition } from '../space/space.js';
import { type KeyPath, keyText, valueAt } from './explain.js';

/** The blocks of a configuration that define its parameter space. */
export interface SearchBlocks {
  parameters: readonly Parameter[];
  search: { mode: SearchMode; reach: number };
}

export function definitionOf({ parameters, search }: SearchBlocks): SpaceDefinition {
  return { parameters, mode: search.mode, reach: search.reach };
}

/** What defines a search, as plain JSON with numbers as canonical texts. Bounds and maxPoints are free to change. */
export interface Fingerprint {
  /** Names in the order of the parameter code. Kept apart: a JSON column may sort the keys of `parameters`. */
  order: readonly string[];
  parameters: Record<string, { start: string; filler: boolean; step: readonly { below: string; by: string }[] }>;
  search: { mode: string; reach: number };
}

export function fingerprintOf(config: SearchBlocks): Fingerprint {
  const starts = new Space(definitionOf(config)).start.dictionary;
  const entry = ({ name, filler = false, step = [] }: Parameter) => ({
    start: formatNumber(starts[name] as number),
    filler,
    step: step.map(({ below, by }) => ({ below: formatNumber(below), by: formatNumber(by) })),
  });
  return {
    order: config.parameters.map(({ name }) => name),
    parameters: Object.fromEntries(config.parameters.map((parameter) => [parameter.name, entry(parameter)])),
    search: { mode: config.search.mode, reach: config.search.reach },
  };
}

/** Names the first key in which two searches differ, with both values; null where they are one search. */
export function fingerprintDifference(mine: unknown, theirs: unknown, path: KeyPath = []): string | null {
  if (isBranch(mine) && isBranch(theirs)) {
    for (const key of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
      const here = [...path, Array.isArray(mine) ? Number(key) : key];
      const difference = fingerprintDifference(valueAt(mine, [key]), valueAt(theirs, [key]), here);
      if (difference !== null) return difference;
    }
    return null;
  }
  if (mine === theirs) return null;
  return `${keyText(path)}: this configuration says ${describe(mine)}, the running search ${describe(theirs)}`;
}

function isBranch(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  return isBranch(value) ? JSON.stringify(value) : String(value);
}
