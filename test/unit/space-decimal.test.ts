import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decimalOf, divideToNearest, formatNumber, parseNumber, snap, sum, toNumber } from '../../src/space/decimal.js';

/** Doubles and what Python 3 writes for them. */
const written: [number, string][] = [
  [0, '0.0'],
  [-0, '0.0'],
  [1, '1.0'],
  [-1, '-1.0'],
  [100, '100.0'],
  [-0.5, '-0.5'],
  [0.21, '0.21'],
  [0.1 + 0.2, '0.30000000000000004'],
  [1 / 3, '0.3333333333333333'],
  [2 / 3, '0.6666666666666666'],
  [0.0001, '0.0001'],
  [9.999e-5, '9.999e-05'],
  [1e-5, '1e-05'],
  [3e-5, '3e-05'],
  [1e-7, '1e-07'],
  [1.63e-6, '1.63e-06'],
  [8.13e-8, '8.13e-08'],
  [-2.5e-9, '-2.5e-09'],
  [1e-10, '1e-10'],
  [1e-100, '1e-100'],
  [5e-324, '5e-324'],
  [2.2250738585072014e-308, '2.2250738585072014e-308'],
  [1e15, '1000000000000000.0'],
  [999999999999999.9, '999999999999999.9'],
  [1e16, '1e+16'],
  [9999999999999998, '9999999999999998.0'],
  [123456789012345680, '1.2345678901234568e+17'],
  [1e21, '1e+21'],
  [2 ** 53, '9007199254740992.0'],
  [2 ** 63, '9.223372036854776e+18'],
  [1.5e300, '1.5e+300'],
  [1e100, '1e+100'],
  [Number.MAX_VALUE, '1.7976931348623157e+308'],
  [4.35, '4.35'],
  [0.000123456789, '0.000123456789'],
  [12345.678, '12345.678'],
];

/** Doubles by their bytes, big-endian, and what Python 3 writes for them. */
const writtenBits: [string, string][] = [
  ['f2a74de452e6b438', '-1.989032661366619e+244'],
  ['6513270e269e0d37', '7.761117632285041e+178'],
  ['0c5c7fd0a6a3a450', '3.980498358697587e-249'],
  ['1818e811892f902b', '1.3647584518757569e-192'],
  ['36f675cc81e74ef5', '6.294675241195386e-44'],
  ['3d9c172411e20b8f', '6.387016158513563e-12'],
  ['8d116ece1738f7d9', '-9.973130378568733e-246'],
];

const finite = fc.double({ noNaN: true, noDefaultInfinity: true });

describe('a number', () => {
  test.each(written)('%d is written as Python does: %s', (value, text) => {
    expect(formatNumber(value)).toBe(text);
  });

  test.each(writtenBits)('of the bytes %s is written as Python does: %s', (bits, text) => {
    expect(formatNumber(Buffer.from(bits, 'hex').readDoubleBE())).toBe(text);
  });

  test('is read back as it was written', () => {
    fc.assert(
      fc.property(finite, (value) => {
        expect(parseNumber(formatNumber(value))).toBe(value === 0 ? 0 : value);
      }),
    );
  });

  test.each(['0.21', '+0.21', '.21', '21e-2', ' 0.2100 ', '2.1E-01', '0.21\n'])('is read from %j', (text) => {
    expect(parseNumber(text)).toBe(0.21);
  });

  test.each([
    '',
    ' ',
    '.',
    'e5',
    'NaN',
    'nan',
    'inf',
    '-Infinity',
    '1e400',
    '0x10',
    '1_000',
    '1,5',
    '1 2',
    '1e',
    '--1',
    '1e99999',
  ])('is not read from %j', (text) => {
    expect(parseNumber(text)).toBeUndefined();
  });

  test('is refused at once where half a million digits end in none', () => {
    expect(parseNumber(`${'1'.repeat(500_000)}x`)).toBeUndefined();
  });
});

describe('a decimal', () => {
  test('holds exactly the digits that the double shows', () => {
    expect(decimalOf(0.35)).toEqual({ units: 35n, scale: 2 });
    expect(decimalOf(1.63e-6)).toEqual({ units: 163n, scale: 8 });
    expect(decimalOf(1e22)).toEqual({ units: 10n ** 22n, scale: 0 });
    expect(decimalOf(-12.5)).toEqual({ units: -125n, scale: 1 });
  });

  test('gives its double back', () => {
    fc.assert(
      fc.property(finite, (value) => {
        expect(toNumber(decimalOf(value))).toBe(value === 0 ? 0 : value);
      }),
    );
  });

  test('sums without the noise of doubles', () => {
    expect(toNumber(sum([0.1, 0.2, 1e-12].map(decimalOf)))).toBe(0.300000000001);
    expect(sum([])).toEqual({ units: 0n, scale: 0 });
  });

  test.each([
    [5n, 2n, 2n],
    [7n, 2n, 4n],
    [-5n, 2n, -2n],
    [-7n, 2n, -4n],
    [-1n, 2n, 0n],
    [1n, 3n, 0n],
    [5n, 3n, 2n],
    [-5n, 3n, -2n],
    [6n, 3n, 2n],
  ])('divides %d by %d to the nearest, ties to even: %d', (numerator, denominator, quotient) => {
    expect(divideToNearest(numerator, denominator)).toBe(quotient);
  });

  test.each([
    [0.0123, 0.01, 1, 0.02],
    [0.0123, 0.01, -1, 0],
    [0.34, 0.01, 1, 0.35],
    [0.3, 0.1, -1, 0.2],
    [0.005, 0.01, 1, 0.02], // 0.5 + 1 is a tie, and 2 is even
    [0.015, 0.01, 1, 0.02],
    [3e-12, 1e-12, 2, 5e-12],
    [-0.25, 0.1, 1, -0.2], // −2.5 + 1 = −1.5: to −2
  ])('%d snaps onto steps of %d, %d further, at %d', (value, step, offset, place) => {
    expect(toNumber(snap(decimalOf(value), decimalOf(step), offset))).toBe(place);
  });
});
