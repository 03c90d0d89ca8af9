import { DockerSandbox } from '../sandboxes/docker/sandbox.js';
import { LocalSandbox } from '../sandboxes/local.js';
import type { Sandbox } from '../sandboxes/sandbox.js';
import type { Parameter } from '../space/space.js';
import { AtmosSimulator, speciesWithoutEffect } from './atmos/atmos.js';
import { tooFine } from './atmos/inputs.js';
import { atHome, copiesOf, filesBeside } from './commands.js';
import { type ProgramOptions, ProgramSimulator } from './program.js';
import { ReferenceSimulator } from './reference.js';
import type { ProgramSettings, SandboxSettings, SimulatorSettings } from './settings.js';
import type { Simulator } from './simulator.js';
import { narrowed, type StableRule } from './stable.js';

/** What a simulator needs to know of the rest of the configuration. */
export interface RunSettings {
  /** Where the configuration lies: a program's command may name files in it. */
  folder?: string;
  /** Longest time of a run, s. */
  timeoutSeconds: number;
  /** The names of the search's parameters. */
  parameters?: readonly string[];
  /** The configuration's `stable` block. */
  stable?: StableRule | undefined;
  /** Told what people may want to know meanwhile, e.g. how far the pull of an image is. */
  note?: (sentence: string) => void;
}

/** The simulator that the configuration names. Nothing is started before `prepare`. */
export function createSimulator(settings: SimulatorSettings, run: RunSettings): Simulator {
  const simulator = ofKind(settings, run);
  return narrowed(simulator, run.stable ?? {});
}

/** What is odd about a search with that simulator, for people to know at its start. */
export function oddities(settings: SimulatorSettings, parameters: readonly Parameter[]): string[] {
  if (settings.kind !== 'atmos') return [];
  const stepped = parameters.filter(({ step = [] }) => step.some(({ by }) => by > 0));
  return stepped.flatMap((parameter) => {
    if (!speciesWithoutEffect.includes(parameter.name)) return tooFine(parameter);
    return [`${parameter.name} does not reach the physics of Atmos: points that differ in it alone have one result`];
  });
}

function ofKind(settings: SimulatorSettings, run: RunSettings): Simulator {
  const { timeoutSeconds, parameters = [], note } = run;
  switch (settings.kind) {
    case 'reference':
      return new ReferenceSimulator(settings);
    case 'program':
      return new ProgramSimulator({ ...commandOf(settings, run), timeoutSeconds }, sandboxOf(settings.sandbox, note));
    case 'atmos':
      return new AtmosSimulator({ ...settings, timeoutSeconds, names: parameters }, sandboxOf(settings.sandbox, note));
  }
}

function sandboxOf(settings: SandboxSettings, note?: (sentence: string) => void): Sandbox {
  const checkout = 'directory' in settings ? settings.directory : undefined;
  if (settings.kind === 'docker') return new DockerSandbox(settings, checkout, note);
  for (const name of settings.passEnvironment) {
    if (process.env[name] === undefined) note?.(`sandbox.passEnvironment: ${name} is not set here`);
  }
  return new LocalSandbox(settings, checkout);
}

/** The command with the files that it names in the configuration's folder: where they are, or where they are copied to. */
function commandOf(settings: ProgramSettings, { folder }: RunSettings): Omit<ProgramOptions, 'timeoutSeconds'> {
  const { command, env, sandbox } = settings;
  if (sandbox.kind === 'local') return { command: atHome(command, folder), env };
  const files = sandbox.workdir === undefined ? filesBeside(command, folder) : new Map();
  return { command, env, copies: copiesOf(files) };
}
