import { climateOf } from '../../src/simulators/reference.js';
import { type Parameter, type SearchMode, Space } from '../../src/space/space.js';
import { type ExpectedRow, floodFill } from './floodFill.js';
import type { Random } from './random.js';

export interface SearchShape {
  /** Parameters that have steps. */
  dimensions: number;
  mode: SearchMode;
  reach: number;
  filler: boolean;
}

/** A search on the reference model, and the rows that it must end with. */
export interface RandomSearch {
  parameters: Record<string, Omit<Parameter, 'name'>>;
  search: { mode: SearchMode; reach: number };
  stable: { temperature: { min: number; max: number } };
  expected: ExpectedRow[];
}

const fewestRows = 100;
const mostRows = 600;
/** Of both verdicts there is at least this share. */
const leastShare = 0.1;
const draws = 20_000;

/** Draws searches until one has a few hundred points, stable and unstable ones. */
export function randomSearch(random: Random, shape: SearchShape): RandomSearch {
  for (let draw = 0; draw < draws; draw++) {
    const candidate = drawn(random, shape);
    const expected = candidate && closure(candidate);
    if (candidate && expected) return { ...candidate, expected };
  }
  throw new Error(`no search of a few hundred points was found: ${JSON.stringify(shape)}`);
}

type Drawn = Omit<RandomSearch, 'expected'>;

function drawn(random: Random, { dimensions, mode, reach, filler }: SearchShape): Drawn | undefined {
  // So that the lattice has a thousand points or so, whatever the dimensions.
  const values = 1000 ** (1 / dimensions);
  const names = random.shuffled(
    filler ? Object.keys(mixingRatios) : [...Object.keys(mixingRatios), 'a', 'b', 'c', 'd'],
  );
  const stepped = names
    .slice(0, dimensions)
    .map((name) => ({ name, ...axis(random, name, Math.max(2, Math.round(values * random.real(0.6, 1.6))), mode) }));
  const fixed = names
    .slice(dimensions, dimensions + random.whole(0, 1))
    .map((name) => ({ name, start: startOf(random, name) }));
  const parameters: Parameter[] = random.shuffled([...stepped, ...fixed, ...(filler ? [{ name: 'N2', filler }] : [])]);
  const total = parameters.reduce((sum, { start = 0 }) => sum + start, 0);
  if (filler && total > 0.99) return undefined;
  const { temperature = 0, stable } = climateOf(new Space({ parameters, mode, reach }).start.dictionary);
  if (!stable) return undefined;
  const width = random.magnitude(1, 40, 3);
  const share = random.real();
  return {
    parameters: Object.fromEntries(parameters.map(({ name, ...entry }) => [name, entry])),
    search: { mode, reach },
    stable: { temperature: { min: temperature - share * width, max: temperature + (1 - share) * width } },
  };
}

/** Where starts and steps of the model's gases lie. */
const mixingRatios: Record<string, { start: [number, number]; step: [number, number] }> = {
  O2: { start: [0.01, 0.3], step: [0.01, 0.1] },
  H2O: { start: [0.005, 0.02], step: [0.001, 0.005] },
  CH4: { start: [1e-7, 1e-4], step: [1e-6, 1e-3] },
  CO2: { start: [1e-5, 1e-3], step: [1e-4, 1e-2] },
  H2: { start: [1e-8, 0.05], step: [0.02, 0.1] },
  Ar: { start: [1e-3, 1e-2], step: [1e-3, 2e-2] },
};

/** Of what the model does not know, the magnitude counts: such an axis goes below 0. */
const unknown = { start: [-0.2, 0.2], step: [0.02, 0.2] } as const;

function startOf(random: Random, name: string): number {
  const gas = mixingRatios[name];
  return gas ? random.magnitude(...gas.start) : Number(random.real(...unknown.start).toFixed(3));
}

/** An axis of about so many values around its start, most often off the lattice of its steps, in one bin or two. */
function axis(random: Random, name: string, values: number, mode: SearchMode): Omit<Parameter, 'name'> {
  const gas = mixingRatios[name];
  const start = startOf(random, name);
  const [least, most] = gas?.step ?? unknown.step;
  const by = random.magnitude(least, most, random.whole(1, 2));
  const up = random.whole(0, values - 1);
  const max = round(start + up * by);
  const min = round(start - (values - 1 - up) * by);
  const second = { below: 1, by: round(by * random.whole(2, 3)) };
  // In `diagonals`, an axis without an end soon leads to thousands of points.
  const unbounded = mode === 'sides' && random.chance(0.3);
  return {
    start,
    step: random.chance(0.3) ? [{ below: round(start + by), by }, second] : [{ below: 1, by }],
    ...(unbounded ? {} : { max: gas ? Math.min(max, 1) : max }),
    ...(gas ? (random.chance(0.5) ? { min: Math.max(min, 0) } : {}) : { min }),
  };
}

/** The rows of a candidate; undefined where they are too few, too many or too alike. */
function closure({ parameters, search, stable }: Drawn): ExpectedRow[] | undefined {
  const named = Object.entries(parameters).map(([name, entry]) => ({ name, ...entry }));
  const space = new Space({ parameters: named, ...search });
  let met = 0;
  const rows = floodFill(space, ({ dictionary }) => {
    if (++met > mostRows) return false;
    const { temperature = 0, stable: habitable } = climateOf(dictionary);
    return habitable && temperature >= stable.temperature.min && temperature <= stable.temperature.max;
  });
  const share = rows.filter((row) => row.stable).length / rows.length;
  const fits = rows.length >= fewestRows && rows.length <= mostRows && share >= leastShare && share <= 1 - leastShare;
  return fits ? rows : undefined;
}

function round(value: number): number {
  return Number(value.toPrecision(10));
}
