import type { Attempt, Outcome, Simulator } from './simulator.js';

interface Range {
  min?: number | undefined;
  max?: number | undefined;
}

/** The configuration's `stable` block: bounds, both inclusive, that a stable point must keep. K and bar. */
export interface StableRule {
  temperature?: Range | undefined;
  pressure?: Range | undefined;
}

const units = { temperature: 'K', pressure: 'bar' } as const;
type Bounded = keyof typeof units;

/** The same simulator, but stable only where the configuration's rule allows it. */
export function narrowed(simulator: Simulator, rule: StableRule): Simulator {
  const bounds = Object.entries(rule).filter(([, range]) => range !== undefined) as [Bounded, Range][];
  if (bounds.length === 0) return simulator;
  return {
    keepsFiles: simulator.keepsFiles,
    get facts() {
      return simulator.facts;
    },
    prepare: (signal) => simulator.prepare(signal),
    run: async (attempt: Attempt) =>
      bounds.reduce((outcome, [name, range]) => narrow(outcome, name, range), await simulator.run(attempt)),
    close: () => simulator.close(),
  };
}

/** A stable verdict holds only inside the bounds; nothing makes an unstable point stable. */
function narrow(outcome: Outcome, name: Bounded, range: Range): Outcome {
  if (outcome.kind === 'error' || !outcome.stable) return outcome;
  const value = outcome[name];
  if (value === undefined) {
    const message = `the simulator gave no ${name}, which the configuration's stable rule needs`;
    return { kind: 'error', errorKind: 'program', message };
  }
  const broken = brokenBound(value, range);
  if (broken === undefined) return outcome;
  return { ...outcome, stable: false, message: `unstable, ${value} ${units[name]} is ${broken} ${units[name]}` };
}

function brokenBound(value: number, { min, max }: Range): string | undefined {
  if (min !== undefined && value < min) return `below ${min}`;
  if (max !== undefined && value > max) return `above ${max}`;
  return undefined;
}
