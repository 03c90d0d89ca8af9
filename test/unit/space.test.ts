import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { latticeSize } from '../../src/space/lattice.js';
import { type Dictionary, NotAPoint, type Parameter, Space } from '../../src/space/space.js';

const by = (step: number) => [{ below: 1, by: step }];

/** The Earth-like search without bounds. */
const earthLike: readonly Parameter[] = [
  { name: 'O2', start: 0.21, step: by(0.01) },
  { name: 'N2', filler: true },
  { name: 'H2O', start: 0.0123, step: by(0.01) },
  { name: 'CH4', start: 1.63e-6, step: by(0.005) },
  { name: 'CO2', start: 0.0004, step: by(0.01) },
  { name: 'H2', start: 8.13e-8, step: by(0.005) },
];

function earthLikeSpace(reach: number, bounds: Dictionary = {}): Space {
  const parameters = earthLike.map((parameter) => ({ ...parameter, max: bounds[parameter.name] }));
  return new Space({ parameters, mode: 'sides', reach });
}

/** What differs from the start, then code and hash, as the system of 2018 wrote them. */
const codecVectors: [Dictionary, string, string][] = [
  [{}, '0.21,0.7772982887,0.0123,1.63e-06,0.0004,8.13e-08', '898af16dad7e00a834f2a63b66419f02'],
  [{ O2: 0.51 }, '0.51,0.4772982887,0.0123,1.63e-06,0.0004,8.13e-08', '4c038fca0b6c114e06bb01cf5139befe'],
  [{ O2: 0.02 }, '0.02,0.9672982887,0.0123,1.63e-06,0.0004,8.13e-08', 'e9445a6c74f11a120daed4836f45a5d9'],
  [{ H2O: 0.51 }, '0.21,0.2795982887,0.51,1.63e-06,0.0004,8.13e-08', '2455b7d8abb9fa58b1ddb52daf693bb6'],
  [{ CH4: 0.14 }, '0.21,0.6372999187,0.0123,0.14,0.0004,8.13e-08', '217860c9a7bbc062e88f042a9a69de07'],
  [{ CH4: 0.005 }, '0.21,0.7722999187,0.0123,0.005,0.0004,8.13e-08', '83fbee4980e7a7b3e69eaa38ce8c9a49'],
  [{ CO2: 0.21 }, '0.21,0.5676982887,0.0123,1.63e-06,0.21,8.13e-08', 'fee3db1657620e3f6d63e884547371d3'],
  [{ CO2: 0.01 }, '0.21,0.7676982887,0.0123,1.63e-06,0.01,8.13e-08', 'b0fb9695de5aa605ca9625f84e80a37c'],
  [{ H2: 0.2 }, '0.21,0.57729837,0.0123,1.63e-06,0.0004,0.2', '49b8574c1e171f9666ba17854e6b4637'],
  [{ H2: 8.1e-8 }, '0.21,0.777298289,0.0123,1.63e-06,0.0004,8.1e-08', 'fe2b1b1d4bb0a9f62e8a890a48d3db84'],
  [{ H2: 1e-10 }, '0.21,0.7772983699,0.0123,1.63e-06,0.0004,1e-10', 'cd56c05db4116ff85709c685368e12d6'],
  [{ H2: 0.0 }, '0.21,0.77729837,0.0123,1.63e-06,0.0004,0.0', '7137f3b3c9531e038906204aaca16146'],
  [{ O2: 0.7 }, '0.7,0.2872982887,0.0123,1.63e-06,0.0004,8.13e-08', '2f4fb8f9247032cf2a6bdc8e5c0585ad'],
  [{ CO2: 0.0001 }, '0.21,0.7775982887,0.0123,1.63e-06,0.0001,8.13e-08', 'fd44329b7707655fbd1c82ab041602e0'],
  [{ CO2: 9.999e-5 }, '0.21,0.7775982987,0.0123,1.63e-06,9.999e-05,8.13e-08', '08428810583c32effae0278a76d447a8'],
  [{ CH4: 1.8e-6 }, '0.21,0.7772981187,0.0123,1.8e-06,0.0004,8.13e-08', '11a6aa0d0c3f71f4f4ab58c3c4c467a1'],
  [{ O2: 0.25 }, '0.25,0.7372982887,0.0123,1.63e-06,0.0004,8.13e-08', '5dde57c72998b5cdb0aac06911a2c09e'],
  [{ O2: 0.1 }, '0.1,0.8872982887,0.0123,1.63e-06,0.0004,8.13e-08', '0624fd3aa1efc045adb04d69c509c31b'],
];

