import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { docker, fleetImage } from '../support/images.js';
import { atEnd } from '../support/scope.js';

interface Service {
  image: string;
  environment?: Record<string, string>;
  networks?: string[];
  network_mode?: string;
  ports?: string[];
  volumes: string[];
  command?: string[];
  cap_add?: string[];
}

interface Composition {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean }>;
}

const path = fileURLToPath(new URL('../../docker/compose.yaml', import.meta.url));
const { services, networks } = parse(readFileSync(path, 'utf8'), { merge: true }) as Composition;
const inNetwork = (name: string) =>
  Object.keys(services).filter((service) => services[service]?.networks?.includes(name));

describe('docker/compose.yaml', () => {
  test('lets workers, and so simulators, reach Redis and nothing else', () => {
    expect(services.worker?.networks).toEqual(['workers']);
    expect(inNetwork('workers').sort()).toEqual(['redis', 'worker']);
    expect(networks.workers?.internal).toBe(true);
    expect(JSON.stringify(services.worker)).not.toMatch(/secrets|DATABASE|mysql/);
    const isolated = Object.values(services).filter(
      ({ networks, network_mode }) => !networks && network_mode !== 'none',
    );
    expect(isolated).toEqual([]);
  });

  test('gives the database passwords that are nowhere written, and publishes nothing beyond this machine', () => {
    const { mysql } = services;
    expect(mysql?.environment).toMatchObject({
      MYSQL_RANDOM_ROOT_PASSWORD: 'yes',
      MYSQL_USER: 'fleet',
      MYSQL_PASSWORD_FILE: expect.stringMatching(/^\/run\/secrets\//),
    });
    expect(JSON.stringify(services)).not.toMatch(/ALLOW_EMPTY|root@|:\/\/\w+:\w+@/);
    const published = Object.values(services).flatMap(({ ports = [] }) => ports);
    expect(published.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  test('makes the password once, for the two users who need it', async () => {
    const image = await fleetImage();
    const volume = (await docker('volume', 'create')).trim();
    atEnd(() => docker('volume', 'rm', '--force', volume).then(() => undefined));
    const { command = [], cap_add = [] } = services.secrets as Service;
    const confined = [
      '--rm',
      '--network',
      'none',
      '--read-only',
      '--cap-drop',
      'ALL',
      '--volume',
      `${volume}:/secrets`,
    ];
    const added = cap_add.flatMap((name) => ['--cap-add', name]);
    const make = () =>
      docker('run', ...confined, ...added, '--user', '0:0', '--entrypoint', 'node', image, '-e', ...command);
    const read = (user: string, file: string) =>
      docker('run', ...confined, '--user', user, '--entrypoint', 'cat', image, `/secrets/${file}`);
    await make();
    const password = await read('999:999', 'mysql-password');
    expect(password).toMatch(/^[0-9a-f]{48}$/);
    expect(await read('1000:1000', 'database-url')).toBe(`mysql://fleet:${password}@mysql:3306/pyatmos`);
    await expect(read('1001:1001', 'mysql-password')).rejects.toThrow(/denied/);
    await make();
    expect(await read('999:999', 'mysql-password')).toBe(password);
  });
});
