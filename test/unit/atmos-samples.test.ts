import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { judgeClima } from '../../src/simulators/atmos/clima.js';
import { flawOf } from '../../src/simulators/atmos/fortran.js';
import { climaFile, speciesFile } from '../../src/simulators/atmos/inputs.js';
import { judgePhotochem, showsNaN } from '../../src/simulators/atmos/photochem.js';

/** Files of real runs, where they are at hand. */
const samples = fileURLToPath(new URL('../../../shared/atmos/samples', import.meta.url));

const read = (...path: string[]) => {
  const file = join(samples, ...path);
  return existsSync(file) ? readFileSync(file) : undefined;
};
const text = (...path: string[]) => read(...path)?.toString('latin1') ?? '';
const expected = (name: string) => JSON.parse(text(name, 'expected.json'));

describe.skipIf(!existsSync(samples))('the files of real runs of Atmos', () => {
  const initial = 'image-initial-state';
  const photochemPattern = () => read(initial, 'in.template.dist') ?? Buffer.of();
  const climaPattern = () => read(initial, 'TempOut.dat') ?? Buffer.of();
  const names = existsSync(samples) ? readdirSync(samples) : [];
  const runs = names.filter((name) => name.startsWith('run-'));

  const photochem = (name: string) => ({
    status: 0,
    log: text(name, 'output', 'Photo_log.txt'),
    report: read(name, 'output', 'out.out'),
    profile: read(name, 'output', 'out.dist'),
  });
  const clima = (name: string) => ({
    status: 0,
    log: text(name, 'output', 'Clima_log.txt'),
    report: read(name, 'output', 'clima_allout.tab'),
    profile: read(name, 'output', 'TempOut.dat'),
  });

  it.each(runs.filter((name) => expected(name).outcome === 'success'))('reads %s', (name) => {
    const {
      photochem: expectedPhotochem,
      temperature_K,
      pressure_bar,
      surface_fluxes_molecules_cm2_s,
    } = expected(name);
    const verdict = judgePhotochem(photochem(name), photochemPattern());
    expect(verdict).toMatchObject({ kind: 'converged', iterations: expectedPhotochem.iterations });
    if (verdict.kind !== 'converged') return;
    expect(verdict.fluxes.size).toBe(expectedPhotochem.all_surface_fluxes_count);
    for (const [gas, flux] of Object.entries<number>(surface_fluxes_molecules_cm2_s)) {
      expect(verdict.fluxes.get(gas), gas).toBe(flux + 0);
    }
    expect(judgeClima(clima(name), 400, climaPattern())).toMatchObject({
      kind: 'finished',
      temperature: temperature_K,
      pressure: pressure_bar,
      divergence: expected(name).clima.divfrms,
      change: expected(name).clima.dt_nd,
    });
  });

  it('knows a run that used up its steps', () => {
    const verdict = judgePhotochem(photochem('run-c-o2-1e-8-nonconverged'), photochemPattern());
    expect(verdict).toEqual({ kind: 'nonconverged', iterations: 10_001 });
  });

  it.each(names.filter((name) => name.startsWith('fail-photochem')))(
    'is not taken in by %s, whatever its status',
    (name) => {
      const stale = { ...photochem(name), profile: photochemPattern() };
      expect(judgePhotochem(stale, photochemPattern())).toMatchObject({ kind: 'error' });
    },
  );

  it.each(names.filter((name) => name.startsWith('fail-clima')))(
    'is not taken in by %s, whatever its status',
    (name) => {
      const report = read(name, 'output', 'clima_allout.stale.tab') ?? read(name, 'output', 'clima_allout.tab');
      for (const steps of [200, 400]) {
        const stale = { ...clima(name), report, profile: climaPattern() };
        expect(judgeClima(stale, steps, climaPattern())).toMatchObject({ kind: 'error' });
      }
    },
  );

  it.each(runs)('writes the inputs of %s', (name) => {
    const { point } = expected(name);
    const written = speciesFile(text(initial, 'species.template.dat'), point);
    expect(values(written)).toEqual(values(text(name, 'input', 'species.dat')));
    const climaInput = climaFile(text(initial, 'input_clima.template.dat'), 400, point) ?? '';
    if (existsSync(join(samples, name, 'input', 'input_clima.dat')) && expected(name).outcome === 'success') {
      expect(switches(climaInput)).toEqual(switches(text(name, 'input', 'input_clima.dat')));
    }
  });

  it('finds nothing wrong with real profiles, and something with damaged ones', () => {
    for (const name of runs) {
      const { profile } = photochem(name);
      expect(flawOf(profile, photochemPattern()), name).toBeUndefined();
      expect(flawOf(profile?.subarray(0, -1), photochemPattern())).toBeDefined();
      expect(flawOf(profile?.subarray(0, 100_000), photochemPattern())).toBeDefined();
    }
    expect(flawOf(read('fail-clima-error-nan-tempin', 'input', 'TempIn.dat'), climaPattern())).toBe(
      'no set of finite numbers',
    );
    expect(flawOf(read('fail-photochem-error-empty-indist', 'input', 'in.dist'), photochemPattern())).toBe('empty');
  });

  it('sees no NaN in the log of a good run', () => {
    expect(text('run-a-earth', 'output', 'Photo_log.txt').split('\n').some(showsNaN)).toBe(false);
  });
});

/** What Fortran reads of a species file: the values, without comments and layout. */
function values(file: string): (string | number)[][] {
  const count: Record<string, number> = { LL: 16, SL: 8, IN: 9 };
  return file
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([name = '', type = '']) => !name.includes('*') && type in count)
    .map((words) =>
      words.slice(0, count[words[1] ?? '']).map((word) => (Number.isNaN(Number(word)) ? word : Number(word))),
    );
}

function switches(file: string): string[][] {
  return file
    .split('\n')
    .slice(5, 34)
    .map((line) => line.split(/[\s!]+/).slice(0, 2));
}