/** What differs from the start, the reach, and the neighbours, sides only, as the system of 2018 found them. */
const exploreVectors: [Dictionary, number, string[]][] = [
  [
    {},
    1,
    [
      '0.2,0.7872982887,0.0123,1.63e-06,0.0004,8.13e-08',
      '0.22,0.7672982887,0.0123,1.63e-06,0.0004,8.13e-08',
      '0.21,0.7695982887,0.02,1.63e-06,0.0004,8.13e-08',
      '0.21,0.7722999187,0.0123,0.005,0.0004,8.13e-08',
      '0.21,0.7676982887,0.0123,1.63e-06,0.01,8.13e-08',
      '0.21,0.77229837,0.0123,1.63e-06,0.0004,0.005',
    ],
  ],
  [
    {},
    2,
    [
      '0.2,0.7872982887,0.0123,1.63e-06,0.0004,8.13e-08',
      '0.19,0.7972982887,0.0123,1.63e-06,0.0004,8.13e-08',
      '0.22,0.7672982887,0.0123,1.63e-06,0.0004,8.13e-08',
      '0.23,0.7572982887,0.0123,1.63e-06,0.0004,8.13e-08',
      '0.21,0.7695982887,0.02,1.63e-06,0.0004,8.13e-08',
      '0.21,0.7595982887,0.03,1.63e-06,0.0004,8.13e-08',
      '0.21,0.7722999187,0.0123,0.005,0.0004,8.13e-08',
      '0.21,0.7672999187,0.0123,0.01,0.0004,8.13e-08',
      '0.21,0.7676982887,0.0123,1.63e-06,0.01,8.13e-08',
      '0.21,0.7576982887,0.0123,1.63e-06,0.02,8.13e-08',
      '0.21,0.77229837,0.0123,1.63e-06,0.0004,0.005',
      '0.21,0.76729837,0.0123,1.63e-06,0.0004,0.01',
    ],
  ],
  [
    { O2: 0.02, H2O: 0.01 },
    2,
    [
      '0.01,0.9795982887,0.01,1.63e-06,0.0004,8.13e-08',
      '0.03,0.9595982887,0.01,1.63e-06,0.0004,8.13e-08',
      '0.04,0.9495982887,0.01,1.63e-06,0.0004,8.13e-08',
      '0.02,0.9595982887,0.02,1.63e-06,0.0004,8.13e-08',
      '0.02,0.9495982887,0.03,1.63e-06,0.0004,8.13e-08',
      '0.02,0.9645999187,0.01,0.005,0.0004,8.13e-08',
      '0.02,0.9595999187,0.01,0.01,0.0004,8.13e-08',
      '0.02,0.9599982887,0.01,1.63e-06,0.01,8.13e-08',
      '0.02,0.9499982887,0.01,1.63e-06,0.02,8.13e-08',
      '0.02,0.96459837,0.01,1.63e-06,0.0004,0.005',
      '0.02,0.95959837,0.01,1.63e-06,0.0004,0.01',
    ],
  ],
  [
    { O2: 0.5, CO2: 0.45 },
    1,
    [
      '0.49,0.0476982887,0.0123,1.63e-06,0.45,8.13e-08',
      '0.51,0.0276982887,0.0123,1.63e-06,0.45,8.13e-08',
      '0.5,0.0299982887,0.02,1.63e-06,0.45,8.13e-08',
      '0.5,0.0326999187,0.0123,0.005,0.45,8.13e-08',
      '0.5,0.0476982887,0.0123,1.63e-06,0.44,8.13e-08',
      '0.5,0.0276982887,0.0123,1.63e-06,0.46,8.13e-08',
      '0.5,0.03269837,0.0123,1.63e-06,0.45,0.005',
    ],
  ],
];

const codes = (points: readonly { code: string }[]) => points.map(({ code }) => code).sort();

