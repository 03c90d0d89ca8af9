import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkRow, shown } from '../../src/audit/rowCheck.js';
import { Space } from '../../src/space/space.js';

const space = new Space({
  parameters: [
    { name: 'O2', start: 0.21, step: [{ below: 1, by: 0.01 }] },
    { name: 'N2', filler: true },
    { name: 'H2O', start: 0.0123, step: [{ below: 1, by: 0.01 }] },
  ],
  mode: 'sides',
  reach: 1,
});
const { hash, code } = space.start;
const row = {
  ...{ hash, code, O2: 0.21, N2: 0.7777, H2O: 0.0123 },
  ...{ previous_hash: null, depth: 0, state: 'completed', stable: 1 },
};
const faultsOf = (changes: object) => checkRow({ ...row, ...changes }, space).faults;
const textsOf = (changes: object) => faultsOf(changes).map(({ kind, text }) => `${kind}: ${text}`);

const hex = 'a'.repeat(32);

/** What the columns of a table may hold that nobody keeps. */
const garbage = fc.oneof(
  fc.constantFrom(
    null,
    undefined,
    '',
    ' ',
    '\0',
    'NaN',
    'inf',
    '-0.0',
    '1e400',
    Number.POSITIVE_INFINITY,
    -0,
    '0.21,0.7777',
    '0,0,0,0',
  ),
  fc.constantFrom(
    ';',
    "'; drop table points; --",
    '$(reboot)',
    '../..',
    '-rf',
    '🌍,🌍,🌍',
    '\u001b[2J',
    '\u009b2J,\u202e,\u007f',
    hex.toUpperCase(),
  ),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.double(),
  fc.bigInt(),
  fc.uint8Array({ maxLength: 40 }),
  fc.array(fc.string({ unit: 'binary', maxLength: 10 }), { minLength: 3, maxLength: 3 }).map(String),
  fc.constant('9'.repeat(100_000)),
);

describe('a row', () => {
  test('says what it says where all is well', () => {
    const { point, ...rest } = checkRow(row, space);
    expect(point?.code).toBe(code);
    expect(rest).toEqual({ sound: true, end: 'stable', depth: 0, previous: null, faults: [] });
  });

  test('is named with hash and code, as they stand', () => {
    expect(faultsOf({ state: 'queue' })).toEqual([
      { kind: 'unsettled', hash, code, text: 'the point has not ended: its state is queue' },
    ]);
  });

  test.each<[object, string[]]>([
    [{ stable: 0 }, []],
    [{ state: 'error', stable: null }, []],
    [{ previous_hash: hex, depth: 3 }, []],
    [{ state: 'running' }, ['unsettled: the point has not ended: its state is running']],
    [{ stable: null }, ['unsettled: the point completed without a verdict: stable is null']],
    [{ stable: 2 }, ['unsettled: the point completed without a verdict: stable is 2']],
    [{ state: 'error' }, ['malformed: the point ended in an error, but stable is 1']],
    [{ state: 'done' }, ['malformed: the state is "done", wants queue, running, error or completed']],
    [{ hash: hex }, [`hash: the hash is "${hex}", but its code's is ${hash}`]],
    [{ code: '0.210,0.7777,0.0123' }, [`hash: the code is "0.210,0.7777,0.0123", but is rightly written ${code}`]],
    [{ O2: 0.22 }, ['columns: the columns differ from the code: O2 is 0.22, not 0.21']],
    [
      { N2: '0.7777', H2O: null },
      ['columns: the columns differ from the code: N2 is "0.7777", not 0.7777; H2O is null, not 0.0123'],
    ],
    [{ depth: -1 }, ['malformed: the depth is -1, wants a whole number from 0 to 134217726']],
    [{ depth: 0.5 }, ['malformed: the depth is 0.5, wants a whole number from 0 to 134217726']],
    [{ depth: 2 ** 27 - 1 }, ['malformed: the depth is 134217727, wants a whole number from 0 to 134217726']],
    [{ previous_hash: '' }, ['malformed: the previous_hash is "", wants 32 hex characters or null']],
    [{ previous_hash: `${hex}\n` }, [`malformed: the previous_hash is "${hex}\\n", wants 32 hex characters or null`]],
    [{ code: null }, ['malformed: the code is null, wants text']],
    [{ code: '0.21,0.7777' }, ['malformed: the code "0.21,0.7777" is no point: 2 numbers found, wants 3: O2, N2, H2O']],
    [
      { code: '0.21,0.7,0.0123' },
      ['malformed: the code "0.21,0.7,0.0123" is no point: N2 is 0.7, but the others leave 0.7777'],
    ],
    [{ code: '1'.repeat(513) }, ['malformed: the code has 513 characters, at most 512 are allowed']],
  ])('with %j has these faults: %j', (changes, texts) => {
    expect(textsOf(changes)).toEqual(texts);
  });

  test('of whatever columns is read without harm, and is at fault in each that is garbage', () => {
    const columns = Object.keys(row) as (keyof typeof row)[];
    const same = (column: string, value: unknown) => {
      const depth = column === 'depth' && Number.isInteger(value) && (value as number) >= 0;
      const verdict = column === 'stable' && (value === 0 || value === 1);
      return depth || verdict || (column === 'previous_hash' && value === null) || value === row[column as 'hash'];
    };
    fc.assert(
      fc.property(fc.constantFrom(...columns), garbage, garbage, (column, value, other) => {
        if (!same(column, value)) expect(faultsOf({ [column]: value })).not.toEqual([]);
        expect(faultsOf({ ...row, [column]: value, code: other, state: other }).length).toBeGreaterThan(0);
      }),
      { numRuns: 10_000 },
    );
  });

  test('is told of in short lines without control characters', () => {
    fc.assert(
      fc.property(garbage, (value) => {
        const faults = checkRow(Object.fromEntries(Object.keys(row).map((column) => [column, value])), space).faults;
        for (const { hash, code = '', text } of faults) {
          expect(`${hash} ${code} ${text}`).not.toMatch(/[\p{Cc}\p{Cf}]/u);
          expect(text.length).toBeLessThan(700);
        }
      }),
    );
  });
});

test('whatever a column holds is shown for what it is', () => {
  expect(['a"b', 5, null, undefined, 5n, Buffer.from('ab'), 'x'.repeat(61)].map(shown)).toEqual([
    ...['"a\\"b"', '5', 'null', 'absent', '5', '2 bytes', `"${'x'.repeat(60)}…"`],
  ]);
});
