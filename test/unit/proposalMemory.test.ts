import { describe, expect, test } from 'vitest';
import { ProposalMemory } from '../../src/roles/proposalMemory.js';

describe('the memory of what was proposed', () => {
  test('holds for one generation', () => {
    const memory = new ProposalMemory();
    memory.of('one').add(['a', 'b']);
    expect(memory.of('one').has('a')).toBe(true);
    expect(memory.of('another').has('a')).toBe(false);
    expect(memory.of('one').has('a')).toBe(false);
  });

  test('is bounded: the oldest go first', () => {
    const memory = new ProposalMemory(2);
    memory.of('one').add(['a', 'b', 'c']);
    expect(['a', 'b', 'c'].map((code) => memory.has(code))).toEqual([false, true, true]);
  });
});
