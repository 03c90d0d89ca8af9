import { describe, expect, it } from 'vitest';
import { judgeClima } from '../../src/simulators/atmos/clima.js';
import { flawOf, formatFortran, parseFortran } from '../../src/simulators/atmos/fortran.js';
import { climaFile, settableSpecies, speciesFile } from '../../src/simulators/atmos/inputs.js';
import { judgePhotochem, progressOf, showsNaN, surfaceFluxes } from '../../src/simulators/atmos/photochem.js';
import { oddities } from '../../src/simulators/index.js';
import { simulatorSettings } from '../../src/simulators/settings.js';

describe("Fortran's numbers", () => {
  it.each([
    ['4.08E+12', 4.08e12],
    [' -5.01E+11', -5.01e11],
    ['0.16879123-229', 1.6879123e-230],
    ['7.08-220', 7.08e-220],
    ['1.5+100', 1.5e100],
    ['1.D0', 1],
    ['3', 3],
  ])('reads %s', (text, value) => {
    expect(parseFortran(text)).toBe(value);
  });

  it('reads minus zero as zero', () => {
    expect(Object.is(parseFortran('-0.00E+00'), 0)).toBe(true);
  });

  it.each(['NaN', 'Infinity', '********', '', '1.0E+999', 'EMAX', '0x10'])("reads no number from '%s'", (text) => {
    expect(parseFortran(text)).toBeUndefined();
  });

  it.each([
    [0.7772982887, '7.773E-01'],
    [1.63e-6, '1.630E-06'],
    [0, '0.000E+00'],
    [1, '1.000E+00'],
    [9.9999e-4, '1.000E-03'],
  ])('writes %s with four digits', (value, text) => {
    expect(formatFortran(value)).toBe(text);
  });
});

describe('a species file', () => {
  const template = [
    '* name  type  O H C S N CL LBOUND VDEP0 FIXEDMR',
    'O2         LL  2 0 0 0 0 0    0     2.0E-01 0.        0.        0.      0      0.      0.  ! comment',
    'CO         LL  1 0 1 0 0 0    2     3.0E-02 1.1E-07   3.70E+11  10.     0      0.      0.',
    'HNO2       SL  2 1 0 0 1 0',
    'N2         IN  0 0 0 0 2 0    7.8E-01',
    'HV         HV  0 0 0 0 0 0',
  ].join('\n');

  it('fixes the mixing ratios of the point, and leaves all else', () => {
    expect(
      speciesFile(template, { O2: 0.21, N2: 0.79, HNO2: 1, HV: 1 })
        .split('\n')
        .map((line) => line.trimEnd()),
    ).toEqual([
      '* name  type  O H C S N CL LBOUND VDEP0 FIXEDMR',
      'O2         LL  2 0 0 0 0 0    1     2.0E-01 2.100E-01 0.        0.      0      0.      0.  ! comment',
      'CO         LL  1 0 1 0 0 0    2     3.0E-02 1.1E-07   3.70E+11  10.     0      0.      0.',
      expect.stringMatching(/^HNO2 /),
      'N2         IN  0 0 0 0 2 0    7.900E-01',
      expect.stringMatching(/^HV /),
    ]);
  });

  it('keeps its words apart where a number has no room', () => {
    const tight = 'O2 LL 2 0 0 0 0 0 0 0. 0. 0. 0. 0 0. 0.';
    expect(speciesFile(tight, { O2: 0.21 })).toBe('O2 LL 2 0 0 0 0 0 1 0. 2.100E-01 0. 0. 0 0. 0.');
  });

  it('tells which species can be set', () => {
    expect([...settableSpecies(template)]).toEqual(['O2', 'CO', 'N2']);
  });
});

