import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { serveProbes } from '../../src/support/probes.js';

/** The statuses of answers to requests that ask for these hosts, from probes that listen at an address. */
async function statusesFrom(listensOn: string, hosts: readonly string[]): Promise<(number | undefined)[]> {
  const server = await serveProbes(
    { host: listensOn, port: 0 },
    { ready: async () => {}, metrics: async () => 'metric 1\n' },
  );
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const statuses: (number | undefined)[] = [];
  for (const host of hosts) {
    const asked = request({ host: '127.0.0.1', port, path: '/metrics', headers: { host } }).end();
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    response.destroy();
    statuses.push(response.statusCode);
  }
  return statuses;
}

test('on loopback, probes answer to the names of loopback alone', async () => {
  const hosts = ['127.0.0.1:9464', 'localhost', '[::1]:9464', 'evil.example:9464', '127.0.0.1.evil.example'];
  expect(await statusesFrom('127.0.0.1', hosts)).toEqual([200, 200, 200, 421, 421]);
});

test('on other addresses, probes answer to whatever name Prometheus asks for', async () => {
  expect(await statusesFrom('0.0.0.0', ['worker.atmos-fleet.svc:9464', '10.1.2.3:9464'])).toEqual([200, 200]);
});
