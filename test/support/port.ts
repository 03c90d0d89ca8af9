import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below what systems hand out for outgoing connections, so that a free port stays free until it is used. */
const lowest = 20_000;
const count = 12_000;

/** A loopback TCP port that nothing listens on. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * count);
    const server = createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
