import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pause } from '../support/bell.js';
import { Unavailable } from '../support/errors.js';
import { oneLine } from '../support/text.js';

const graceMs = 8000;

/** Processes that one command starts, and ends with itself, the latest first. */
export class Children {
  private readonly started: { name: string; child: ChildProcess }[] = [];
  /** Rejects when one of them ends before it was asked to. */
  readonly failure: Promise<never>;
  private fail: (error: Error) => void = () => undefined;
  private ending = false;

  constructor(
    /** Where each writes its log. */
    private readonly directory: string,
    private readonly env: NodeJS.ProcessEnv,
  ) {
    this.failure = new Promise<never>((_, reject) => {
      this.fail = reject;
    });
    this.failure.catch(() => undefined);
  }

  /** Starts a role's own entrypoint, with a channel: should this command vanish, the role sees it close and ends. */
  role(role: string, args: readonly string[], name = role): void {
    const entrypoint = fileURLToPath(new URL(`../bin/${role}.js`, import.meta.url));
    this.start(name, process.execPath, [entrypoint, ...args], ['ipc']);
  }

  /** Starts a program in a process group of its own: Ctrl-C reaches this command alone, which ends all in order. */
  start(name: string, program: string, args: readonly string[], channel: 'ipc'[] = []): void {
    const log = join(this.directory, `${name}.log`);
    const output = openSync(log, 'w');
    const stdio: StdioOptions = ['ignore', output, output, ...channel];
    const child = spawn(program, args, { env: this.env, stdio, detached: true });
    this.started.push({ name, child });
    child.once('error', (error) => this.fail(new Unavailable(`${name} cannot be started: ${error.message}`)));
    child.once('exit', (status, signal) => {
      if (this.ending) return;
      const last = lastLine(log);
      const said = last === '' ? '' : `: ${last}`;
      this.fail(new Unavailable(`${name} ended early (${signal ?? `status ${status}`})${said}. Its log: ${log}`));
    });
  }

  /** Asks all to end, the latest first, and sees that none is left. */
  async end(): Promise<void> {
    this.ending = true;
    const [first, ...others] = this.started;
    await Promise.all(others.map(({ child }) => endOne(child)));
    if (first) await endOne(first.child);
  }
}

/** The last thing that a process wrote to its log: a sentence, or the message of a line of JSON. */
function lastLine(log: string): string {
  const line = readFileSync(log, 'utf8').trimEnd().split('\n').at(-1) ?? '';
  try {
    return oneLine(String(JSON.parse(line).message));
  } catch {
    return oneLine(line);
  }
}

async function endOne(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const patience = new AbortController();
  await Promise.race([ended, pause(graceMs, patience.signal).then(() => child.kill('SIGKILL'))]);
  await ended;
  patience.abort();
}
