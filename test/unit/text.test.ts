import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { oneLine, printable, printableJson } from '../../src/support/text.js';

const text = fc.string({ unit: 'binary' });

describe('text for a terminal', () => {
  test('has no character that a terminal obeys', () => {
    fc.assert(
      fc.property(text, (any) => {
        expect(oneLine(any)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(printable(any)).not.toMatch(/[^\n\t\P{Cc}]/u);
        expect(printableJson(JSON.stringify(any))).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
  });

  test('is the text where nothing is wrong with it', () => {
    expect(printable('288.1 K\n\tand α 🌍')).toBe('288.1 K\n\tand α 🌍');
    expect(printable('a\r\nb\u001b[2J\rc')).toBe('a\nb\\u{1b}[2J\\u{d}c');
  });

  test('is the same value where it is JSON', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(JSON.parse(printableJson(json))).toEqual(JSON.parse(json));
      }),
    );
    expect(JSON.parse(printableJson('"\u{e0001}\u009b"'))).toBe('\u{e0001}\u009b');
  });
});
