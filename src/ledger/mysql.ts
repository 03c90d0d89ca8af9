import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isIP } from 'node:net';
import { checkServerIdentity, TLSSocket } from 'node:tls';
import type { Knex } from 'knex';
import mysql, { type Connection, type ConnectionOptions, type SslOptions } from 'mysql2';
import { type MysqlAddress, parseDatabaseUrl, type TlsMode } from '../support/databaseAddress.js';
import { messageOf, UsageError } from '../support/errors.js';
import { readSecretFile } from '../support/urls.js';
import { type cloudSqlConnector, cloudSqlStream } from './cloudSql.js';
import { isLoginRefused } from './failures.js';
import { setSession } from './session.js';

const require = createRequire(import.meta.url);

/** Makes a connection with these settings. */
type Connect = (settings: ConnectionOptions) => Promise<Connection>;

/** What knex does with MySQL: each connection by TLS as `ssl-mode` says, its session set completely. */
export function mysqlClient(address: MysqlAddress, connector: typeof cloudSqlConnector): typeof Knex.Client {
  const Dialect: typeof Knex.Client = require('knex/lib/dialects/mysql2/index.js');
  const server = new MysqlServer(address, connector);
  return class extends Dialect {
    override acquireRawConnection(): Promise<Connection> {
      return server.connect((settings) => {
        // Read in the very next step: connections that are made at once do not mix their settings.
        this.connectionSettings = settings;
        return super.acquireRawConnection();
      });
    }
  };
}

class MysqlServer {
  private connector: ReturnType<typeof cloudSqlConnector> | undefined;

  constructor(
    private address: MysqlAddress,
    private readonly connectorOf: typeof cloudSqlConnector,
  ) {}

  async connect(open: Connect): Promise<Connection> {
    const connection = await this.reach(open).catch((error) => {
      if (!isLoginRefused(error) || !this.renewLogin()) throw error;
      return this.reach(open);
    });
    try {
      this.checkName(connection);
      await setSession(connection);
      return connection;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** Takes user and password from the secret file as it is now; false: they are those that were refused. */
  private renewLogin(): boolean {
    const { secretFile, user, password } = this.address;
    const found = secretFile ? readSecretFile(secretFile, parseDatabaseUrl) : undefined;
    if (found?.kind !== 'mysql' || (found.user === user && found.password === password)) return false;
    this.address = { ...this.address, user: found.user, password: found.password };
    return true;
  }

  private async reach(open: Connect): Promise<Connection> {
    const { tls, socketPath, cloudSql } = this.address;
    const settings = await this.settings();
    const isPlain = tls.mode === 'DISABLED' || cloudSql || (socketPath && tls.mode === 'PREFERRED');
    if (isPlain) return open(settings);
    try {
      return await open({ ...settings, ssl: this.ssl() });
    } catch (error) {
      const { code } = error as { code?: string };
      if (tls.mode === 'PREFERRED' && code === 'HANDSHAKE_NO_SSL_SUPPORT') return open(settings);
      throw error;
    }
  }

  private async settings(): Promise<ConnectionOptions> {
    const { host, port, socketPath, cloudSql, user, password, database } = this.address;
    return {
      ...(socketPath ? { socketPath } : { host, port }),
      user,
      password,
      database,
      ...(cloudSql ? { stream: await this.stream(cloudSql) } : {}),
      charset: 'utf8mb4',
      timezone: 'Z',
      dateStrings: true,
      flags: ['-FOUND_ROWS'], // rows that a statement leaves as they are do not count as changed
      connectTimeout: 10_000,
      // Statements that carry their values are not searched for placeholders.
      queryFormat: (sql: string, values: Parameters<typeof mysql.format>[1][] = []) =>
        values.length === 0 ? sql : mysql.format(sql, values),
    };
  }

  private async stream({ name, ipType }: NonNullable<MysqlAddress['cloudSql']>): Promise<ConnectionOptions['stream']> {
    this.connector ??= this.connectorOf();
    const instance = { name, ipType, byIam: this.address.password === '' };
    return (await cloudSqlStream(instance, await this.connector)).stream as ConnectionOptions['stream'];
  }

  /** Read for each connection: certificates are renewed. */
  private ssl(): SslOptions {
    const { mode, ca, cert, key } = this.address.tls;
    return {
      rejectUnauthorized: verifies(mode),
      verifyIdentity: mode === 'VERIFY_IDENTITY' && !this.hasNumericHost,
      ...(ca ? { ca: readOption('ssl-ca', ca) } : {}),
      ...(cert ? { cert: readOption('ssl-cert', cert) } : {}),
      ...(key ? { key: readOption('ssl-key', key) } : {}),
    };
  }

  /** mysql2 checks the names in certificates, but no IP addresses. */
  private checkName(connection: Connection): void {
    if (this.address.tls.mode !== 'VERIFY_IDENTITY' || !this.hasNumericHost) return;
    const { stream } = connection as unknown as { stream: unknown };
    if (!(stream instanceof TLSSocket)) throw new Error('the connection to the database is not encrypted');
    const wrong = checkServerIdentity(this.address.host, stream.getPeerCertificate(true));
    if (wrong) throw wrong;
  }

  private get hasNumericHost(): boolean {
    return isIP(this.address.host) !== 0;
  }
}

function verifies(mode: TlsMode): boolean {
  return mode === 'VERIFY_CA' || mode === 'VERIFY_IDENTITY';
}

function readOption(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UsageError(`database.url: ${name}: ${messageOf(error)}`);
  }
}
