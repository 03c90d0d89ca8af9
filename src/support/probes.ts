import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { messageOf, UsageError } from './errors.js';
import { hostNamed, isLoopback } from './loopback.js';

/** A process's answers to those who watch it. */
export interface Probes {
  /** Throws what this process waits for. */
  ready(): Promise<void>;
  /** In Prometheus's text format. */
  metrics(): Promise<string>;
}

export interface Address {
  host: string;
  port: number;
}

interface Answer {
  status: number;
  type?: string;
  body: string;
}

/**
 * Serves /healthz (the process turns), /readyz (it can work) and /metrics. The server does not keep the process alive. On loopback it
 * answers to the names of loopback alone: the page of another site whose name leads here (DNS rebinding) reads nothing.
 */
export async function serveProbes({ host, port }: Address, probes: Probes): Promise<Server> {
  const server = createServer(async ({ method, url, headers }, response) => {
    if (isLoopback(host) && !isLoopback(hostNamed(headers.host))) {
      response.writeHead(421).end('this server does not answer to that name\n');
      return;
    }
    const {
      status,
      type = 'text/plain; charset=utf-8',
      body,
    } = method === 'GET' || method === 'HEAD' ? await answer(url ?? '/', probes) : { status: 405, body: 'GET only\n' };
    response.writeHead(status, { 'content-type': type }).end(method === 'HEAD' ? undefined : body);
  });
  server.listen(port, host).unref();
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new UsageError(`--metrics-port: cannot listen on ${host}:${port}: ${messageOf(error)}`);
  }
  return server;
}

async function answer(url: string, probes: Probes): Promise<Answer> {
  try {
    switch (url.split('?', 1)[0]) {
      case '/healthz':
        return { status: 200, body: 'ok\n' };
      case '/readyz':
        await probes.ready();
        return { status: 200, body: 'ready\n' };
      case '/metrics':
        return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: await probes.metrics() };
      default:
        return { status: 404, body: 'here are /healthz, /readyz and /metrics\n' };
    }
  } catch (error) {
    return { status: 503, body: `${messageOf(error)}\n` };
  }
}
