import { expect, test } from 'vitest';
import { resolveUrl } from '../../src/config/url.js';
import { parseDatabaseUrl } from '../../src/support/databaseAddress.js';

const server = { kind: 'mysql', host: 'h', port: 3306, user: 'u', password: '', database: 'd' };

test.each([
  ['mysql://u@[::1]:3307/d', { host: '::1', port: 3307, tls: { mode: 'PREFERRED' } }],
  ['mariadb://u:p%25%40@h/d', { password: 'p%@', tls: { mode: 'PREFERRED' } }],
  ['mysql://u@h/d?ssl-mode=required', { tls: { mode: 'REQUIRED' } }],
  ['mysql://u@h/d?ssl-ca=/ca.pem', { tls: { mode: 'VERIFY_CA', ca: '/ca.pem' } }],
  [
    'mysql://u@h/d?ssl-mode=VERIFY_IDENTITY&ssl-ca=/ca.pem&ssl-cert=/c&ssl-key=/k',
    { tls: { mode: 'VERIFY_IDENTITY', ca: '/ca.pem', cert: '/c', key: '/k' } },
  ],
  ['mysql://u@h/d?ssl=true', { tls: { mode: 'VERIFY_CA' } }],
  ['mysql://u@h/d?ssl=unverified', { tls: { mode: 'REQUIRED' } }],
  ['mysql://u@h/d?socketPath=/s', { socketPath: '/s', tls: { mode: 'PREFERRED' } }],
  [
    'mysql://u@h/d?cloudSql=a:b:c&ipType=PSC',
    { cloudSql: { name: 'a:b:c', ipType: 'PSC' }, tls: { mode: 'PREFERRED' } },
  ],
])('%s is read', (url, address) => {
  expect(parseDatabaseUrl(url)).toEqual({ ...server, ...address });
});

test.each([
  ['mysql://u:p%@127.0.0.1/db', /^the password has a % that is not an escape: write %25$/],
  ['mysql://u:a#b@h/d', /^expected mysql:\/\/user@host:port\/database, got mysql:\/\/u:\*\*\*@h\/d; .*# as %23/],
  ['mysql://u@h', /^expected mysql:\/\/user@host:port\/database, got mysql:\/\/u@h; other forms: .*sqlite:path$/],
  ['mysql://u@h/d?sslmode=REQUIRED', /^unknown option sslmode: did you mean ssl-mode\?$/],
  ['mysql://u@h/d?tls=1', /^unknown option tls: known are ssl-mode, /],
  ['mysql://u@h/d?sslca=/x', /^unknown option sslca: did you mean ssl-ca\?$/],
  ['mysql://u@h/d?ssl-mode=ON', /^ssl-mode: expected DISABLED, .*, got ON$/],
  ['mysql://u@h/d?ssl=false', /^ssl=false has no clear meaning: expected ssl-mode=DISABLED, /],
  ['mysql://u@h/d?ssl=true&ssl-mode=REQUIRED', /both given/],
  ['mysql://u@h/d?ssl-mode=REQUIRED&ssl-ca=/x', /^ssl-mode=REQUIRED does not check ssl-ca: expected VERIFY_CA/],
  ['mysql://u@h/d?ssl-mode=DISABLED&ssl-cert=/x&ssl-key=/y', /^ssl-mode=DISABLED uses no ssl-ca/],
  ['mysql://u@h/d?ssl-cert=/x', /^ssl-cert and ssl-key belong together/],
  ['mysql://u@h/d?cloudSql=a:b:c&ssl-mode=REQUIRED', /^the ssl options do not apply to cloudSql/],
  ['mysql://u@h/d?cloudSql=a:b:c&ipType=private', /^ipType: expected PUBLIC, PRIVATE or PSC, got private$/],
  ['sqlite::memory:', /^expected mysql:/],
])('what is wrong with %s is a sentence', (url, sentence) => {
  expect(() => parseDatabaseUrl(url)).toThrow(sentence);
});

test('files of certificates are taken from the folder of the configuration', () => {
  expect(resolveUrl('mysql://u@h/d?ssl-ca=ca.pem&ssl-mode=VERIFY_CA', '/etc/fleet')).toBe(
    'mysql://u@h/d?ssl-ca=%2Fetc%2Ffleet%2Fca.pem&ssl-mode=VERIFY_CA',
  );
});
