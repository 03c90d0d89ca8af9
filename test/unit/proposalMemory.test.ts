import { describe, expect, test } from 'vitest';
import { ProposalMemory } from '../../src/roles/worker/proposalMemory.js';
import { at } from '../support/line.js';

describe('the memory of what was proposed', () => {
  test('holds for one generation', () => {
    const memory = new ProposalMemory();
    memory.of('one').add([at(1), at(2)]);
    expect(memory.of('one').has(at(1))).toBe(true);
    expect(memory.of('another').has(at(1))).toBe(false);
    expect(memory.of('one').has(at(1))).toBe(false);
  });

  test('is bounded: of two halves the older goes', () => {
    const memory = new ProposalMemory(4);
    for (const x of [1, 2, 3, 4, 5]) memory.add([at(x)]);
    expect([1, 2, 3, 4, 5].map((x) => memory.has(at(x)))).toEqual([false, false, true, true, true]);
  });
});
