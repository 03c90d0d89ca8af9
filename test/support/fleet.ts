import { expect, onTestFailed } from 'vitest';
import { connectDatabase } from '../../src/ledger/connect.js';
import type { Status } from '../../src/view/status.js';
import { temporaryFolder } from './folder.js';
import { type Role, runRole, startRole } from './processes.js';

/** A configuration as its file has it; a fleet adds what is missing. */
export interface FleetConfig {
  name: string;
  parameters: Record<string, object>;
  redis: { url: string };
  database: { url: string; table?: string };
  [section: string]: unknown;
}

/** A row of the table, as the database gives it. */
export interface Row {
  hash: string;
  code: string;
  previous_hash: string | null;
  depth: number;
  state: string;
  stable: number | null;
  attempts: number;
  error_kind: string | null;
  error_msg: string | null;
  out_path: string | null;
  temperature: number | null;
  [column: string]: unknown;
}

export interface Crew {
  masters?: number;
  clients?: number;
  workers?: number;
  /** Arguments of each worker. */
  workerArgs?: readonly string[];
}

/** Characters of a role's log that a failed test shows. */
const logShown = 3000;

/** The roles of one search, each a process. */
export class Fleet {
  /** Where its roles run. */
  readonly folder = temporaryFolder();
  readonly masters: Role[] = [];
  readonly clients: Role[] = [];
  readonly workers: Role[] = [];

  private readonly started: Role[] = [];

  /** Made in a test, whose failure then shows what the roles wrote last. */
  constructor(readonly config: FleetConfig) {
    onTestFailed(() => {
      for (const { name, pid, stderr } of this.started) console.error(`${name} (${pid}):\n${stderr.slice(-logShown)}`);
    });
  }

  /** A database file of the fleet's own. */
  static sqliteUrl(): string {
    return `sqlite:${temporaryFolder()}/fleet.db`;
  }

  /** The name of one of its keys in Redis. */
  key(name: string): string {
    return `{${this.config.name}}:${name}`;
  }

  /** Starts a role with this configuration. */
  async start(role: string, ...args: string[]): Promise<Role> {
    const started = await startRole(role, args, { config: this.config, cwd: this.folder });
    this.started.push(started);
    return started;
  }

  /** Runs a role to its end. */
  run(role: string, ...args: string[]) {
    return runRole(role, args, { config: this.config, cwd: this.folder });
  }

  /** Starts many roles at once, the first client with `-c`; does not wait until they serve. */
  async crew({ masters = 1, clients = 1, workers = 1, workerArgs = [] }: Crew = {}): Promise<void> {
    const times = (count: number, start: (index: number) => Promise<Role>) =>
      Promise.all(Array.from({ length: count }, (_, index) => start(index)));
    const [startedClients, startedMasters, startedWorkers] = await Promise.all([
      times(clients, (index) => this.start('sql-client', ...(index === 0 ? ['-c', '1'] : []))),
      times(masters, () => this.start('sql-client-master')),
      times(workers, () => this.start('worker', ...workerArgs)),
    ]);
    this.clients.push(...startedClients);
    this.masters.push(...startedMasters);
    this.workers.push(...startedWorkers);
  }

  /** Resolves when the search has been over for the first time, by the log of whichever master closed it. */
  async over(): Promise<void> {
    await Promise.any(this.masters.map((master) => master.line(/^the search is over/)));
  }

  /** Resolves when the search is over, again or for the first time, by its status; its table must be there. */
  async done(): Promise<void> {
    const { status, stderr } = await this.run('status', '--watch', '--interval', '200ms');
    expect(status, stderr).toBe(0);
  }

  /** Asks every role that still runs to stop; each must end with status 0. */
  async stop(): Promise<void> {
    const running = [...this.workers, ...this.clients, ...this.masters].filter(({ child }) => child.running);
    for (const role of running) role.kill('SIGTERM');
    for (const role of running) {
      expect(await role.exited, role.stderr).toEqual({ status: 0, signal: null });
      expect(role.stdout, 'standard output is for results').toBe('');
    }
  }

  async status(): Promise<Status> {
    const { stdout, stderr, status } = await this.run('status', '--json');
    expect(status, stderr).toBe(0);
    return JSON.parse(stdout) as Status;
  }

  /** All rows, in the order of their hashes. */
  async rows(): Promise<Row[]> {
    const { url, table = 'parameterspace' } = this.config.database;
    const database = connectDatabase(url);
    try {
      return await database(table).select('*').orderBy('hash');
    } finally {
      await database.destroy();
    }
  }
}
