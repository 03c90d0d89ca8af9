import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { onTestFinished, vi } from 'vitest';
import { temporaryDirectory } from './directories.js';

/** Stands before the engine, for the rest of a test: `DOCKER_HOST` leads to it. */
export class EngineProxy {
  /** Told the first line of each request; answers after how many bytes of the answer its connection is cut, if at all. */
  onRequest: (request: string) => number | undefined = () => undefined;
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  static async start(): Promise<EngineProxy> {
    const target = (process.env.DOCKER_HOST ?? '').replace('unix://', '');
    const proxy = new EngineProxy(target, join(await temporaryDirectory(), 'docker.sock'));
    await proxy.back();
    vi.stubEnv('DOCKER_HOST', `unix://${proxy.path}`);
    onTestFinished(() => {
      vi.unstubAllEnvs();
      proxy.away();
    });
    return proxy;
  }

  private constructor(
    private readonly target: string,
    private readonly path: string,
  ) {}

  /** Cuts every connection and takes no new one. */
  away(): void {
    this.server?.close();
    for (const socket of this.sockets) socket.destroy();
  }

  async back(): Promise<void> {
    this.server = createServer((client) => this.join(client)).listen(this.path);
    await once(this.server, 'listening');
  }

  private join(client: Socket): void {
    const engine = connect(this.target);
    let end: number | undefined;
    let received = 0;
    client.on('data', (bytes) => {
      const [, request] = /^((?:GET|HEAD|POST|PUT|DELETE) .*)\r\n/.exec(bytes.toString('latin1', 0, 1000)) ?? [];
      if (request !== undefined) [end, received] = [this.onRequest(request), 0];
      engine.write(bytes);
    });
    engine.on('data', (bytes) => {
      if (end === undefined) return void client.write(bytes);
      client.write(bytes.subarray(0, Math.max(end - received, 0)));
      received += bytes.length;
      if (received > end) client.end();
    });
    for (const [socket, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on('error', () => {}).on('end', () => other.end());
      socket.on('close', () => {
        this.sockets.delete(socket);
        other.destroy();
      });
    }
  }
}
