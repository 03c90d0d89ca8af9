import { createInterface } from 'node:readline';
import { oneLine, printable, printableJson } from '../support/text.js';

/** Says something to whoever reads standard output. Whatever is stored in it, nothing in it drives a terminal. */
export function say(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** One JSON value, for machines. */
export function sayJson(value: unknown): void {
  process.stdout.write(`${printableJson(JSON.stringify(value))}\n`);
}

/** Says what went wrong, on standard error. */
export function complain(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}

/** A line that the next one replaces, where somebody looks; elsewhere one line after the other. */
export function sayProgress(line: string): void {
  process.stdout.write(process.stdout.isTTY ? `\r\u001b[K${oneLine(line)}` : `${oneLine(line)}\n`);
}

export function endProgress(): void {
  if (process.stdout.isTTY) process.stdout.write('\n');
}

let outputClosed = false;

/** Whether nobody reads the output any more. */
export function isOutputClosed(): boolean {
  return outputClosed;
}

/**
 * Whoever reads the output may close it before all is written (`| head -1`), which ends a command quietly: one that listens to
 * SIGTERM as that does, any other at once.
 */
export function endWithOutput(): void {
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    if (outputClosed) return;
    outputClosed = true;
    if (process.listenerCount('SIGTERM') > 0) process.emit('SIGTERM', 'SIGTERM');
    else process.exit();
  };
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
}

/** Whether a person agrees; true where none is there to be asked. */
export async function isAgreedTo(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return true;
  const dialogue = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise<string>((resolve) => {
    dialogue.question(`${printable(question)} [y/N] `, resolve);
    dialogue.once('close', () => resolve(''));
  });
  dialogue.close();
  return /^y(es)?$/i.test(answer.trim());
}