describe("the climate program's switches", () => {
  const template =
    'NSTEPS=    200           !steps\nIUP=       1   !start\nTG0=       288.\nICOUPLE=   0\nIMET=      1   !CH4\nIMETETH=   0\n';

  it('are set where they stand', () => {
    expect(climaFile(template, 400, { CH4: 1.63e-6 })).toBe(
      'NSTEPS=    400           !steps\nIUP=       0   !start\nTG0=       288.\nICOUPLE=   1\nIMET=      0   !CH4\nIMETETH=   0\n',
    );
  });

  it('count methane where there is enough of it', () => {
    expect(climaFile(template, 400, { CH4: 1.001e-4 })).toMatch(/IMET= {6}1/);
    expect(climaFile(template, 400, { CH4: 1e-4 })).toMatch(/IMET= {6}0/);
    expect(climaFile(template, 400, {})).toMatch(/IMET= {6}0/);
  });

  it('must all be there', () => {
    expect(climaFile(template.replace('IUP=', 'IDOWN='), 400, {})).toBeUndefined();
  });
});

describe('a profile', () => {
  const pattern = Buffer.from('   0.10E+01   0.20E+01\n   0.30E+01   0.16-229\n');

  it.each([
    [undefined, 'missing'],
    ['', 'empty'],
    ['   0.10E+01   0.20E+01\n', 'cut off, or of another size'],
    ['   0.10E+01   0.20E+01\n   0.30E+01   0.16-229', 'cut off, or of another size'],
    ['   0.10E+01   0.20E+01\n   0.30E+01\n', 'garbled'],
    ['   0.10E+01        NaN\n   0.30E+01   0.16-229\n', 'no set of finite numbers'],
    ['   0.10E+01   Infinity\n   0.30E+01   0.16-229\n', 'no set of finite numbers'],
    ['   0.10E+01   ********\n   0.30E+01   0.16-229\n', 'no set of finite numbers'],
    ['   0.11E+01   0.20E-01\n  -0.30E+01   0.16-229\n', undefined],
  ])('%j has the flaw: %s', (text, flaw) => {
    expect(flawOf(text === undefined ? undefined : Buffer.from(text), pattern)).toBe(flaw);
  });
});

const progress = (step: string, change: string, time: string) =>
  ` N =${step.padStart(5)}  EMAX = ${change} FOR O2      AT Z = 4.18E+06 U = 1.53E-15 RHS =-9.55E-26  DT = 3.15E+18  TIME = ${time}`;

