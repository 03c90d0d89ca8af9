import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lastLines, OutputLog } from '../../src/sandboxes/log.js';

const kept = 512 * 1024;

describe('the log of a command', () => {
  it('keeps all of a short output, however it comes in pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme-ascii' })), (pieces) => {
        const log = new OutputLog();
        for (const piece of pieces) log.add(Buffer.from(piece));
        expect(log.text).toBe(pieces.join(''));
      }),
    );
  });

  it('keeps the beginning and the end of a long one, however it comes in pieces', () => {
    const whole = Array.from({ length: 200_000 }, (_, line) => `line ${line}\n`).join('');
    const leftOut = whole.length - kept;
    const expected = `${whole.slice(0, 65536)}\n[${leftOut} bytes left out]\n${whole.slice(-(kept - 65536))}`;
    for (const size of [1013, 65536, 70_001, 1_000_000, whole.length]) {
      const log = new OutputLog();
      for (let at = 0; at < whole.length; at += size) log.add(Buffer.from(whole.slice(at, at + size)));
      expect(log.text === expected, `pieces of ${size}`).toBe(true);
    }
  });

  it('shows whole lines as they come', () => {
    const lines: string[] = [];
    const log = new OutputLog((line) => lines.push(line));
    for (const piece of ['first\nsec', 'ond\n\nlast']) log.add(Buffer.from(piece));
    expect(lines).toEqual(['first', 'second', '']);
  });

  it('gives last lines without blanks and control characters', () => {
    expect(lastLines('one\n\n\u001b[31mtwo\u0000\r\nthree   \n', 2)).toBe('[31mtwo\nthree');
  });
});
