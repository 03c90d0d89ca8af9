import { LocalSandbox } from '../sandboxes/local.js';
import type { Sandbox } from '../sandboxes/sandbox.js';
import { UsageError } from '../support/errors.js';
import { ProgramSimulator } from './program.js';
import { ReferenceSimulator } from './reference.js';
import type { SandboxSettings, SimulatorSettings } from './settings.js';
import type { Simulator } from './simulator.js';
import { narrowed, type StableRule } from './stable.js';

/** What a simulator needs to know of the rest of the configuration. */
export interface RunSettings {
  /** Longest time of a run, s. */
  timeoutSeconds: number;
  /** The configuration's `stable` block. */
  stable?: StableRule | undefined;
}

/** The simulator that the configuration names. Nothing is started before `prepare`. */
export function createSimulator(settings: SimulatorSettings, run: RunSettings): Simulator {
  const simulator = ofKind(settings, run);
  return narrowed(simulator, run.stable ?? {});
}

function ofKind(settings: SimulatorSettings, { timeoutSeconds }: RunSettings): Simulator {
  switch (settings.kind) {
    case 'reference':
      return new ReferenceSimulator(settings);
    case 'program':
      return new ProgramSimulator(settings.command, timeoutSeconds, sandboxOf(settings.sandbox));
    case 'atmos':
      throw new UsageError('simulator.kind: atmos is not built yet');
  }
}

function sandboxOf(settings: SandboxSettings): Sandbox {
  const checkout = 'directory' in settings ? settings.directory : undefined;
  if (settings.kind === 'local') return new LocalSandbox(settings.scratch, checkout);
  throw new UsageError('sandbox.kind: docker is not built yet');
}
