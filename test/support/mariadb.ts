import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { Child } from './child.js';
import { temporaryFolder } from './folder.js';
import { freePort } from './port.js';
import { atEnd } from './scope.js';

export interface MariadbOptions {
  /** Flushes to the disk at each commit, as a real server does: for crash tests and benchmarks. */
  durable?: boolean;
  /** Listens on a free loopback port too. */
  tcp?: boolean;
  /** More of the server's own options. */
  options?: readonly string[];
}

const run = promisify(execFile);

/** MySQL itself, where scripts/test-matrix says so: its program, and the folder of its messages. */
const { ATMOS_FLEET_TEST_MYSQLD: mysqld, ATMOS_FLEET_TEST_MYSQL_SHARE: share } = process.env;
const program = mysqld ?? 'mariadbd';
const mysqlOptions = mysqld
  ? ['--secure-file-priv=NULL', `--lc-messages-dir=${share}`, `--character-sets-dir=${share}/charsets`]
  : [];
const user = process.getuid?.() === 0 ? ['--user=root'] : [];
const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` };
const quick = ['--innodb-flush-log-at-trx-commit=2', '--innodb-flush-method=nosync', '--innodb-doublewrite=0'];
const durableOptions = [
  '--innodb-flush-log-at-trx-commit=1',
  mysqld ? '--innodb-redo-log-capacity=96M' : '--innodb-log-file-size=96M',
];

const initialStatements = [
  'create database if not exists test;',
  "create user if not exists root@'127.0.0.1';",
  "grant all on *.* to root@'127.0.0.1' with grant option;",
  '',
].join('\n');

/** A private MariaDB on a Unix socket; stopped when the test (or the file) that started it ends. */
export async function startMariadb({
  durable = false,
  tcp = false,
  options = [],
}: MariadbOptions = {}): Promise<MariadbServer> {
  const template = await templateFolder();
  const folder = temporaryFolder();
  cpSync(template, join(folder, 'data'), { recursive: true });
  const memory = `--innodb-buffer-pool-size=${durable ? 256 : 32}M`;
  const port = tcp ? await freePort() : 0;
  const server = new MariadbServer(folder, port, [...(durable ? durableOptions : quick), memory, ...options]);
  atEnd(() => server.stop());
  await server.start();
  return server;
}

export class MariadbServer {
  readonly socket: string;
  private child: Child | undefined;
  private databases = 0;

  constructor(
    private readonly folder: string,
    /** The loopback TCP port, 0 where there is none. */
    readonly port: number,
    private readonly options: readonly string[],
  ) {
    this.socket = join(folder, 'my.sock');
  }

  /** The address of the database `test`, which is there from the start. */
  get url(): string {
    return this.urlOf('test');
  }

  /** The address of a database by way of the socket. */
  urlOf(database: string): string {
    return `mysql://root@localhost/${database}?socketPath=${this.socket}`;
  }

  /** The address of a database by way of TCP. */
  tcpUrlOf(database: string): string {
    return `mysql://root@127.0.0.1:${this.port}/${database}`;
  }

  get pid(): number {
    if (!this.child) throw new Error('this MariaDB does not run');
    return this.child.pid;
  }

  /** Makes a fresh database and answers its address. */
  async createDatabase(name = `test_${++this.databases}`): Promise<string> {
    const connection = await createConnection(this.url);
    await connection.query(`create database ${connection.escapeId(name)}`);
    await connection.end();
    return this.urlOf(name);
  }

  async start(): Promise<void> {
    const where = [`--datadir=${join(this.folder, 'data')}`, `--socket=${this.socket}`, `--tmpdir=${this.folder}`];
    const network = this.port === 0 ? ['--skip-networking'] : ['--bind-address=127.0.0.1', `--port=${this.port}`];
    const fixed = ['--skip-name-resolve', '--skip-log-bin', '--performance-schema=0'];
    const text = ['--character-set-server=utf8mb4', '--collation-server=utf8mb4_unicode_ci'];
    const args = [
      '--no-defaults',
      ...user,
      ...where,
      `--pid-file=${this.folder}/my.pid`,
      ...network,
      ...fixed,
      ...text,
    ];
    const initial = join(this.folder, 'initial.sql');
    if (mysqld) writeFileSync(initial, initialStatements);
    const ofMysql = mysqld ? [...mysqlOptions, '--mysqlx=OFF', `--init-file=${initial}`] : [];
    this.child = await Child.start(program, [...args, ...ofMysql, ...this.options], { env: environment });
    await this.child.line((line) => line.includes('ready for connections'), 'that it is ready');
  }

  /** Sends a signal, SIGSTOP and SIGCONT too; waits for the end where the signal is one to end it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child?.signal(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await this.child?.exited;
  }

  /** Starts again at the same addresses with the same data, stopped or killed before or not. */
  async restart(): Promise<void> {
    await this.kill('SIGTERM');
    await this.start();
  }

  async stop(): Promise<void> {
    await this.child?.end();
  }
}

/** An empty data directory, made once a machine and version; of several processes at once the first to finish wins. */
async function templateFolder(): Promise<string> {
  const { stdout: version } = await run(program, ['--no-defaults', '--version'], { env: environment });
  const release = /\d+\.\d+\.\d+/.exec(version)?.[0] ?? 'unknown';
  const template = join(tmpdir(), `fleet-mariadb-${release}-${process.getuid?.() ?? 0}`);
  if (existsSync(template)) return template;
  const making = mkdtempSync(join(tmpdir(), 'fleet-mariadb-'));
  const data = join(making, 'data');
  mkdirSync(data);
  const small = ['--innodb-log-file-size=8M', '--skip-name-resolve', '--force']; // Force: where the host has no name, too.
  const args = ['--no-defaults', ...user, `--datadir=${data}`, '--auth-root-authentication-method=normal', ...small];
  try {
    if (mysqld)
      await run(mysqld, ['--no-defaults', '--initialize-insecure', ...user, `--datadir=${data}`, ...mysqlOptions]);
    else await run('mariadb-install-db', args, { env: environment });
    renameSync(data, template);
  } catch (error) {
    if (!existsSync(template)) throw new Error(`no MariaDB template could be made: ${told(error)}`, { cause: error });
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
  return template;
}

/** What a failed program wrote, the error's own message else. */
function told(error: unknown): string {
  const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
  return `${stdout}${stderr}` || String(error);
}
