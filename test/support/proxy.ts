import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './port.js';
import { atEnd } from './scope.js';

/**
 * `pass`: as it comes. `delay`: each piece late. `trickle`: a few bytes at a time. `hole`: nothing comes through, and nobody is
 * told, as with a cable that is pulled. `refuse`: whoever connects is cut off.
 */
export type ProxyMode = 'pass' | 'delay' | 'trickle' | 'hole' | 'refuse';

const delayMs = 150;
const trickleBytes = 40;
const trickleMs = 2;

/** A TCP proxy on a loopback port of its own, before a Unix socket; gone when the test (or the file) that started it ends. */
export async function startProxy(target: string): Promise<TcpProxy> {
  const server = createServer();
  const proxy = new TcpProxy(server, target, await freePort());
  server.listen(proxy.port, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => proxy.close());
  return proxy;
}

export class TcpProxy {
  mode: ProxyMode = 'pass';
  private readonly clients = new Set<Socket>();

  constructor(
    private readonly server: Server,
    private readonly target: string,
    readonly port: number,
  ) {
    server.on('connection', (client) => this.join(client));
  }

  /** Cuts every connection; answers how many. */
  cut(): number {
    const count = this.clients.size;
    for (const client of this.clients) client.resetAndDestroy();
    return count;
  }

  close(): void {
    this.cut();
    this.server.close();
  }

  private join(client: Socket): void {
    if (this.mode === 'refuse') {
      client.destroy();
      return;
    }
    this.clients.add(client);
    client.on('close', () => this.clients.delete(client));
    const upstream = connect(this.target);
    this.pipe(client, upstream);
    this.pipe(upstream, client);
  }

  private pipe(from: Socket, to: Socket): void {
    let sending = Promise.resolve();
    from.on('data', (bytes) => {
      sending = sending.then(() => this.send(bytes, to));
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      sending.then(() => to.destroy());
    });
  }

  private async send(bytes: Buffer, to: Socket): Promise<void> {
    const { mode } = this;
    while (this.mode === 'hole' && !to.destroyed) await sleep(20);
    if (mode === 'delay') await sleep(delayMs);
    if (mode !== 'trickle') return void to.write(bytes);
    for (let from = 0; from < bytes.length && !to.destroyed; from += trickleBytes) {
      to.write(bytes.subarray(from, from + trickleBytes));
      await sleep(trickleMs);
    }
  }
}
