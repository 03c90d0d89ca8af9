import { formatNumber } from '../space/decimal.js';
import type { Parameter, SearchMode, SpaceDefinition } from '../space/space.js';

/** The blocks of a configuration that define its parameter space. */
export interface SearchBlocks {
  parameters: readonly Parameter[];
  search: { mode: SearchMode; reach: number };
}

/** What defines a search, key by key, numbers as canonical texts. Bounds and maxPoints are free to change. */
export type Fingerprint = Readonly<Record<string, string>>;

export function definitionOf({ parameters, search }: SearchBlocks): SpaceDefinition {
  return { parameters, mode: search.mode, reach: search.reach };
}

export function fingerprintOf({ parameters, search }: SearchBlocks): Fingerprint {
  return Object.fromEntries([
    ['parameters', parameters.map(({ name }) => name).join(', ')],
    ...parameters.flatMap(parameterKeys),
    ['search.mode', search.mode],
    ['search.reach', String(search.reach)],
  ]);
}

/** Names the first key in which two searches differ, with both values; null where they are one search. */
export function fingerprintDifference(mine: Fingerprint, theirs: Fingerprint): string | null {
  const differing = [...Object.keys(mine), ...Object.keys(theirs)].find((key) => mine[key] !== theirs[key]);
  if (differing === undefined) return null;
  const [here, there] = [mine, theirs].map((fingerprint) => fingerprint[differing] ?? 'nothing');
  return `${differing}: this configuration says ${here}, the running search ${there}`;
}

/** The start of a filler is left out: the others give it. */
function parameterKeys({ name, start, filler, step = [] }: Parameter): [string, string][] {
  if (filler) return [[`parameters.${name}.filler`, 'true']];
  return [
    [`parameters.${name}.start`, formatNumber(start as number)],
    ...step.flatMap(({ below, by }, index): [string, string][] => [
      [`parameters.${name}.step[${index}].below`, formatNumber(below)],
      [`parameters.${name}.step[${index}].by`, formatNumber(by)],
    ]),
  ];
}