describe('the codec', () => {
  const space = earthLikeSpace(1);

  test.each(codecVectors)('gives %j its code and hash of 2018', (changes, code, hash) => {
    const point = space.pointWith(changes);
    expect(point.code).toBe(code);
    expect(point.hash).toBe(hash);
    expect(space.decode(code).hash).toBe(hash);
  });

  test('hashes names and numbers in order', () => {
    const text = 'O20.21N20.7772982887H2O0.0123CH41.63e-06CO20.0004H28.13e-08';
    expect(space.named(space.start)).toBe(text);
    expect(space.start.hash).toBe(createHash('md5').update(text).digest('hex'));
  });

  test('gives the dictionary back, in order, with the filler', () => {
    const { dictionary } = space.decode('0.21,0.7772982887,0.0123,1.63e-06,0.0004,8.13e-08');
    expect(Object.entries(dictionary)).toEqual([
      ['O2', 0.21],
      ['N2', 0.7772982887],
      ['H2O', 0.0123],
      ['CH4', 1.63e-6],
      ['CO2', 0.0004],
      ['H2', 8.13e-8],
    ]);
  });

  test('makes a code written by hand canonical', () => {
    const { code } = space.decode(' .210, 7772982887e-10,1.23e-2,0.00000163,4E-4,+813e-10');
    expect(code).toBe(space.start.code);
  });

  test.each([
    ['0.21', '1 numbers found, wants 6: O2, N2, H2O, CH4, CO2, H2'],
    ['0.21,0.7772982887,0.0123,1.63e-06,0.0004,8.13e-08,1', '7 numbers found'],
    ['0.21,0.7772982887,0.0123,x,0.0004,8.13e-08', "CH4: 'x' is not a finite number"],
    ['0.21,0.7772982887,0.0123,,0.0004,8.13e-08', "CH4: '' is not a finite number"],
    ['0.21,0.7772982887,0.0123,1e400,0.0004,8.13e-08', "CH4: '1e400' is not a finite number"],
    ['0.21,0.7772982888,0.0123,1.63e-06,0.0004,8.13e-08', 'N2 is 0.7772982888, but the others leave 0.7772982887'],
    ['-0.21,1.1972982887,0.0123,1.63e-06,0.0004,8.13e-08', 'O2 is -0.21, wants a mixing ratio from 0 to 1'],
    ['1.5,0.0,0.0123,1.63e-06,0.0004,8.13e-08', 'O2 is 1.5, wants a mixing ratio from 0 to 1'],
    ['1.0,0.0,0.0123,1.63e-06,0.0004,8.13e-08', 'the others sum to more than 1: nothing is left for N2'],
  ])('refuses %j', (code, message) => {
    expect(() => space.decode(code)).toThrow(NotAPoint);
    expect(() => space.decode(code)).toThrow(message);
  });

  test.each([
    [{ Xe: 0.1 }, 'Xe is no parameter: there are O2, N2, H2O, CH4, CO2, H2'],
    [{ N2: 0.1 }, 'N2 is the filler: it takes what the others leave'],
    [{ O2: Number.NaN }, 'O2 is NaN, wants a finite number'],
    [{ O2: 0.99 }, 'nothing is left for N2'],
  ])('refuses a point with %j', (changes, message) => {
    expect(() => space.pointWith(changes)).toThrow(NotAPoint);
    expect(() => space.pointWith(changes)).toThrow(message);
  });

  test('lets the filler be nothing at all, up to half of its last digit', () => {
    const parameters = [
      { name: 'A', start: 1 },
      { name: 'B', start: 0 },
      { name: 'F', filler: true },
    ];
    const full = new Space({ parameters, mode: 'sides', reach: 1 });
    expect(full.start.code).toBe('1.0,0.0,0.0');
    expect(full.pointWith({ B: 5e-11 }).code).toBe('1.0,5e-11,0.0');
    expect(() => full.pointWith({ B: 5.1e-11 })).toThrow(NotAPoint);
  });
});

