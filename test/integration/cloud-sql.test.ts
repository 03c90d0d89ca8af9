import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { Connector } from '@google-cloud/cloud-sql-connector';
import { expect, test } from 'vitest';
import { loadConfig } from '../../src/config/config.js';
import { ask, connectDatabase } from '../../src/ledger/connect.js';
import { Refused } from '../../src/support/errors.js';
import { temporaryFolder } from '../support/folder.js';
import { startMariadb } from '../support/mariadb.js';
import { atEnd } from '../support/scope.js';

const run = promisify(execFile);
const [project, region, instance] = ['my-project', 'us-central1', 'pyatmos'];
const name = `${project}:${region}:${instance}`;
/** Where Google's connector finds every instance. */
const cloudSqlPort = 3307;

/** A Google account, as far as Google's libraries ask of one. */
const account = {
  getAccessToken: async () => ({ token: 'token' }),
  credentials: { expiry_date: Date.now() + 3_600_000 },
  request: async ({ url, method = 'GET', data }: { url: string; method?: string; data?: object }) => {
    const response = await fetch(url, { method, ...(data ? { body: JSON.stringify(data) } : {}) });
    return { status: response.status, data: await response.json() };
  },
} as unknown as AuthClient;

type AuthClient = Exclude<
  NonNullable<NonNullable<ConstructorParameters<typeof Connector>[0]>['auth']>,
  { fromJSON: unknown }
>;

/** Cloud SQL in small: Google's interface that gives certificates, and the port that wants them, before a real server. */
async function startCloudSql(databaseSocket: string) {
  const folder = temporaryFolder();
  const file = (kind: string) => join(folder, kind);
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  await openssl(...made, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', `/CN=${project}:${instance}`);
  const ca = readFileSync(file('ca.pem'), 'utf8');
  const seen: string[] = [];

  const google = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push(`${request.method} ${request.url?.split('/').at(-1)}`);
    response.setHeader('content-type', 'application/json');
    const expirationTime = new Date(Date.now() + 3_600_000).toISOString();
    if (request.method === 'GET') {
      const ipAddresses = [{ type: 'PRIMARY', ipAddress: '127.0.0.1' }];
      response.end(JSON.stringify({ region, ipAddresses, serverCaCert: { cert: ca, expirationTime } }));
      return;
    }
    writeFileSync(file('client.pub'), JSON.parse(body).public_key);
    await openssl('req', '-new', '-key', 'ca.key', '-subj', '/CN=client', '-out', 'client.csr');
    const signed = [
      '-force_pubkey',
      'client.pub',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-days',
      '1',
    ];
    await openssl('x509', '-req', '-in', 'client.csr', '-out', 'client.pem', ...signed);
    response.end(JSON.stringify({ ephemeralCert: { cert: readFileSync(file('client.pem'), 'utf8'), expirationTime } }));
  }).listen(0, '127.0.0.1');
  await once(google, 'listening');
  atEnd(() => google.close());

  const key = readFileSync(file('ca.key'));
  const front = createTlsServer({ key, cert: ca, ca, requestCert: true, rejectUnauthorized: true }, (client) => {
    const server = connect(databaseSocket);
    client.pipe(server).pipe(client);
    for (const end of [client, server]) end.on('error', () => [client, server].map((stream) => stream.destroy()));
  }).listen(cloudSqlPort, '127.0.0.1');
  await once(front, 'listening');
  atEnd(() => front.close());
  return { api: `http://127.0.0.1:${(google.address() as AddressInfo).port}/`, seen };
}

test('a database on Cloud SQL is reached by TLS with certificates of the hour, and by IAM without a password', async () => {
  const server = await startMariadb();
  const { api, seen } = await startCloudSql(server.socket);
  const path = join(temporaryFolder(), 'atmos-fleet.yaml');
  const parameters = '{ a: { start: 1, step: 1, max: 3 } }';
  const database = `{ url: mysql://root@localhost/test, cloudSql: "${name}" }`;
  writeFileSync(path, `{ name: x, parameters: ${parameters}, database: ${database} }`);
  const { url } = loadConfig({ path, env: {} }).database;
  const connectors: Connector[] = [];
  const db = connectDatabase(url, async () => {
    connectors.push(new Connector({ auth: account, sqlAdminAPIEndpoint: api }));
    return connectors[0] as Connector;
  });
  atEnd(async () => {
    await db.destroy();
    for (const connector of connectors) connector.close();
  });
  expect(await ask(db.raw('select 41 + 1 as answer'))).toMatchObject([[{ answer: 42 }], expect.anything()]);
  expect(seen).toContain('GET connectSettings');
  expect(seen.some((call) => call.startsWith('POST') && call.includes('generateEphemeralCert'))).toBe(true);
});

test('a database on Cloud SQL that Google does not tell of is waited for', async () => {
  const db = connectDatabase(`mysql://root@localhost/test?cloudSql=${name}`, async () => {
    return new Connector({ auth: account, sqlAdminAPIEndpoint: 'http://127.0.0.1:1/' });
  });
  atEnd(() => db.destroy());
  await expect(ask(db.raw('select 1'))).rejects.toThrow(/^Cloud SQL my-project:us-central1:pyatmos/);
});

test('what Google refuses is a refusal: no such instance, no right', async () => {
  const refusing = (status: number) => ({
    ...account,
    request: () => Promise.reject(Object.assign(new Error('refused'), { status, code: status })),
  });
  for (const [status, sentence] of [
    [403, /^Cloud SQL \S+: refused; the account lacks the role Cloud SQL Client/],
    [404, /^Cloud SQL \S+: refused; there is no such instance/],
  ] as const) {
    const db = connectDatabase(`mysql://root@localhost/test?cloudSql=${name}`, async () => {
      return new Connector({ auth: refusing(status) as unknown as AuthClient });
    });
    atEnd(() => db.destroy());
    const answer = ask(db.raw('select 1'));
    await expect(answer).rejects.toThrow(Refused);
    await expect(answer).rejects.toThrow(sentence);
  }
});
