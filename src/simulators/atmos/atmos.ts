import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Cell, Ending, Sandbox } from '../../sandboxes/sandbox.js';
import { onDisk, readFirst } from '../../support/files.js';
import { StartCheck } from '../commands.js';
import { failure } from '../failure.js';
import type { Attempt, Outcome, Simulator } from '../simulator.js';
import { climaPaths, inputPaths, photochemPaths, readTemplates, stalePaths, type Templates } from './checkout.js';
import { type Climate, judgeClima } from './clima.js';
import { flawOf } from './fortran.js';
import { climaFile, speciesFile } from './inputs.js';
import { fluxGases, judgePhotochem, type PhotochemVerdict, progressOf, showsNaN } from './photochem.js';

/** N2: the program takes it as the rest. H2O: it follows from the temperatures that a run starts with. */
export const speciesWithoutEffect = ['N2', 'H2O'];

const mostProfileBytes = 64 * 1024 * 1024;

export interface AtmosOptions {
  photochem: readonly string[];
  clima: readonly string[];
  climaSteps: number;
  /** Variables of both programs. */
  env?: Readonly<Record<string, string>>;
  /** Longest time of both programs together, s. */
  timeoutSeconds: number;
  /** The search's parameters, which must be species that Atmos knows. */
  names: readonly string[];
}

type Converged = Extract<PhotochemVerdict, { kind: 'converged' }>;

/** What a run starts from, and why not from its parent. */
interface Start {
  photochemProfile: Buffer;
  climaProfile: Buffer;
  coldBecause?: string;
}

/**
 * Atmos: photochemistry, then climate, warm-started from the parent's profiles. Converged is stable; not converged is
 * unstable. Points that differ in the species without effect alone have one result.
 */
export class AtmosSimulator implements Simulator {
  readonly keepsFiles = true;
  private templates: Templates | undefined;
  private readonly startCheck: StartCheck;

  constructor(
    private readonly options: AtmosOptions,
    private readonly sandbox: Sandbox,
  ) {
    this.startCheck = new StartCheck(sandbox);
  }

  get facts(): Record<string, string> {
    return this.sandbox.facts;
  }

  async prepare(signal?: AbortSignal): Promise<void> {
    await this.sandbox.prepare(signal);
    await this.startCheck.check(async (cell) => {
      this.templates ??= await readTemplates(cell, this.options.names);
      const { photochem, clima, env: environment } = this.options;
      const command = (argv: readonly string[], paths: Record<string, string>) => ({
        argv,
        results: Object.values(paths),
        ...(environment && { environment }),
      });
      return { photochem: command(photochem, photochemPaths), clima: command(clima, climaPaths) };
    });
  }

  close(): Promise<void> {
    return this.sandbox.close();
  }

  run(attempt: Attempt): Promise<Outcome> {
    const { templates } = this;
    if (!templates || !attempt.directories)
      throw new Error('Atmos is prepared first, and wants directories for its files');
    const { directories } = attempt;
    return this.sandbox.use(attempt.slot, async (cell) => {
      const run = new AtmosRun(cell, this.options, templates, attempt, directories);
      const outcome = await this.startCheck.during(() => run.outcome());
      if (outcome.kind === 'error') await cell.failed();
      else if (run.endedEarly) cell.discard();
      return outcome;
    });
  }
}

/** One run in one cell. */
class AtmosRun {
  /** Whether a program was killed, and with it what the cell held. */
  endedEarly = false;
  private readonly startedAt = performance.now();

  constructor(
    private readonly cell: Cell,
    private readonly options: AtmosOptions,
    private readonly templates: Templates,
    private readonly attempt: Attempt,
    private readonly directories: NonNullable<Attempt['directories']>,
  ) {}

  async outcome(): Promise<Outcome> {
    const start = await this.start();
    await this.writeInputs(start);
    const outcome = await this.photochem();
    if (outcome.kind === 'error' || start.coldBecause === undefined) return outcome;
    return { ...outcome, message: `${outcome.message}; cold start: ${start.coldBecause}` };
  }

  /** The parent's profiles, if both can be used; otherwise those of a fresh checkout. */
  private async start(): Promise<Start> {
    const { photochemProfile, climaProfile } = this.templates;
    const cold = (coldBecause?: string): Start => ({
      photochemProfile,
      climaProfile,
      ...(coldBecause !== undefined && { coldBecause }),
    });
    const { previous } = this.directories;
    if (previous === undefined) {
      return cold(this.attempt.warm ? 'the parent left no files' : undefined);
    }
    const [photochem, clima] = await onDisk("reading the parent's files", () =>
      Promise.all(['out.dist', 'TempOut.dat'].map((name) => readFirst(join(previous, name), mostProfileBytes))),
    );
    const flaws = { 'out.dist': flawOf(photochem, photochemProfile), 'TempOut.dat': flawOf(clima, climaProfile) };
    const [flaw] = Object.entries(flaws).filter(([, flaw]) => flaw !== undefined);
    if (flaw || !photochem || !clima) return cold(`the parent's ${flaw?.join(' is ')}`);
    return { photochemProfile: photochem, climaProfile: clima };
  }

