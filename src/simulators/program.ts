import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Cell, Ending, Sandbox } from '../sandboxes/sandbox.js';
import { messageOf } from '../support/errors.js';
import { onDisk, readFirst, writeInstead } from '../support/files.js';
import { failure } from './failure.js';
import type { Attempt, Outcome, Result, Simulator } from './simulator.js';

const logFile = 'fleet_log.txt';
const resultFile = 'result.json';
const mostResultBytes = 1024 * 1024;

const finite = z.number('wants a finite number');

/** No half of a surrogate pair: databases refuse JSON with it. */
const outputName = z
  .string()
  .min(1)
  .max(100)
  .regex(/^\P{Surrogate}*$/u, 'wants a name of whole characters');

const resultSchema = z.strictObject({
  stable: z.boolean('wants true or false'),
  temperature: finite.positive('wants a temperature in K').exactOptional(),
  pressure: finite.nonnegative('wants a pressure in bar').exactOptional(),
  outputs: z.record(outputName, finite).default({}),
  message: z.string().max(500).exactOptional(),
});

/** Any command: it reads `parameters.json`, and writes `result.json` and whatever else is worth keeping. */
export class ProgramSimulator implements Simulator {
  readonly keepsFiles = true;

  constructor(
    private readonly command: readonly string[],
    private readonly timeoutSeconds: number,
    private readonly sandbox: Sandbox,
  ) {}

  get facts(): Record<string, string> {
    return this.sandbox.facts;
  }

  prepare(signal?: AbortSignal): Promise<void> {
    return this.sandbox.prepare(signal);
  }

  close(): Promise<void> {
    return this.sandbox.close();
  }

  run(attempt: Attempt): Promise<Outcome> {
    return this.sandbox.use(attempt.slot, async (cell) => {
      const outcome = await this.runIn(cell, attempt);
      if (outcome.kind === 'error') cell.discard();
      return outcome;
    });
  }

  private async runIn(cell: Cell, { parameters, directories, signal }: Attempt): Promise<Outcome> {
    if (!directories) throw new Error('a program wants directories for its files');
    const { input, output, previous } = directories;
    await onDisk('writing the input of a run', () =>
      writeFile(join(input, 'parameters.json'), JSON.stringify(parameters)),
    );
    await cell.put(
      { from: input, to: 'input' },
      { from: output, to: 'output' },
      ...(previous === undefined ? [] : [{ from: previous, to: 'previous' }]),
    );
    const execution = await cell.execute({
      argv: this.command,
      environment: {
        FLEET_INPUT_DIR: `${cell.directory}/input`,
        FLEET_OUTPUT_DIR: `${cell.directory}/output`,
        ...(previous !== undefined && { FLEET_PREVIOUS_DIR: `${cell.directory}/previous` }),
      },
      timeoutSeconds: this.timeoutSeconds,
      signal,
    });
    await cell.take('output', output);
    await onDisk('writing the log of a run', () => writeInstead(join(output, logFile), execution.log));
    return this.judge(execution, output);
  }

  private async judge({ ending, status, remark, log }: Ending, output: string): Promise<Outcome> {
    if (ending === 'timeout') return failure(`killed after ${this.timeoutSeconds} s without an end`, log, 'timeout');
    if (status !== 0) return failure(remark ?? `exit status ${status}`, log);
    const result = await readResult(join(output, resultFile));
    return typeof result === 'string' ? failure(result, log) : { kind: 'completed', ...result };
  }
}

/** The result that a program left, or what is wrong with it. */
async function readResult(path: string): Promise<Result | string> {
  const text = (await readFirst(path, mostResultBytes + 1))?.toString();
  if (text === undefined) return `it left no ${resultFile}`;
  if (text.length > mostResultBytes) return `its ${resultFile} is larger than ${mostResultBytes} bytes`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return `its ${resultFile} is not JSON: ${messageOf(error)}`;
  }
  const checked = resultSchema.safeParse(value);
  if (checked.success) return checked.data;
  const [issue] = checked.error.issues;
  return `its ${resultFile} is wrong at ${issue?.path.join('.') || 'the top'}: ${issue?.message}`;
}
