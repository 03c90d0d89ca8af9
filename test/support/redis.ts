import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Child } from './child.js';
import { temporaryFolder } from './folder.js';
import { freePort } from './port.js';
import { atEnd } from './scope.js';

export interface RedisOptions {
  /** `aof`: an append-only file, written through at each command. Default: nothing survives a restart. */
  persistence?: 'none' | 'aof';
  /** Listens on a free loopback port too. */
  tcp?: boolean;
  /** More of the server's own options, e.g. `--maxmemory 8mb`. */
  options?: readonly string[];
}

/** A private Redis on a Unix socket; stopped when the test (or the file) that started it ends. */
export async function startRedis({
  persistence = 'none',
  tcp = false,
  options = [],
}: RedisOptions = {}): Promise<RedisServer> {
  const port = tcp ? await freePort() : 0;
  const server = new RedisServer(temporaryFolder(), port, [
    ...['--save', '', '--appendonly', persistence === 'aof' ? 'yes' : 'no', '--appendfsync', 'always'],
    ...options,
  ]);
  atEnd(() => server.stop());
  await server.start();
  return server;
}

export class RedisServer {
  /** The path of the Unix socket. */
  readonly socket: string;
  private child: Child | undefined;

  constructor(
    private readonly folder: string,
    /** The loopback TCP port, 0 where there is none. */
    readonly port: number,
    private readonly options: readonly string[],
  ) {
    this.socket = join(folder, 'redis.sock');
  }

  /** The address, as a configuration has it. */
  get url(): string {
    return `unix:${this.socket}`;
  }

  get tcpUrl(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (!this.child) throw new Error('this Redis does not run');
    return this.child.pid;
  }

  async start(): Promise<void> {
    const where = [
      '--port',
      String(this.port),
      '--bind',
      '127.0.0.1',
      '--unixsocket',
      this.socket,
      '--dir',
      this.folder,
    ];
    this.child = await Child.start('redis-server', [...where, '--unixsocketperm', '700', ...this.options]);
    await this.child.line((line) => /eady to accept connections/.test(line), 'that it is ready');
  }

  /** A client of the test's own, by way of the socket, or of TCP. Its commands wait while the server is away. */
  connect(by: 'socket' | 'tcp' = 'socket'): Redis {
    const redis = new Redis(by === 'tcp' ? this.tcpUrl : this.socket);
    redis.on('error', () => {}); // The server may be killed on purpose.
    atEnd(() => redis.disconnect());
    return redis;
  }

  /** Sends a signal, SIGSTOP and SIGCONT too; waits for the end where the signal is one to end it. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child?.signal(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await this.child?.exited;
  }

  /** Starts again at the same addresses, stopped or killed before or not. `keepData` wants the persistence `aof`. */
  async restart({ keepData }: { keepData: boolean }): Promise<void> {
    await this.kill('SIGTERM');
    if (!keepData) rmSync(join(this.folder, 'appendonlydir'), { recursive: true, force: true });
    await this.start();
  }

  async stop(): Promise<void> {
    await this.child?.end();
  }
}
