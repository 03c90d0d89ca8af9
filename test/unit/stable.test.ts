import { describe, expect, it } from 'vitest';
import type { Outcome } from '../../src/simulators/simulator.js';
import { narrowed, type StableRule } from '../../src/simulators/stable.js';
import { attemptWith } from '../support/attempt.js';

const rule: StableRule = { temperature: { min: 273.15, max: 373.15 }, pressure: { max: 2 } };

const completed = (stable: boolean, temperature: number, pressure = 1): Outcome => ({
  kind: 'completed',
  stable,
  temperature,
  pressure,
  outputs: {},
});

/** What the rule makes of an outcome. */
function under(rule: StableRule, outcome: Outcome): Promise<Outcome> {
  const simulator = {
    keepsFiles: false,
    facts: {},
    prepare: async () => {},
    run: async () => outcome,
    close: async () => {},
  };
  return narrowed(simulator, rule).run(attemptWith({}));
}

describe('the stable rule', () => {
  it('keeps a stable verdict inside the bounds, ends included', async () => {
    for (const temperature of [273.15, 300, 373.15]) {
      expect(await under(rule, completed(true, temperature))).toEqual(completed(true, temperature));
    }
  });

  it('takes it away outside, and says why', async () => {
    expect(await under(rule, completed(true, 273.14))).toMatchObject({
      stable: false,
      message: 'unstable, 273.14 K is below 273.15 K',
    });
    expect(await under(rule, completed(true, 373.16))).toMatchObject({ stable: false, message: /above 373.15 K/ });
    expect(await under(rule, completed(true, 300, 3))).toMatchObject({
      stable: false,
      message: /3 bar is above 2 bar/,
    });
  });

  it('never makes an unstable point stable, nor touches an error', async () => {
    expect(await under(rule, completed(false, 300))).toEqual(completed(false, 300));
    const error: Outcome = { kind: 'error', errorKind: 'timeout', message: 'killed' };
    expect(await under(rule, error)).toBe(error);
  });

  it('calls a stable verdict without the number an error of the program', async () => {
    const outcome: Outcome = { kind: 'completed', stable: true, outputs: {} };
    expect(await under(rule, outcome)).toMatchObject({ kind: 'error', errorKind: 'program' });
    expect(await under({}, outcome)).toBe(outcome);
  });
});
