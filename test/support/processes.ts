import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Child, type Ending } from './child.js';
import { temporaryFolder } from './folder.js';
import { program } from './program.js';
import { atEnd } from './scope.js';

export interface RoleOptions {
  /** The configuration, written to a file that the role is told of; or such a file's path. */
  config?: object | string;
  env?: Readonly<Record<string, string>>;
  /** Where it runs: relative paths of the configuration lead from here. Default: a folder of its own. */
  cwd?: string;
}

/** One line of the log. */
export interface LogLine {
  severity: string;
  message: string;
  [field: string]: unknown;
}

/** Starts the program's `bin/<role>.js`. It is killed when its test (or file) ends; a process that it leaves behind fails the test. */
export async function startRole(role: string, args: readonly string[] = [], options: RoleOptions = {}): Promise<Role> {
  const folder = temporaryFolder();
  const mark = join(folder, 'tmp');
  mkdirSync(mark);
  const command = [join(program.folder, 'dist', 'bin', `${role}.js`), ...args];
  const env = { ...ownEnvironment(), TMPDIR: mark, ...configuration(options.config, folder), ...options.env };
  const child = await Child.start(process.execPath, command, { cwd: options.cwd ?? folder, env });
  const started = new Role(`${role} ${args.join(' ')}`.trim(), child, mark);
  atEnd(() => started.close());
  return started;
}

/** Starts a role and waits for its end. */
export async function runRole(role: string, args: readonly string[] = [], options: RoleOptions = {}) {
  const { child } = await startRole(role, args, options);
  const ending = await child.exited;
  return { ...ending, stdout: child.stdout, stderr: child.stderr };
}

export class Role {
  readonly exited: Promise<Ending>;
  private killed = false;

  constructor(
    readonly name: string,
    readonly child: Child,
    /** The role's own temporary folder: it stands in the environment of each process that the role starts. */
    private readonly mark: string,
  ) {
    this.exited = child.exited;
  }

  get pid(): number {
    return this.child.pid;
  }

  /** Whether its process has ended. */
  get ended(): boolean {
    return !this.child.running;
  }

  get stdout(): string {
    return this.child.stdout;
  }

  get stderr(): string {
    return this.child.stderr;
  }

  /** What it has logged so far. */
  get log(): LogLine[] {
    return this.stderr.split('\n').flatMap((text) => parseLine(text) ?? []);
  }

  /** The first log line, past or to come, whose message matches or that the predicate accepts. */
  async line(wanted: RegExp | ((line: LogLine) => boolean)): Promise<LogLine> {
    const accepts = wanted instanceof RegExp ? ({ message }: LogLine) => wanted.test(message) : wanted;
    const matches = (text: string) => {
      const line = parseLine(text);
      return line !== undefined && accepts(line);
    };
    return parseLine(await this.child.line(matches, `a log line like ${wanted}`)) as LogLine;
  }

  /** Sends a signal. After SIGKILL, what the role had started may live on: it is killed at the end without complaint. */
  kill(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL') this.killed = true;
    this.child.signal(signal);
  }

  /** Kills the role, if it runs, and what it left behind; throws if it ended by itself and left a process behind. */
  async close(): Promise<void> {
    const interrupted = this.killed || this.child.running;
    await this.child.end();
    const left = processesMarked(this.mark);
    for (const { pid } of left) kill(pid);
    if (left.length === 0 || interrupted) return;
    throw new Error(`${this.name} ended and left behind: ${left.map(({ command }) => command).join(', ')}`);
  }
}

/** The environment without what would lead a role to a Redis or database of the machine. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(REDIS_|DATABASE_|ATMOS_FLEET_)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

function configuration(config: object | string | undefined, folder: string): NodeJS.ProcessEnv {
  if (config === undefined) return {};
  if (typeof config === 'string') return { ATMOS_FLEET_CONFIG: config };
  const path = join(folder, 'atmos-fleet.yaml');
  writeFileSync(path, stringify(config));
  return { ATMOS_FLEET_CONFIG: path };
}

function parseLine(text: string): LogLine | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as LogLine;
  } catch {
    return undefined; // Not of the log, or not yet written to its end.
  }
}

/** The running processes that have a text in their environment; none where the system has no /proc. */
function processesMarked(mark: string): { pid: number; command: string }[] {
  const ids = readProc('').filter((name) => /^\d+$/.test(name));
  return ids.flatMap((id) => {
    if (!readFile(`${id}/environ`).includes(mark)) return [];
    return { pid: Number(id), command: readFile(`${id}/cmdline`).replaceAll('\0', ' ').trim() };
  });
}

function readProc(path: string): string[] {
  try {
    return readdirSync(join('/proc', path));
  } catch {
    return [];
  }
}

/** Empty where the process has ended meanwhile. */
function readFile(path: string): string {
  try {
    return readFileSync(join('/proc', path), 'utf8');
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself meanwhile.
  }
}
