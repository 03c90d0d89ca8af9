import { climateOf } from '../../src/simulators/reference.js';
import { type Point, Space } from '../../src/space/space.js';
import { Fleet, type FleetConfig } from './fleet.js';
import { floodFill } from './floodFill.js';
import type { RedisServer } from './redis.js';

const axis = { start: 0, step: [{ below: 1, by: 0.5 }], min: -3, max: 3 };

/** A small search: two absorbers that the reference model does not know, stable around 0. */
const plane = { parameters: { a: axis, b: axis }, search: { mode: 'sides', reach: 1 } } as const;

const spaceOf = (parameters: Record<string, typeof axis>) =>
  new Space({ parameters: Object.entries(parameters).map(([name, entry]) => ({ name, ...entry })), ...plane.search });

const space = spaceOf(plane.parameters);

const isStable = ({ dictionary }: Point) => climateOf(dictionary).stable;

/** The rows that it leads to: 41 stable points, 20 unstable ones around them. */
export const planeRows = floodFill(space, isStable);

/** The rows that it leads to from its start and other roots. */
export function planeRowsFrom(...codes: readonly string[]) {
  return floodFill(space, isStable, [space.start, ...codes.map((code) => space.decode(code))]);
}

/** The search up to another bound: its parameters, and the rows that it leads to. */
export function planeUpTo(max: number) {
  const parameters = { a: { ...axis, max }, b: { ...axis, max } };
  return { parameters, rows: floodFill(spaceOf(parameters), isStable) };
}

/** A fleet for that search, by default on a database file of its own. `more` goes into its configuration. */
export function planeFleet(redis: RedisServer, name: string, more: Partial<FleetConfig> = {}): Fleet {
  return new Fleet({ name, ...plane, redis: { url: redis.url }, database: { url: Fleet.sqliteUrl() }, ...more });
}