describe('photochemistry', () => {
  const profile = Buffer.from('   0.10E+01\n');
  const fluxes = [
    ' FLUXES OF LONG-LIVED SPECIES',
    '',
    '     Z        O         CH4',
    '  0.00E+00 -1.35E+03  1.60E+11',
    '  5.00E+04 -2.64E+02  1.50E+11',
    '',
    '     Z        NH3       N         H2O       CO2       CO        O3',
    '  0.00E+00 -0.00E+00   7.08-220  2.00E+00 -5.01E+11  3.70E+11 -1.00E+10',
    '',
    ' AQUEOUS PHASE SPECIES',
    '     Z        CO',
    '  0.00E+00  9.99E+09',
  ];
  const report = (lines: string[]) => Buffer.from([' N= 3     X= 7.00728E-01', ...lines].join('\n'));
  /** Of a converged run, with its fluxes changed. */
  const withFluxes = (change: (table: string[]) => string[]) =>
    report([progress('40', '6.25E-11', '7.87E+17'), ...change(fluxes)]);
  const good = {
    status: 0,
    log: ' N =    1\n PhotoMain run completed....\n See OUTPUT\nNote: floating-point exceptions',
    report: report([progress('39', '1.00E-01', '1.00E+10'), progress('40', '6.25E-11', '7.87E+17'), ...fluxes]),
    profile,
  };

  it('has converged where all the marks are there', () => {
    expect(judgePhotochem(good, profile)).toEqual({
      kind: 'converged',
      iterations: 40,
      fluxes: new Map([
        ['O', -1350],
        ['CH4', 1.6e11],
        ['NH3', 0],
        ['N', 7.08e-220],
        ['H2O', 2],
        ['CO2', -5.01e11],
        ['CO', 3.7e11],
        ['O3', -1e10],
      ]),
    });
  });

  it('has not where its steps are used up, whether or not a blank is left before them', () => {
    for (const step of ['10000', '10001']) {
      const given = { ...good, report: report([progress(step, '2.37E+00', '7.33E+08'), ...fluxes]) };
      expect(judgePhotochem(given, profile)).toEqual({ kind: 'nonconverged', iterations: Number(step) });
    }
  });

  it.each<[string, Partial<typeof good> | { report?: undefined; profile?: undefined }, RegExp]>([
    ['another status', { status: 2 }, /ended with status 2/],
    ['no mark of completion', { log: ' ERROR in SGBFA' }, /before it was complete/],
    ['no report', { report: Buffer.of() }, /no line of progress/],
    ['no fluxes', { report: report([progress('40', '6.25E-11', '7.87E+17')]) }, /0 tables of fluxes/],
    ['fluxes twice', { report: report([progress('40', '6.25E-11', '7.87E+17'), ...fluxes, ...fluxes]) }, /2 tables/],
    ['NaN', { report: report([progress('40', '     NaN', '7.87E+17'), ...fluxes]) }, /lost its numbers at step 40/],
    ['a killed run', { report: report([progress('177', '1.00E-02', '1.00E+09'), ...fluxes]) }, /stopped at step 177/],
    ['no time', { report: report([progress('177', '1.00E-02', '     NaN'), ...fluxes]) }, /stopped at step 177/],
    ['an empty profile', { profile: Buffer.of() }, /out.dist that is empty/],
    ['fluxes cut off', { report: withFluxes((table) => table.slice(0, 8)) }, /fluxes that have no end/],
    [
      'an end before its fluxes',
      { report: withFluxes((table) => ['AQUEOUS PHASE SPECIES', ...table.slice(0, 8)]) },
      /no end/,
    ],
    ['a table less', { report: withFluxes((table) => table.toSpliced(5, 3)) }, /a number for H2O, CO2, CO, NH3, O3$/],
    [
      'a flux of NaN',
      { report: withFluxes((table) => table.map((row) => row.replace('-5.01E+11', '      NaN'))) },
      /without a number for CO2$/,
    ],
  ])('is in error with %s', (_, change, sentence) => {
    const verdict = judgePhotochem({ ...good, ...change }, profile);
    expect(verdict).toEqual({ kind: 'error', sentence: expect.stringMatching(sentence) });
  });

  it('shows NaN in its progress', () => {
    expect(showsNaN(progress('12', '     NaN', '1.00E-06'))).toBe(true);
    expect(showsNaN(progress('12', '1.00E-02', '1.00E-06'))).toBe(false);
    expect(showsNaN(' EMAX is NaN')).toBe(false);
    expect(progressOf(' N= 3     X= 7.00728E-01')).toBeUndefined();
  });

  it('skips a row of fluxes with fields that do not fit its names', () => {
    expect(surfaceFluxes(' FLUXES OF LONG-LIVED SPECIES\n Z O O2\n 0.00E+00 1.0\n AQUEOUS PHASE SPECIES')).toEqual(
      new Map(),
    );
  });
});

