import { statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { CannotStart, type Cell, type Command, type Copy, type Sandbox } from '../sandboxes/sandbox.js';
import { UsageError } from '../support/errors.js';

type Startable = Pick<Command, 'argv' | 'environment' | 'results'>;

/** Whether a simulator's commands can be started: seen before the first run, and remembered from runs. */
export class StartCheck {
  private failure: string | undefined;

  constructor(private readonly sandbox: Sandbox) {}

  /**
   * Throws `UsageError` where a command cannot be started, or could not when it was run last: that is no fault of one
   * machine that waiting mends. `commands`: by their keys in the configuration.
   */
  async check(commands: (cell: Cell) => Promise<Record<string, Startable>>): Promise<void> {
    if (this.failure !== undefined) throw new UsageError(`simulator: ${this.failure}`);
    await this.sandbox.use(0, async (cell) => {
      for (const [key, command] of Object.entries(await commands(cell))) {
        const problem = await cell.problemWith(command);
        if (problem !== undefined) throw new UsageError(`simulator.${key}: ${problem}`);
      }
    });
  }

  /** Runs a point, and remembers where its command could not be started. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    try {
      const value = await run();
      this.failure = undefined;
      return value;
    } catch (error) {
      if (error instanceof CannotStart) this.failure = error.message;
      throw error;
    }
  }
}

/** Directories of a run, which a word of a command may mean. */
const runDirectories = /^(?:\.\/)?(?:input|output|previous)\//;

/** The words of a command that name files in the configuration's folder, by their index: the files' whole paths. */
export function filesBeside(command: readonly string[], folder: string | undefined): Map<number, string> {
  if (folder === undefined) return new Map();
  const beside = command.map((word, index): [number, string] | undefined => {
    const isProgramOnPath = index === 0 && !word.includes('/');
    if (isProgramOnPath || /^[-/]/.test(word) || runDirectories.test(word)) return undefined;
    const path = resolve(folder, word);
    return isFile(path) ? [index, path] : undefined;
  });
  return new Map(beside.filter((entry) => entry !== undefined));
}

/** A command for this machine: files in the configuration's folder, and a program by a relative path, by their whole paths. */
export function atHome(command: readonly string[], folder: string | undefined): readonly string[] {
  const files = filesBeside(command, folder);
  return command.map((word, index) => {
    const isRelativeProgram = index === 0 && folder !== undefined && word.includes('/');
    return files.get(index) ?? (isRelativeProgram ? resolve(folder, word) : word);
  });
}

/** Where a file that a command names is copied to, in a cell that does not see this machine's own. */
export function copiesOf(files: ReadonlyMap<number, string>): Map<number, Copy> {
  return new Map([...files].map(([index, from]) => [index, { from, to: `command/${index}/${basename(from)}` }]));
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
