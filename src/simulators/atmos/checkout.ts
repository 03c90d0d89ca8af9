import type { Cell } from '../../sandboxes/sandbox.js';
import { MachineFault, UsageError } from '../../support/errors.js';
import { climaFile, settableSpecies } from './inputs.js';

/** Where things lie in a checkout of Atmos; each by the name that it is kept under. */
export const inputPaths = {
  'species.dat': 'PHOTOCHEM/INPUTFILES/species.dat',
  'in.dist': 'PHOTOCHEM/in.dist',
  'input_clima.dat': 'CLIMA/IO/input_clima.dat',
  'TempIn.dat': 'CLIMA/IO/TempIn.dat',
} as const;

export const photochemPaths = {
  'out.out': 'PHOTOCHEM/OUTPUT/out.out',
  'out.dist': 'PHOTOCHEM/OUTPUT/out.dist',
  'mixing_ratios.dat': 'COUPLE/mixing_ratios.dat',
} as const;

export const climaPaths = {
  'clima_allout.tab': 'CLIMA/IO/clima_allout.tab',
  'TempOut.dat': 'CLIMA/IO/TempOut.dat',
} as const;

/** Emptied before each run, so that what is in them after it is this run's. */
export const stalePaths = [
  ...Object.values(photochemPaths),
  'COUPLE/fromPhoto2Clima.dat',
  'COUPLE/coupling_params.out',
  ...Object.values(climaPaths),
];

/** What every run starts from, as it is in a fresh checkout. */
export interface Templates {
  species: string;
  clima: string;
  /** Profiles of a cold start, and the patterns that every other must match. */
  photochemProfile: Buffer;
  climaProfile: Buffer;
}

/** Reads the templates from a cell that nothing has run in. `names` are the search's parameters. */
export async function readTemplates(cell: Cell, names: readonly string[]): Promise<Templates> {
  const read = async (path: string): Promise<Buffer> => {
    const content = await cell.read(path);
    if (content && content.length > 0) return content;
    throw new MachineFault(
      `There is no Atmos in ${cell.directory}: it has no ${path}. Check sandbox.image and sandbox.directory`,
    );
  };
  const templates = {
    species: (await read('PHOTOCHEM/INPUTFILES/TEMPLATES/ModernEarth/species.dat')).toString('latin1'),
    clima: (await read('CLIMA/IO/TEMPLATES/ModernEarth/input_clima.dat')).toString('latin1'),
    photochemProfile: await read('PHOTOCHEM/INPUTFILES/TEMPLATES/ModernEarth/in.dist'),
    climaProfile: await read('CLIMA/IO/TempOut.dat'),
  };
  if (climaFile(templates.clima, 2, {}) === undefined) {
    throw new MachineFault(
      `The Atmos in ${cell.directory} has an input_clima.dat without the switches that a run sets`,
    );
  }
  const settable = settableSpecies(templates.species);
  const unknown = names.filter((name) => !settable.has(name));
  if (unknown.length > 0) {
    throw new UsageError(`parameters: Atmos has no species ${unknown.join(', ')}. It has ${[...settable].join(', ')}`);
  }
  return templates;
}
