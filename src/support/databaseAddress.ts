import { UsageError } from './errors.js';
import { decodePart, notOfForm, refuseUnknownOptions, secretFileOf } from './urls.js';

export type DatabaseAddress = { kind: 'sqlite'; file: string } | MysqlAddress;

/** A MySQL or MariaDB server, and the database on it. */
export interface MysqlAddress {
  kind: 'mysql';
  host: string;
  port: number;
  /** A Unix socket's path, instead of host and port. */
  socketPath?: string;
  user: string;
  password: string;
  database: string;
  tls: TlsOptions;
  /** A Cloud SQL instance, instead of host and port. */
  cloudSql?: { name: string; ipType: string };
  /** The mounted file that the URL came from. */
  secretFile?: string;
}

/** As the options of MySQL's own clients. */
export interface TlsOptions {
  mode: TlsMode;
  /** Files. */
  ca?: string;
  cert?: string;
  key?: string;
}

const tlsModes = ['DISABLED', 'PREFERRED', 'REQUIRED', 'VERIFY_CA', 'VERIFY_IDENTITY'] as const;
export type TlsMode = (typeof tlsModes)[number];

/** Options that name files. */
export const databaseFileOptions = ['socketPath', 'ssl-ca', 'ssl-cert', 'ssl-key'];
const optionNames = ['ssl-mode', ...databaseFileOptions, 'ssl', 'cloudSql', 'ipType'];

const form = 'mysql://user@host:port/database';
const otherForms = 'mysql://user@localhost/database?socketPath=/path/to.sock, sqlite:path';

/** Reads `mysql:`, `mariadb:` and `sqlite:` URLs. Throws a `UsageError` whose message follows the name of the URL's key. */
export function parseDatabaseUrl(url: string): DatabaseAddress {
  const file = /^sqlite:(?:\/\/(?=\/))?(.+)$/.exec(url)?.[1];
  if (file !== undefined && file !== ':memory:') return { kind: 'sqlite', file };
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isMysql = parsed && ['mysql:', 'mariadb:'].includes(parsed.protocol);
  if (!isMysql || parsed.hostname === '' || !/^\/[^/]+$/.test(parsed.pathname)) throw notOfForm(url, form, otherForms);
  const { hostname, port, username, password, pathname, searchParams: options } = parsed;
  refuseUnknownOptions(options, optionNames);
  const socketPath = options.get('socketPath');
  const cloudSql = options.get('cloudSql');
  return {
    kind: 'mysql',
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port || 3306),
    user: decodePart(username, 'user'),
    password: decodePart(password, 'password'),
    database: decodePart(pathname.slice(1), 'name of the database'),
    tls: tlsOptions(options),
    ...secretFileOf(options),
    ...(socketPath ? { socketPath } : {}),
    ...(cloudSql ? { cloudSql: { name: cloudSql, ipType: ipTypeOf(options) } } : {}),
  };
}

function ipTypeOf(options: URLSearchParams): string {
  const ipType = options.get('ipType') ?? 'PUBLIC';
  if (['PUBLIC', 'PRIVATE', 'PSC'].includes(ipType)) return ipType;
  throw new UsageError(`ipType: expected PUBLIC, PRIVATE or PSC, got ${ipType}`);
}

function tlsOptions(options: URLSearchParams): TlsOptions {
  const files = Object.fromEntries(
    (['ca', 'cert', 'key'] as const).flatMap((name) => {
      const file = options.get(`ssl-${name}`);
      return file ? [[name, file]] : [];
    }),
  ) as Omit<TlsOptions, 'mode'>;
  const mode = tlsMode(options, files.ca !== undefined);
  if (options.has('cloudSql') && (options.has('ssl-mode') || options.has('ssl') || Object.keys(files).length > 0))
    throw new UsageError('the ssl options do not apply to cloudSql: its connector always uses TLS');
  if (mode === 'DISABLED' && Object.keys(files).length > 0)
    throw new UsageError('ssl-mode=DISABLED uses no ssl-ca, ssl-cert or ssl-key: leave them out, or name another mode');
  if (files.ca && !mode.startsWith('VERIFY_'))
    throw new UsageError(`ssl-mode=${mode} does not check ssl-ca: expected VERIFY_CA or VERIFY_IDENTITY`);
  if ((files.cert === undefined) !== (files.key === undefined))
    throw new UsageError('ssl-cert and ssl-key belong together: one of them is missing');
  return { mode, ...files };
}

/** MySQL's clients prefer TLS where nothing is said, and check the certificate where an authority is named. */
function tlsMode(options: URLSearchParams, hasAuthority: boolean): TlsMode {
  const [given, old] = [options.get('ssl-mode'), options.get('ssl')];
  if (given !== null && old !== null) throw new UsageError('ssl and ssl-mode are both given: expected ssl-mode alone');
  if (old !== null) return oldTlsMode(old);
  if (given === null) return hasAuthority ? 'VERIFY_CA' : 'PREFERRED';
  const mode = tlsModes.find((name) => name === given.toUpperCase());
  if (!mode) throw new UsageError(`ssl-mode: expected ${tlsModes.join(', ')}, got ${given}`);
  return mode;
}

/** Version 0.1.0 had `ssl`: any text turned TLS on, `unverified` without checking the certificate. */
function oldTlsMode(text: string): TlsMode {
  if (text === 'unverified') return 'REQUIRED';
  if (['true', '1', 'on', 'yes', 'verified'].includes(text)) return 'VERIFY_CA';
  throw new UsageError(`ssl=${text} has no clear meaning: expected ssl-mode=${tlsModes.join(', ssl-mode=')}`);
}
