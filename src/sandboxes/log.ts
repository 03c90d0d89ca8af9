import { shorten } from '../support/text.js';

const headBytes = 64 * 1024;
const tailBytes = 448 * 1024;
const lineLength = 4096;

/** What a command printed, bounded: its beginning and its end are kept, and whole lines are shown as they come. */
export class OutputLog {
  private readonly head = Buffer.alloc(headBytes);
  private readonly tail = Buffer.alloc(tailBytes);
  private size = 0;
  private line = '';

  constructor(private readonly onLine?: (line: string) => void) {}

  add(chunk: Buffer): void {
    if (this.onLine) this.split(chunk.toString('latin1'));
    const toHead = this.size < headBytes ? chunk.copy(this.head, this.size) : 0;
    const rest = chunk.subarray(Math.max(toHead, chunk.length - tailBytes));
    const position = (this.size + chunk.length - rest.length - headBytes) % tailBytes;
    const copied = rest.copy(this.tail, Math.max(position, 0));
    rest.copy(this.tail, 0, copied);
    this.size += chunk.length;
  }

  get text(): string {
    const begin = this.head.subarray(0, Math.min(this.size, headBytes)).toString();
    const beyond = this.size - headBytes;
    if (beyond <= 0) return begin;
    if (beyond <= tailBytes) return begin + this.tail.subarray(0, beyond).toString();
    const seam = beyond % tailBytes;
    const end = Buffer.concat([this.tail.subarray(seam), this.tail.subarray(0, seam)]).toString();
    return `${begin}\n[${beyond - tailBytes} bytes left out]\n${end}`;
  }

  private split(text: string): void {
    const lines = (this.line + text).split('\n');
    this.line = (lines.pop() ?? '').slice(0, lineLength);
    for (const line of lines) this.onLine?.(line);
  }
}

/** The last lines of a log, for an error message: no control characters, and no longer than a message should be. */
export function lastLines(log: string, count = 12): string {
  return log
    .slice(-8192)
    .split(/\r?\n|\r/)
    .map((line) => line.replaceAll(/\p{C}/gu, '').trimEnd())
    .filter((line) => line !== '')
    .slice(-count)
    .map((line) => shorten(line, 200))
    .join('\n');
}
