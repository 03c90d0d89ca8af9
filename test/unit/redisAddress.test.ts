import { expect, test } from 'vitest';
import { resolveUrl } from '../../src/config/url.js';
import { UsageError } from '../../src/support/errors.js';
import { parseRedisUrl } from '../../src/support/redisAddress.js';
import { withoutPassword, withoutPasswords } from '../../src/support/secrets.js';

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
  expect(() => parseRedisUrl(url)).toThrow(UsageError);
});

test.each([
  ['127.0.0.1:6379', /^expected redis:\/\/host:port, got 127\.0\.0\.1:6379; other forms: redis\+sentinel:/],
  ['redis://:p%@h', /^the password has a % that is not an escape: write %25$/],
  ['redis://:a/b#c@h', /got redis:\/\/:\*\*\*@h; .*In a password write \/ as %2F/],
  ['rediss://h?cafile=x', /^unknown option cafile: known are ca, sentinelUsername, sentinelPassword$/],
  ['redis+sentinel://h/m?sentinelPasword=x', /^unknown option sentinelPasword: did you mean sentinelPassword\?$/],
])('what is wrong with %s is a sentence', (url, sentence) => {
  expect(() => parseRedisUrl(url)).toThrow(sentence);
});

test.each([
  ['redis://u:p@h:6379/1', 'redis://u:***@h:6379/1'],
  ['redis://u:p/x#y?z@w@h', 'redis://u:***@h'],
  ['u:p@h', 'u:***@h'],
  ['redis://u:forgotten', 'redis://u:***'],
  ['redis://host:6379', 'redis://host:6379'],
  ['redis://[::1]:6379', 'redis://[::1]:6379'],
  ['127.0.0.1:6379', '127.0.0.1:6379'],
  ['mysql://u@h/db', 'mysql://u@h/db'],
  ['mysql://u:p@[::1]:3306/db?ssl-mode=REQUIRED', 'mysql://u:***@[::1]:3306/db?ssl-mode=REQUIRED'],
])('%s is shown as %s', (url, shown) => {
  expect(withoutPassword(url)).toBe(shown);
});

test('text keeps its examples of URLs, and loses passwords', () => {
  const examples = 'redis://host:port, redis+sentinel://host:port,host:port/master or mysql://user@host:port/database';
  expect(withoutPasswords(`wants ${examples}, got redis://u:p@h`)).toBe(`wants ${examples}, got redis://u:***@h`);
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
