import { Unstorable } from '../support/errors.js';
import { everythingBelow, textOf } from '../support/files.js';

/** What a run may leave. */
export interface OutputLimits {
  /** Most bytes of all its files together, as their sizes say: holes count. */
  outputBytes: number;
  /** Most files and directories. */
  outputFiles: number;
}

/**
 * Longest path of a file below a run's directory, bytes: with a search's name, a hash and an attempt before it, it fits into a
 * name in Cloud Storage (1,024 bytes).
 */
export const maxPathBytes = 700;

/** Counts what a run left against its limits, wherever it is read from. */
export class OutputMeter {
  private files = 0;
  private bytes = 0;

  constructor(private readonly limits: OutputLimits) {}

  /** Counts a file or a directory, by its path in the run's output. Throws `Unstorable` where it is one too many, or cannot be stored. */
  add(path: Buffer, bytes: number): void {
    const { outputBytes, outputFiles } = this.limits;
    this.files += 1;
    this.bytes += bytes;
    if (textOf(path) === undefined) {
      throw new Unstorable(`it left a file whose name is not UTF-8: '${shown(path)}'`);
    }
    if (path.length > maxPathBytes) {
      throw new Unstorable(`it left a path of more than ${maxPathBytes} bytes: '${shown(path)}'`);
    }
    if (this.files > outputFiles) {
      throw new Unstorable(`it left more than ${outputFiles} files (simulator.sandbox.outputFiles)`);
    }
    if (this.bytes > outputBytes) {
      throw new Unstorable(`it left more than ${outputBytes} bytes of files (simulator.sandbox.outputBytes)`);
    }
  }
}

/** Sees that what a run left in a directory of this machine can be kept. Throws `Unstorable` with a sentence where it cannot. */
export async function checkOutput(directory: string, limits: OutputLimits): Promise<void> {
  const meter = new OutputMeter(limits);
  for await (const { path, bytes } of everythingBelow(directory)) meter.add(path, bytes);
}

/** The beginning of a name, with bytes that are no printable ASCII as `\xHH`. */
function shown(path: Buffer): string {
  const text = path
    .subarray(0, 80)
    .toString('latin1')
    .replaceAll(/[^ -~]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return path.length > 80 ? `${text}…` : text;
}
