import { decodePart, notOfForm, refuseUnknownOptions } from './urls.js';

/** Where a Redis is: one server, the master that Sentinels name, or the node of a Cluster that holds a search. */
export interface RedisAddress {
  kind: 'server' | 'sentinel' | 'cluster';
  /** The servers to ask, several for Sentinels and Clusters; none for a socket. */
  hosts: readonly { host: string; port: number }[];
  /** A Unix socket's path. */
  socket?: string;
  /** The name that Sentinels know the master by. */
  master?: string;
  username?: string;
  password?: string;
  sentinelUsername?: string;
  sentinelPassword?: string;
  /** The number of the database; Clusters have 0 alone. */
  db: number;
  tls: boolean;
  /** A file with the certificates of the authorities to trust, where they are not the usual ones. */
  ca?: string;
  /** The mounted file that the URL came from. */
  secretFile?: string;
}

const form = 'redis://host:port';
const otherForms =
  'redis+sentinel://host:port,host:port/master, redis+cluster://host:port,host:port ' +
  '(rediss instead of redis for TLS), unix:/path/to.sock';

const shape =
  /^redis(?<tls>s)?(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<hosts>[^@/?#]+)(?<path>\/[^?#]*)?(?:\?(?<query>[^#]*))?$/;
const hostShape = /^(?:\[([0-9a-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/i;
const optionNames = ['ca', 'sentinelUsername', 'sentinelPassword'];

/** Reads `redis:`, `rediss:` and `unix:` URLs. Throws a `UsageError` whose message follows the name of the URL's key. */
export function parseRedisUrl(url: string): RedisAddress {
  const [, socket, socketDb] = /^(?:redis\+)?unix:(?:\/\/)?(\/[^?]*)(?:\?db=(\d+))?$/.exec(url) ?? [];
  if (socket) {
    return { kind: 'server', hosts: [], socket: decodePart(socket, 'path'), db: Number(socketDb ?? 0), tls: false };
  }
  const parts = shape.exec(url)?.groups;
  const address = parts && fromParts(parts);
  if (!address) throw notOfForm(url, form, otherForms);
  return address;
}

function fromParts({
  tls,
  kind = 'server',
  user,
  password,
  hosts = '',
  path = '',
  query = '',
}: Record<string, string | undefined>) {
  const found = hosts.split(',').map((host) => parseHost(host, kind === 'sentinel' ? 26_379 : 6379));
  const segments = path
    .split('/')
    .slice(1)
    .map((part) => decodePart(part, 'path'));
  const master = kind === 'sentinel' ? segments.shift() : undefined;
  const db = Number(segments.shift() || 0);
  const options = new URLSearchParams(query);
  refuseUnknownOptions(options, optionNames);
  const fine =
    found.every((host) => host !== undefined) &&
    (kind !== 'server' || found.length === 1) &&
    (kind !== 'sentinel' || (master !== undefined && master !== '')) &&
    Number.isInteger(db) &&
    db >= 0 &&
    segments.length === 0 &&
    (kind !== 'cluster' || db === 0);
  if (!fine) return undefined;
  return {
    kind: kind as RedisAddress['kind'],
    hosts: found as { host: string; port: number }[],
    db,
    tls: tls !== undefined,
    ...(master ? { master } : {}),
    ...(user ? { username: decodePart(user, 'user') } : {}),
    ...(password ? { password: decodePart(password, 'password') } : {}),
    ...Object.fromEntries(options),
  };
}

function parseHost(text: string, defaultPort: number): { host: string; port: number } | undefined {
  const [whole, inBrackets, plain, port] = hostShape.exec(text) ?? [];
  const number = Number(port ?? defaultPort);
  return whole === undefined || number > 65_535 ? undefined : { host: (inBrackets ?? plain) as string, port: number };
}
