import { resolve } from 'node:path';
import { parseRedisUrl } from '../support/redisAddress.js';

export { redisUrlWanted } from '../support/redisAddress.js';

export const databaseUrlWanted =
  'mysql://user@host:port/database, mysql://user@localhost/database?socketPath=/path/to.sock or sqlite:path';
export const artifactsUrlWanted = 'file:path or gs://bucket/prefix';

const pathUrl = /^(sqlite|file|unix|redis\+unix):(?:\/\/(?=\/))?(.+)$/;

export function isRedisUrl(url: string): boolean {
  return isPathUrl(url, ['unix', 'redis+unix']) || parseRedisUrl(url) !== undefined;
}

export function isDatabaseUrl(url: string): boolean {
  if (isPathUrl(url, ['sqlite'])) return url !== 'sqlite::memory:';
  return hasHost(url, ['mysql:', 'mariadb:']) && /^\/[^/]+$/.test(new URL(url).pathname);
}

export function isArtifactsUrl(url: string): boolean {
  return isPathUrl(url, ['file']) || /^gs:\/\/[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](\/[^?#]*)?$/.test(url);
}

/**
 * One form of each URL: a path (`sqlite:`, `file:`, `unix:`, `socketPath`) is absolute, a relative one being taken from
 * the folder, and so is `ca`; `mariadb:` becomes `mysql:`, `redis+unix:` becomes `unix:`.
 */
export function resolveUrl(url: string, folder: string): string {
  const [, scheme, path] = pathUrl.exec(url) ?? [];
  if (path !== undefined) return `${scheme === 'redis+unix' ? 'unix' : scheme}:${resolve(folder, path)}`;
  if (url.startsWith('redis')) {
    const absolute = (file: string) => encodeURIComponent(resolve(folder, decodeURIComponent(file)));
    return url.replace(/(?<=[?&]ca=)[^&]+/, absolute);
  }
  const plain = url.replace(/^mariadb:/, 'mysql:');
  const socket = plain.startsWith('mysql:') ? new URL(plain).searchParams.get('socketPath') : null;
  if (socket === null || socket.startsWith('/')) return plain;
  const resolved = new URL(plain);
  resolved.searchParams.set('socketPath', resolve(folder, socket));
  return resolved.href;
}

function isPathUrl(url: string, schemes: readonly string[]): boolean {
  const [, scheme] = pathUrl.exec(url) ?? [];
  return scheme !== undefined && schemes.includes(scheme);
}

function hasHost(url: string, schemes: readonly string[]): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return schemes.includes(protocol) && hostname !== '';
}
