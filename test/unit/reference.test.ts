import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { definitionOf, loadConfig } from '../../src/config/config.js';
import { climateOf, ReferenceSimulator } from '../../src/simulators/reference.js';
import type { Attempt } from '../../src/simulators/simulator.js';
import { latticeSize } from '../../src/space/lattice.js';
import { type Dictionary, type Point, Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';

const earth = { O2: 0.21, N2: 0.7772982887, H2O: 0.0123, CH4: 1.63e-6, CO2: 4e-4, H2: 8.13e-8 };

const temperatureOf = (change: Dictionary) => climateOf({ ...earth, ...change }).temperature as number;

function attempt(parameters: Dictionary, signal: AbortSignal = new AbortController().signal): Attempt {
  return { parameters, code: '', hash: '', warm: false, token: 'token', slot: 0, signal };
}

describe('the reference model', () => {
  test('gives the Earth about 288 K and an optical depth of 0.85', () => {
    expect(climateOf(earth)).toEqual({
      stable: true,
      temperature: 287.911,
      pressure: 1.01325,
      outputs: { optical_depth: 0.849979 },
    });
  });

  test('has the shares of the greenhouse that its docstring gives', () => {
    const depth = (change: Dictionary) => climateOf({ ...earth, ...change }).outputs.optical_depth as number;
    const share = (change: Dictionary) => (depth({}) - depth(change)) / depth({});
    expect(share({ H2O: 0 })).toBeCloseTo(0.75, 2);
    expect(share({ CO2: 0 })).toBeCloseTo(0.2, 2);
    expect(share({ CH4: 0 })).toBeCloseTo(0.016, 3);
  });

  test('warms by 3.7 W/m² where CO2 doubles, which is 1.1 K without feedbacks', () => {
    expect(temperatureOf({ CO2: 8e-4 }) - temperatureOf({})).toBeCloseTo(1.1, 1);
  });

  test.each([
    ['H2O', 0.02, 'warmer'],
    ['CO2', 0.01, 'warmer'],
    ['H2', 0.05, 'warmer'],
    ['CH4', 1e-5, 'warmer'], // a greenhouse gas while there is more CO2
    ['CH4', 0.02, 'colder'], // haze
    ['O2', 0.3, 'colder'], // heavier air, fewer molecules
  ])('finds an Earth with %s at %d %s', (gas, value, found) => {
    const difference = temperatureOf({ [gas]: value }) - temperatureOf({});
    expect(difference > 0 ? 'warmer' : 'colder').toBe(found);
  });

  test('calls stable what neither freezes nor loses its water', () => {
    expect(climateOf({ ...earth, H2O: 0.001 })).toMatchObject({ stable: false });
    expect(temperatureOf({ H2O: 0.001 })).toBeLessThan(273.15);
    expect(climateOf({ ...earth, H2O: 0.06 })).toMatchObject({ stable: false });
    expect(temperatureOf({ H2O: 0.06 })).toBeGreaterThan(340);
  });

  test("gives what a search does not name the Earth's value", () => {
    expect(climateOf({})).toEqual(climateOf(earth));
    expect(climateOf({ CO2: 0.01 })).toEqual(climateOf({ ...earth, CO2: 0.01 }));
  });

  test('takes any other parameter for a grey absorber, so that a ball around 0 is stable', () => {
    const stable = (x: number, y: number) => climateOf({ x, y }).stable;
    expect([stable(0, 0), stable(1, -1), stable(-2, 0)]).toEqual([true, true, true]);
    expect([stable(2, 1), stable(-3, 0), stable(1e300, -1e300)]).toEqual([false, false, false]);
  });

  test('gives finite numbers whatever it is given', () => {
    const odd = [0, -1, 1, 5e-324, 1e300, Number.MAX_VALUE];
    for (const gas of Object.keys(earth)) {
      for (const value of odd) {
        const { temperature, pressure, outputs } = climateOf({ ...earth, [gas]: value, x: value });
        expect([temperature, pressure, ...Object.values(outputs)].every(Number.isFinite)).toBe(true);
      }
    }
    const nothing = Object.fromEntries(Object.keys(earth).map((gas) => [gas, 0]));
    expect(climateOf(nothing).temperature).toBeGreaterThan(0);
  });
});

describe('the reference simulator', () => {
  test('completes with what the model gives, and keeps no files', async () => {
    const simulator = new ReferenceSimulator();
    await simulator.prepare();
    expect(simulator.keepsFiles).toBe(false);
    expect(await simulator.run(attempt(earth))).toEqual({ kind: 'completed', ...climateOf(earth) });
    await simulator.close();
  });

  test('runs as long as it is told, unless it is stopped: then it throws the reason', async () => {
    const controller = new AbortController();
    const run = new ReferenceSimulator({ delayMs: 3_600_000 }).run(attempt(earth, controller.signal));
    const reason = new Error('the lease is lost');
    controller.abort(reason);
    await expect(run).rejects.toBe(reason);
    const short = new ReferenceSimulator({ delayMs: 1 });
    expect(await short.run(attempt(earth))).toMatchObject({ kind: 'completed', stable: true });
  });
});

/** What `scripts/<name>.yaml` says of itself in its comment, and what it holds. */
function shipped(name: string) {
  const path = fileURLToPath(new URL(`../../scripts/${name}.yaml`, import.meta.url));
  const [, lattice, points, stable, unstable] =
    /lattice has ([\d,]+) points; the search leads to ([\d,]+) of them: ([\d,]+) stable, ([\d,]+) unstable/.exec(
      readFileSync(path, 'utf8'),
    ) ?? [];
  const said = [lattice, points, stable, unstable].map((text) => Number(text?.replaceAll(',', '')));
  const config = loadConfig({ path, env: {} });
  return { said, config, space: new Space(definitionOf(config)) };
}

describe.each(['demo', 'earth-like'])('the configuration %s', (name) => {
  const { said, config, space } = shipped(name);

  test('leads to as many points as it says, stable and unstable', () => {
    const { min = 0, max = Number.POSITIVE_INFINITY } = config.stable.temperature ?? {};
    const rows = floodFill(space, (point) => {
      const { stable, temperature = 0 } = climateOf(point.dictionary);
      return stable && temperature >= min && temperature <= max;
    });
    const stable = rows.filter((row) => row.stable).length;
    expect([latticeSize(space).points, rows.length, stable, rows.length - stable]).toEqual(said);
    expect(stable).toBeLessThan(rows.length);
  });

  test('has the lattice that it says, to the point', () => {
    expect(floodFill(space, () => true)).toHaveLength(said[0] as number);
  });
});

test('the demo ends in unstable points on all sides: along each axis, both ways', () => {
  const { space } = shipped('demo');
  const rows = new Map(
    floodFill(space, ({ dictionary }) => climateOf(dictionary).stable).map((row) => [row.code, row]),
  );
  const sides = new Set<string>();
  for (const { code, stable } of rows.values()) {
    if (!stable) continue;
    const point = space.decode(code);
    for (const neighbour of space.neighbours(point)) {
      if (!rows.get(neighbour.code)?.stable) sides.add(sideOf(space, point, neighbour));
    }
  }
  const all = space.axes.flatMap(({ name }) => [`${name} -`, `${name} +`]);
  expect([...sides].sort()).toEqual(all.sort());
});

function sideOf(space: Space, from: Point, to: Point): string {
  const axis = from.coordinates.findIndex(({ text }, index) => text !== to.coordinates[index]?.text);
  const up = (to.coordinates[axis]?.value ?? 0) > (from.coordinates[axis]?.value ?? 0);
  return `${space.axes[axis]?.name} ${up ? '+' : '-'}`;
}