describe('the climate program', () => {
  const heading = '  J     P         ALT         T        CONVEC       DT          TOLD';
  const table = (temperature: string) => [
    heading,
    '  1 7.6980E-06 7.1867E+01 1.0080E+02  0.00E+00',
    `101 1.0301E+00 0.0000E+00 ${temperature}  1.00E+00`,
    heading,
  ];
  const step = (number: number) =>
    ` NST=${String(number).padStart(6)} JCONV= 74 CHG=1.12E-03 dt0=1.00E+04 DIVF(1)=-3.78E-05 DIVFrms= 2.15E-03 DT(ND)=-1.09E-03 T(ND)=2.8743E+02`;
  const report = (lines: string[]) => Buffer.from(lines.join('\n'));
  const profile = Buffer.from('   287.4\n');
  const good = {
    status: 0,
    log: ' Surface temperature=   287.4\n output photo\n',
    report: report([step(1), ...table('2.8847E+02'), '  J PF ALT FTOTAL', step(400), ...table('2.8743E+02')]),
    profile,
  };

  it('gives the ground of the final table', () => {
    expect(judgeClima(good, 400, profile)).toEqual({
      kind: 'finished',
      temperature: 287.43,
      pressure: 1.0301,
      divergence: 2.15e-3,
      change: -1.09e-3,
    });
  });

  it.each<[string, Partial<typeof good>, RegExp]>([
    ['another status', { status: 136 }, /ended with status 136/],
    ['no mark of completion', { log: ' Surface temperature=   287.4' }, /before it was complete/],
    ['no report', { report: Buffer.of() }, /0 table headings/],
    ['half a report', { report: report([step(1), ...table('2.8847E+02')]) }, /2 table headings/],
    [
      "another run's report",
      { report: report([step(1), ...table('2E+02'), step(200), ...table('2E+02')]) },
      /200 steps, not 400/,
    ],
    [
      'a temperature that is none',
      { report: report([...table('2E+02'), step(400), ...table('     NaN')]) },
      /cannot be read/,
    ],
    ['no ground', { report: report([step(400), heading, heading, heading, heading]) }, /cannot be read/],
    ['an old profile', { profile: Buffer.of() }, /TempOut.dat that is empty/],
  ])('is in error with %s', (_, change, sentence) => {
    const verdict = judgeClima({ ...good, ...change }, 400, profile);
    expect(verdict).toEqual({ kind: 'error', sentence: expect.stringMatching(sentence) });
  });
});

describe('a search with Atmos', () => {
  it('is told of steps that lead nowhere', () => {
    const atmos = simulatorSettings.parse({ kind: 'atmos', sandbox: { kind: 'local' } });
    const by = (step: number) => [{ below: 1, by: step }];
    const air = [
      { name: 'O2', start: 0.21, step: by(0.01), max: 0.3 },
      { name: 'N2', filler: true },
      { name: 'H2O', start: 0.01, step: by(0.01) },
      { name: 'CO2', start: 0.0004 },
    ];
    expect(oddities(atmos, air)).toEqual([
      'H2O does not reach the physics of Atmos: points that differ in it alone have one result',
    ]);
    expect(oddities(simulatorSettings.parse({ kind: 'reference' }), air)).toEqual([]);
  });

  it.each([
    [
      'steps below the fourth digit',
      { start: 0.21, step: 0.00001, max: 0.3 },
      /steps of 1e-05 are below .* \(0\.0001 at 0\.3\)/,
    ],
    [
      'a start beside the lattice',
      { start: 0.21001, step: 0.01, max: 0.3 },
      /the start 0\.21001 and 0\.21 are one input/,
    ],
  ])('is told of points that are one input: %s', (_, { step, ...axis }, sentence) => {
    const atmos = simulatorSettings.parse({ kind: 'atmos', sandbox: { kind: 'local' } });
    const told = oddities(atmos, [{ name: 'O2', ...axis, step: [{ below: 1, by: step }] }]);
    expect(told).toEqual([expect.stringMatching(sentence)]);
    const [one, other] = [axis.start, 0.21001].sort() as [number, number];
    const file = 'O2         LL  2 0 0 0 0    1     2.100E-01  0.    2.100E-01  0.    0.   0.\n';
    expect(speciesFile(file, { O2: one })).toBe(speciesFile(file, { O2: other }));
  });

  it('is told of no such thing where each step shows', () => {
    const atmos = simulatorSettings.parse({ kind: 'atmos', sandbox: { kind: 'local' } });
    const step = [
      { below: 0.1, by: 0.00001 },
      { below: 1, by: 0.0001 },
    ];
    expect(oddities(atmos, [{ name: 'O2', start: 0.21, step, max: 0.3 }])).toEqual([]);
  });
});