  /** Everything that a run reads is written anew, and everything that it writes is emptied. */
  private async writeInputs(start: Start): Promise<void> {
    const { parameters } = this.attempt;
    const inputs = {
      'species.dat': speciesFile(this.templates.species, parameters),
      'in.dist': start.photochemProfile,
      'input_clima.dat': climaFile(this.templates.clima, this.options.climaSteps, parameters) ?? '',
      'TempIn.dat': start.climaProfile,
    } satisfies Record<keyof typeof inputPaths, string | Buffer>;
    const { input } = this.directories;
    await onDisk('writing the input of a run', async () => {
      for (const path of stalePaths) await write(join(input, path), '');
      for (const [name, path] of Object.entries(inputPaths)) {
        await write(join(input, path), inputs[name as keyof typeof inputPaths]);
      }
    });
    for (const [name, content] of Object.entries(inputs)) await this.keep(name, content);
    await this.cell.put({ from: input, to: '.' });
  }

  private async photochem(): Promise<Outcome> {
    const { ended, files } = await this.execute('photochem', 'Photo_log.txt', photochemPaths, showsNaN);
    const seconds = this.seconds();
    if (ended.ending === 'timeout') return this.timedOut('photochemistry', ended.log);
    if (ended.ending === 'stopped') return nonconverged(stoppedAt(ended.log), 'lost its numbers');
    const output = { ...ended, report: files['out.out'], profile: files['out.dist'] };
    const verdict = judgePhotochem(output, this.templates.photochemProfile);
    switch (verdict.kind) {
      case 'error':
        return failure(withRemark(verdict.sentence, ended), ended.log);
      case 'nonconverged':
        return nonconverged(verdict.iterations, 'did not converge');
      case 'converged':
        return this.clima(verdict, seconds);
    }
  }

  private async clima(photochem: Converged, photochemSeconds: number): Promise<Outcome> {
    const { ended, files } = await this.execute('clima', 'Clima_log.txt', climaPaths);
    const climaSeconds = this.seconds() - photochemSeconds;
    if (ended.ending === 'timeout') return this.timedOut('the climate program', ended.log);
    const output = { ...ended, report: files['clima_allout.tab'], profile: files['TempOut.dat'] };
    const verdict = judgeClima(output, this.options.climaSteps, this.templates.climaProfile);
    if (verdict.kind === 'error') return failure(withRemark(verdict.sentence, ended), ended.log);
    return converged(photochem, verdict, { photochem_seconds: photochemSeconds, clima_seconds: climaSeconds });
  }

  /** Runs a program, and keeps its log and the files that it left at those paths. */
  private async execute<Name extends string>(
    program: 'photochem' | 'clima',
    logName: string,
    paths: Record<Name, string>,
    stopWhen?: (line: string) => boolean,
  ): Promise<{ ended: Ending; files: Partial<Record<Name, Buffer>> }> {
    const argv = this.options[program];
    const timeoutSeconds = Math.max(this.options.timeoutSeconds - this.seconds(), 0);
    const { signal } = this.attempt;
    const results = Object.values<string>(paths);
    const { files: left, ...ended } = await this.cell.execute({
      argv,
      timeoutSeconds,
      signal,
      results,
      ...(this.options.env && { environment: this.options.env }),
      ...(stopWhen && { stopWhen }),
    });
    this.endedEarly ||= ended.ending !== 'exited';
    await this.keep(logName, ended.log);
    const files: Partial<Record<Name, Buffer>> = {};
    for (const [name, path] of Object.entries(paths) as [Name, string][]) {
      const content = left.get(path);
      if (!content) continue;
      files[name] = content;
      await this.keep(name, content);
    }
    return { ended, files };
  }

  private keep(name: string, content: string | Buffer): Promise<void> {
    return onDisk('writing the files of a run', () => writeFile(join(this.directories.output, name), content));
  }

  private timedOut(program: string, log: string): Outcome {
    return failure(`${program} was killed: the run took longer than ${this.options.timeoutSeconds} s`, log, 'timeout');
  }

  private seconds(): number {
    return (performance.now() - this.startedAt) / 1000;
  }
}

async function write(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
}

function withRemark(sentence: string, { remark }: Ending): string {
  return remark === undefined ? sentence : `${sentence}: ${remark}`;
}

/** The step that a run was stopped at; more may have been printed before its end. */
function stoppedAt(log: string): number {
  const line = log.split('\n').find(showsNaN);
  return (line === undefined ? undefined : progressOf(line)?.step) ?? 0;
}

function nonconverged(iterations: number, why: string): Outcome {
  const message = `unstable, photochemistry ${why} (step ${iterations})`;
  return { kind: 'completed', stable: false, outputs: { photochem_iterations: iterations }, message };
}

function converged({ iterations, fluxes }: Converged, climate: Climate, seconds: Record<string, number>): Outcome {
  const { temperature, pressure, divergence, change } = climate;
  const fluxOutputs = fluxGases.map((gas) => [`flux_${gas}`, fluxes.get(gas) as number] as const);
  return {
    kind: 'completed',
    stable: true,
    temperature,
    pressure,
    outputs: {
      photochem_iterations: iterations,
      ...Object.fromEntries(fluxOutputs),
      clima_divergence: divergence,
      clima_change: change,
      ...Object.fromEntries(Object.entries(seconds).map(([name, value]) => [name, Math.round(value * 1000) / 1000])),
    },
    message: `stable, ${temperature} K`,
  };
}
