import { climateOf } from '../../src/simulators/reference.js';
import { type Point, Space } from '../../src/space/space.js';
import { Fleet, type FleetConfig } from './fleet.js';
import { floodFill } from './floodFill.js';
import type { RedisServer } from './redis.js';

const axis = { start: 0, step: [{ below: 1, by: 0.5 }], min: -3, max: 3 };

/** A small search: two absorbers that the reference model does not know, stable around 0. */
const plane = { parameters: { a: axis, b: axis }, search: { mode: 'sides', reach: 1 } } as const;

const space = new Space({
  parameters: Object.entries(plane.parameters).map(([name, entry]) => ({ name, ...entry })),
  ...plane.search,
});

const isStable = ({ dictionary }: Point) => climateOf(dictionary).stable;

/** The rows that it leads to: 41 stable points, 20 unstable ones around them. */
export const planeRows = floodFill(space, isStable);

/** The rows that it leads to from its start and other roots. */
export function planeRowsFrom(...codes: readonly string[]) {
  return floodFill(space, isStable, [space.start, ...codes.map((code) => space.decode(code))]);
}

/** A fleet for that search, by default on a database file of its own. `more` goes into its configuration. */
export function planeFleet(redis: RedisServer, name: string, more: Partial<FleetConfig> = {}): Fleet {
  return new Fleet({ name, ...plane, redis: { url: redis.url }, database: { url: Fleet.sqliteUrl() }, ...more });
}
