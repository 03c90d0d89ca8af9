import { OutputLog } from './log.js';
import type { Command, Ending } from './sandbox.js';

const longestTimer = 2 ** 31 - 1;

/** Follows one command: keeps what it printed, and has it killed when its time is up, on abort, or when told to stop. */
export class Watch {
  readonly log: OutputLog;
  private early: 'timeout' | 'stopped' | 'aborted' | undefined;
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly command: Command,
    private readonly kill: () => void,
  ) {
    const { stopWhen, timeoutSeconds, signal } = command;
    this.log = new OutputLog(stopWhen && ((line) => stopWhen(line) && this.end('stopped')));
    this.timer = setTimeout(() => this.end('timeout'), Math.min(timeoutSeconds * 1000, longestTimer));
    signal.addEventListener('abort', this.onAbort);
    if (signal.aborted) this.onAbort();
  }

  /** Whether the command was killed from here. */
  get killed(): boolean {
    return this.early !== undefined;
  }

  /** What to tell of a command that has ended. Throws the signal's reason if that is why. */
  ended(status: number, remark?: string): Ending {
    if (this.early === 'aborted') throw this.command.signal.reason;
    return { ending: this.early ?? 'exited', status, log: this.log.text, ...(remark !== undefined && { remark }) };
  }

  close(): void {
    clearTimeout(this.timer);
    this.command.signal.removeEventListener('abort', this.onAbort);
  }

  private readonly onAbort = (): void => this.end('aborted');

  private end(why: 'timeout' | 'stopped' | 'aborted'): void {
    if (this.early) return;
    this.early = why;
    this.kill();
  }
}
