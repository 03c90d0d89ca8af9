import type { Attempt } from '../../src/simulators/simulator.js';

let attempts = 0;

/** An attempt at some point; what matters to a test is given. */
export function attemptWith(given: Partial<Attempt>): Attempt {
  return {
    parameters: { O2: 0.21, N2: 0.79 },
    code: '0.21,0.79',
    hash: '0'.repeat(32),
    warm: false,
    token: `attempt-${attempts++}`,
    slot: 0,
    signal: new AbortController().signal,
    ...given,
  };
}
