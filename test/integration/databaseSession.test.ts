import { createConnection } from 'mysql2/promise';
import { describe, expect, test } from 'vitest';
import { ask, connectDatabase } from '../../src/ledger/connect.js';
import { Ledger } from '../../src/ledger/ledger.js';
import { Refused } from '../../src/support/errors.js';
import { certificates } from '../support/certificates.js';
import { line } from '../support/line.js';
import { startMariadb } from '../support/mariadb.js';
import { atEnd } from '../support/scope.js';

/** What a connection to that address says of itself. */
async function connected(url: string, variable: string): Promise<string> {
  const db = connectDatabase(url);
  atEnd(() => db.destroy());
  const [rows] = await ask<{ Value: string }[][]>(db.raw(`show session status like '${variable}'`));
  return rows?.[0]?.Value ?? '';
}

const cipherOf = (url: string) => connected(url, 'Ssl_cipher');

describe('TLS to the database', () => {
  test('is as ssl-mode says, with a server that has it', async () => {
    const [{ ca, cert, key }, others] = await Promise.all([certificates(), certificates()]);
    const tls = ['--ssl', `--ssl-ca=${ca}`, `--ssl-cert=${cert}`, `--ssl-key=${key}`];
    const server = await startMariadb({ tcp: true, options: tls });
    const root = await createConnection(server.url);
    atEnd(() => root.destroy());
    const url = server.tcpUrlOf('test');
    const named = url.replace('127.0.0.1', 'localhost');
    expect(await cipherOf(`${url}?ssl-mode=DISABLED`)).toBe('');
    expect(await cipherOf(`${server.url}&ssl-mode=PREFERRED`), 'a socket needs none').toBe('');
    for (const options of [
      '',
      '?ssl-mode=PREFERRED',
      '?ssl-mode=REQUIRED',
      '?ssl=unverified',
      `?ssl-mode=VERIFY_CA&ssl-ca=${ca}`,
      `?ssl-ca=${ca}`,
      `?ssl-mode=VERIFY_IDENTITY&ssl-ca=${ca}`,
      `?ssl-mode=REQUIRED&ssl-cert=${cert}&ssl-key=${key}`,
    ])
      expect(await cipherOf(`${url}${options}`), options).not.toBe('');
    expect(await cipherOf(`${server.url}&ssl-mode=REQUIRED`), 'a socket, where it is demanded').not.toBe('');
    expect(await cipherOf(`${named}?ssl-ca=${ca}`), 'VERIFY_CA looks at no name').not.toBe('');
    for (const wrong of [
      `${url}?ssl-mode=VERIFY_CA`,
      `${url}?ssl=true`,
      `${url}?ssl-ca=${others.ca}`,
      `${named}?ssl-mode=VERIFY_IDENTITY&ssl-ca=${ca}`,
    ])
      await expect(cipherOf(wrong), wrong).rejects.toThrow(Refused);
    await expect(cipherOf(`${url}?ssl-ca=/none.pem`)).rejects.toThrow(/^database\.url: ssl-ca: ENOENT.*none\.pem/);

    await root.query("create user strict@'127.0.0.1' require x509");
    const strict = url.replace('root@', 'strict@');
    expect(await cipherOf(`${strict}?ssl-cert=${cert}&ssl-key=${key}`)).not.toBe('');
    await expect(cipherOf(strict)).rejects.toThrow(/Access denied/);
  });

  test('is refused where it is demanded of a server without it, and done without where it is preferred', async () => {
    const server = await startMariadb({ tcp: true, options: ['--skip-ssl'] });
    const url = server.tcpUrlOf('test');
    for (const mode of ['REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'])
      await expect(cipherOf(`${url}?ssl-mode=${mode}`), mode).rejects.toThrow(/the server offers no TLS/);
    expect(await cipherOf(url)).toBe('');
    expect(await cipherOf(`${url}?ssl-mode=PREFERRED`)).toBe('');
  });
});

test('a server is reached by an IPv6 address', async () => {
  const server = await startMariadb({ tcp: true, options: ['--bind-address=::1'] });
  const root = await createConnection(server.url);
  atEnd(() => root.destroy());
  await root.query("create user six@'::1'");
  expect(await connected(`mysql://six@[::1]:${server.port}/test`, 'Uptime')).toMatch(/^\d+$/);
});

/** Servers whose defaults are others than the statements of this program were written for. */
const servers = [
  ['--autocommit=0'],
  ['--init-connect=set autocommit = 0'],
  ['--completion-type=CHAIN'],
  ['--sql-mode=NO_BACKSLASH_ESCAPES'],
  ['--sql-mode=ANSI,NO_BACKSLASH_ESCAPES'],
  ['--sql-mode=ORACLE'],
  ['--sql-mode='],
  ['--init-connect=set sql_select_limit = 1'],
  ['--default-time-zone=+05:00', '--transaction-isolation=READ-UNCOMMITTED'],
  ['--skip-character-set-client-handshake', '--character-set-server=latin1', '--collation-server=latin1_swedish_ci'],
];

const row = { hash: 'a'.repeat(32), code: line.start.code, previous_hash: null, depth: 0 };
const quoted = { hash: 'b'.repeat(32), code: line.start.code, previous_hash: null, depth: 0 };
const definition = JSON.stringify({ quote: '"', backslash: '\\', umlaut: 'ä' });

test.each(servers)('a server started with %s keeps what is written, as it was written', async (...options) => {
  const server = await startMariadb({ options });
  const root = await createConnection(server.url);
  atEnd(() => root.destroy());
  await root.query('create user fleet@localhost'); // init_connect passes over those with all rights.
  await root.query('grant all on test.* to fleet@localhost');
  const url = server.url.replace('root@', 'fleet@');
  const [writer, reader] = [new Ledger(url, 'points', line.names), new Ledger(url, 'points', line.names)];
  atEnd(() => Promise.all([writer.close(), reader.close()]));
  await expect(writer.create(definition)).resolves.toBeUndefined();
  await writer.requeueErrors({}, '', 10); // A transaction, after whose end the next statement is on its own again.
  await writer.insertQueued([row, quoted]);
  expect(await reader.open()).toBe(definition);
  expect((await reader.find([row.hash, quoted.hash])).length).toBe(2);
});

describe('a fact that a server with NO_BACKSLASH_ESCAPES was given with its escapes', () => {
  const spoilt = definition.replaceAll(/["\\]/g, '\\$&');

  test('is repaired by sql-client -c, and waited for by all others', async () => {
    const server = await startMariadb();
    const [ledger, other] = [
      new Ledger(server.url, 'points', line.names),
      new Ledger(server.url, 'points', line.names),
    ];
    atEnd(() => Promise.all([ledger.close(), other.close()]));
    await ledger.create(definition);
    const root = await createConnection(server.url);
    atEnd(() => root.destroy());
    await root.query("update points_meta set value = ? where name = 'fingerprint'", [spoilt]);
    await expect(other.open()).rejects.toThrow(/backslashes.*sql-client -c repairs it$/);
    await ledger.create(definition);
    expect(await other.open()).toBe(definition);
  });
});
