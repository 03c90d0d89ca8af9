import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Cell, Copy, Ending, Sandbox } from '../sandboxes/sandbox.js';
import { formatNumber } from '../space/decimal.js';
import type { Dictionary } from '../space/space.js';
import { Unstorable } from '../support/errors.js';
import { onDisk, removeDirectory, writeInstead } from '../support/files.js';
import { StartCheck } from './commands.js';
import { failure } from './failure.js';
import { noResult, readResult, resultFile } from './result.js';
import type { Attempt, Outcome, Simulator } from './simulator.js';

const logFile = 'fleet_log.txt';

export interface ProgramOptions {
  command: readonly string[];
  /** Words of the command, by index, that name files to be copied into each run. */
  copies?: ReadonlyMap<number, Copy>;
  /** Variables beside those of a run. */
  env?: Readonly<Record<string, string>>;
  timeoutSeconds: number;
}

/** Any command: it reads `parameters.json`, and writes `result.json` and whatever else is worth keeping. */
export class ProgramSimulator implements Simulator {
  readonly keepsFiles = true;

  private readonly startCheck: StartCheck;

  constructor(
    private readonly options: ProgramOptions,
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
      await cell.put(...this.copies.values());
      return { command: { argv: this.argvIn(cell), environment: this.options.env } };
    });
  }

  close(): Promise<void> {
    return this.sandbox.close();
  }

  run(attempt: Attempt): Promise<Outcome> {
    return this.sandbox.use(attempt.slot, async (cell) => {
      const outcome = await this.startCheck.during(() => this.runIn(cell, attempt));
      if (outcome.kind === 'error') await cell.failed();
      return outcome;
    });
  }

  /** The command's files, by the index of the word that names each. */
  private get copies(): ReadonlyMap<number, Copy> {
    return this.options.copies ?? new Map();
  }

  private argvIn({ directory }: Cell): string[] {
    return this.options.command.map((word, index) => {
      const copy = this.copies.get(index);
      return copy ? `${directory}/${copy.to}` : word;
    });
  }

  private async runIn(cell: Cell, { parameters, directories, signal }: Attempt): Promise<Outcome> {
    if (!directories) throw new Error('a program wants directories for its files');
    const { input, output, previous } = directories;
    await onDisk('writing the input of a run', () =>
      writeFile(join(input, 'parameters.json'), parametersJson(parameters)),
    );
    await cell.put(
      { from: input, to: 'input' },
      { from: output, to: 'output' },
      ...this.copies.values(),
      ...(previous === undefined ? [] : [{ from: previous, to: 'previous' }]),
    );
    const execution = await cell.execute({
      argv: this.argvIn(cell),
      environment: {
        ...this.options.env,
        FLEET_INPUT_DIR: `${cell.directory}/input`,
        FLEET_OUTPUT_DIR: `${cell.directory}/output`,
        ...(previous !== undefined && { FLEET_PREVIOUS_DIR: `${cell.directory}/previous` }),
      },
      timeoutSeconds: this.options.timeoutSeconds,
      signal,
    });
    const refusal = await taken(cell, output);
    await onDisk('writing the log of a run', () => writeInstead(join(output, logFile), execution.log));
    return refusal === undefined ? this.judge(cell, execution, output) : failure(refusal, execution.log);
  }

  private async judge(cell: Cell, { ending, status, remark, log }: Ending, output: string): Promise<Outcome> {
    if (ending === 'timeout')
      return failure(`killed after ${this.options.timeoutSeconds} s without an end`, log, 'timeout');
    if (status !== 0) return failure(remark ?? `exit status ${status}`, log);
    const result = (await readResult(join(output, resultFile))) ?? noResult(await cell.kindOf(`output/${resultFile}`));
    return typeof result === 'string' ? failure(result, log) : { kind: 'completed', ...result };
  }
}

/** JSON in which each number has a fraction or an exponent, so that no language reads an integer: `{"a":2.0}`. */
function parametersJson(parameters: Dictionary): string {
  const entries = Object.entries(parameters).map(([name, value]) => `${JSON.stringify(name)}:${formatNumber(value)}`);
  return `{${entries.join(',')}}`;
}

/** Takes what a program left into a directory; nothing of what cannot be kept, and the answer is why. */
async function taken(cell: Cell, output: string): Promise<string | undefined> {
  try {
    await cell.take('output', output);
    return undefined;
  } catch (error) {
    if (!(error instanceof Unstorable)) throw error;
    await onDisk('removing the output of a run', async () => {
      await removeDirectory(output);
      await mkdir(output);
    });
    return error.message;
  }
}
