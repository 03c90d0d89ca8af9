import { expect, test } from 'vitest';
import { resolveUrl } from '../../src/config/url.js';
import { parseRedisUrl } from '../../src/support/redisAddress.js';
import { withoutPassword } from '../../src/support/secrets.js';

test.each([
  ['redis://localhost', { kind: 'server', hosts: [{ host: 'localhost', port: 6379 }], db: 0, tls: false }],
  ['redis://[::1]:7000/3', { kind: 'server', hosts: [{ host: '::1', port: 7000 }], db: 3, tls: false }],
  [
    'rediss://fleet:p%40ss@redis.internal:6378?ca=/etc/ca.pem',
    {
      ...{ kind: 'server', hosts: [{ host: 'redis.internal', port: 6378 }], db: 0, tls: true },
      ...{ username: 'fleet', password: 'p@ss', ca: '/etc/ca.pem' },
    },
  ],
  ['redis://:secret@h', { kind: 'server', hosts: [{ host: 'h', port: 6379 }], db: 0, tls: false, password: 'secret' }],
  [
    'redis+sentinel://a,b:26380/fleet/1?sentinelPassword=s',
    {
      kind: 'sentinel',
      hosts: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 26_380 },
      ],
      ...{ master: 'fleet', db: 1, tls: false, sentinelPassword: 's' },
    },
  ],
  [
    'rediss+cluster://a:7000,b:7001',
    {
      kind: 'cluster',
      hosts: [
        { host: 'a', port: 7000 },
        { host: 'b', port: 7001 },
      ],
      ...{ db: 0, tls: true },
    },
  ],
  ['unix:/run/redis.sock?db=2', { kind: 'server', hosts: [], socket: '/run/redis.sock', db: 2, tls: false }],
])('%s is read', (url, address) => {
  expect(parseRedisUrl(url)).toEqual(address);
});

test.each([
  'redis://',
  'redis://a,b',
  'redis://a:70000',
  'redis://a/one',
  'redis://a/1/2',
  'redis://a?password=x',
  'redis://%zz@a',
  'redis+sentinel://a:26379',
  'redis+cluster://a:7000/1',
  'redis+other://a',
  'http://a',
])('%s is none', (url) => {
  expect(parseRedisUrl(url)).toBeUndefined();
});

test('several hosts are no password, and passwords of Sentinels are not shown', () => {
  expect(withoutPassword('redis+cluster://a:7000,b:7001')).toBe('redis+cluster://a:7000,b:7001');
  expect(withoutPassword('redis+sentinel://u:p@a:1,b:2/m?sentinelPassword=q')).toBe(
    'redis+sentinel://u:***@a:1,b:2/m?sentinelPassword=***',
  );
});

test('the file of authorities is taken from the folder of the configuration', () => {
  expect(resolveUrl('rediss://a:6378?ca=ca.pem', '/etc/fleet')).toBe('rediss://a:6378?ca=%2Fetc%2Ffleet%2Fca.pem');
});
