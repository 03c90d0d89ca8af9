import { fileURLToPath } from 'node:url';
import { type Role, startRole } from '../support/processes.js';
import { atEnd } from '../support/scope.js';
import type { TestSearch } from './search.js';

const model = fileURLToPath(new URL('model.mjs', import.meta.url));

/** Real processes that work on one search: whichever ends, a new one takes its place, as on a cluster. */
export class Fleet {
  private readonly members: { role: string; args: string[]; process: Role }[] = [];
  private readonly past: Role[] = [];
  private over = false;

  constructor(
    private readonly search: TestSearch,
    private readonly shape: string,
  ) {
    atEnd(() => {
      this.over = true;
    });
  }

  async start(role: string, args: string[] = []): Promise<void> {
    const process = await this.startProcess(role, args);
    const member = { role, args, process };
    this.members.push(member);
    const goOn = () =>
      member.process.exited.then(async () => {
        if (this.over) return;
        this.past.push(member.process);
        member.process = await this.startProcess(role, args);
        goOn();
      });
    goOn();
  }

  /** Processes of a role, or of all. */
  of(role?: string): Role[] {
    return this.members.filter((member) => role === undefined || member.role === role).map(({ process }) => process);
  }

  /** Ended by themselves: neither by a signal nor because they were asked to. */
  get gaveUp(): string[] {
    return this.past.flatMap(({ name, stderr }) =>
      /^(?!\{).*Error/m.test(stderr) ? [`${name}: ${stderr.slice(-2000)}`] : [],
    );
  }

  /** Leases that masters saw expire. */
  get expired(): number {
    const logs = [...this.past, ...this.of()].flatMap(({ log }) => log);
    return logs.reduce((sum, { message }) => sum + Number(/^(\d+) leases expired/.exec(message)?.[1] ?? 0), 0);
  }

  async end(): Promise<void> {
    this.over = true;
    await Promise.all(this.of().map((process) => process.close()));
  }

  private startProcess(role: string, args: string[]): Promise<Role> {
    const env = { NODE_OPTIONS: `--import=${model}`, SHAPE: this.shape, RUNS: this.search.runsFile };
    return startRole(role, args, { config: this.search.configPath, env, cwd: this.search.folder });
  }
}