describe('exploration', () => {
  test.each(exploreVectors)('from %j at reach %d finds the neighbours of 2018', (changes, reach, neighbours) => {
    const space = earthLikeSpace(reach);
    expect(codes(space.neighbours(space.pointWith(changes)))).toEqual([...neighbours].sort());
  });

  test('keeps inside the bounds', () => {
    const space = earthLikeSpace(2, { O2: 0.22, H2O: 0.02, CH4: 0.005, CO2: 0.0004, H2: 0 });
    const found = space
      .neighbours(space.start)
      .map(({ dictionary: { O2, H2O, CH4, CO2, H2 } }) => [O2, H2O, CH4, CO2, H2]);
    expect(found).toEqual([
      [0.2, 0.0123, 1.63e-6, 0.0004, 8.13e-8],
      [0.19, 0.0123, 1.63e-6, 0.0004, 8.13e-8],
      [0.22, 0.0123, 1.63e-6, 0.0004, 8.13e-8],
      [0.21, 0.02, 1.63e-6, 0.0004, 8.13e-8],
      [0.21, 0.0123, 0.005, 0.0004, 8.13e-8],
    ]);
  });

  test('takes the step of the first bin whose bound exceeds the value, beyond all bounds the last', () => {
    const step = [
      { below: 0.1, by: 0.01 },
      { below: 1, by: 0.1 },
    ];
    const space = new Space({ parameters: [{ name: 'a', start: 0.09, step, max: 9 }], mode: 'sides', reach: 1 });
    const from = (a: number) => codes(space.neighbours(space.pointWith({ a })));
    expect(from(0.09)).toEqual(['0.08', '0.1']);
    expect(from(0.1)).toEqual(['0.2']);
    expect(from(0.2)).toEqual(['0.1', '0.3']);
    expect(from(5)).toEqual(['4.9', '5.1']);
  });

  test('leaves a parameter without a step, or with a step of 0, where it is', () => {
    const parameters = [
      { name: 'a', start: 0.5 },
      { name: 'b', start: 0.5, step: by(0) },
      { name: 'c', start: 0.5, step: by(0.25) },
    ];
    const space = new Space({ parameters, mode: 'diagonals', reach: 1 });
    expect(codes(space.neighbours(space.start))).toEqual(['0.5,0.5,0.25', '0.5,0.5,0.75']);
  });

  test('goes below nothing only where a min allows it', () => {
    const from = (min?: number) => {
      const space = new Space({ parameters: [{ name: 'a', start: 1, step: by(1), min }], mode: 'sides', reach: 2 });
      return codes(space.neighbours(space.start));
    };
    expect(from()).toEqual(['2.0', '3.0']);
    expect(from(0)).toEqual(['0.0', '2.0', '3.0']);
    expect(from(-1)).toEqual(['-1.0', '0.0', '2.0', '3.0']);
  });

  test('combines all steps in diagonals, the point itself left out', () => {
    const parameters = ['a', 'b', 'c'].map((name) => ({ name, start: 0.5, step: by(0.1) }));
    for (const reach of [1, 2]) {
      const space = new Space({ parameters, mode: 'diagonals', reach });
      const found = codes(space.neighbours(space.start));
      expect(new Set(found).size).toBe((2 * reach + 1) ** 3 - 1);
      expect(found).not.toContain(space.start.code);
    }
  });

  test('has the neighbours of a start off its lattice on the lattice, and not the other way', () => {
    const space = earthLikeSpace(1);
    const up = space.pointWith({ H2O: 0.02 });
    expect(codes(space.neighbours(space.start))).toContain(up.code);
    expect(codes(space.neighbours(up))).not.toContain(space.start.code);
  });
});

describe('the size of the lattice', () => {
  test('is that of the whole Earth-like search', () => {
    expect(latticeSize(earthLikeSpace(2))).toEqual({ points: 352_939_356, exact: true, endless: [] });
  });

  test('leaves start values out where the start is on the lattice', () => {
    const onSteps: Dictionary = { H2O: 0.01, CH4: 0.005, CO2: 0.01, H2: 0.005 };
    const parameters = earthLike.map((parameter) => ({
      ...parameter,
      start: onSteps[parameter.name] ?? parameter.start,
    }));
    expect(latticeSize(new Space({ parameters, mode: 'sides', reach: 1 })).points).toBe(305_071_305);
  });

  test('counts a point whose filler rounds up to nothing', () => {
    const parameters = [
      { name: 'A', start: 0.5, step: by(0.5) },
      { name: 'B', start: 5e-11 },
      { name: 'F', filler: true },
    ];
    expect(latticeSize(new Space({ parameters, mode: 'sides', reach: 1 })).points).toBe(2);
  });

  test('is without end where an axis is', () => {
    const space = new Space({ parameters: [{ name: 'a', start: 1, step: by(1) }], mode: 'sides', reach: 1 });
    expect(latticeSize(space)).toEqual({ points: Number.POSITIVE_INFINITY, exact: false, endless: ['a'] });
  });

  test.each([
    [{ start: 1, step: by(1e-9), min: 0.5, max: 2 }, 1_500_000_001],
    [{ start: 0.5000005, step: by(1e-6), max: 1 }, 1_000_001],
    [{ start: -1, step: by(1e-6), min: -2, max: 3 }, 5_000_001],
  ])('is stated where an axis has more values than are listed: %j', (axis, points) => {
    const space = new Space({ parameters: [{ name: 'a', ...axis }], mode: 'sides', reach: 1 });
    expect(latticeSize(space)).toEqual({ points, exact: true, endless: [] });
  });

  test('counts each value of a long axis once', () => {
    const parameters = [{ name: 'a', start: 0.5, step: by(0.000008), max: 1 }];
    expect(latticeSize(new Space({ parameters, mode: 'sides', reach: 1 })).points).toBe(125_000);
  });
});
