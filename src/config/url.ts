import { resolve } from 'node:path';
import { databaseFileOptions, parseDatabaseUrl } from '../support/databaseAddress.js';
import { UsageError } from '../support/errors.js';
import { parseRedisUrl } from '../support/redisAddress.js';

export const artifactsUrlWanted = 'file:path or gs://bucket/prefix';

const pathUrl = /^(sqlite|file|unix|redis\+unix):(?:\/\/(?=\/))?(.+)$/;

/** What is wrong with a URL of Redis, as a sentence. */
export function redisUrlProblem(url: string): string | undefined {
  return isPathUrl(url, ['unix', 'redis+unix']) ? undefined : problemOf(() => parseRedisUrl(url));
}

/** What is wrong with a URL of a database, as a sentence. */
export function databaseUrlProblem(url: string): string | undefined {
  return problemOf(() => parseDatabaseUrl(url));
}

function problemOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
}

export function isArtifactsUrl(url: string): boolean {
  return isPathUrl(url, ['file']) || /^gs:\/\/[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](\/[^?#]*)?$/.test(url);
}

/**
 * One form of each URL: a path (`sqlite:`, `file:`, `unix:`, `socketPath`) is absolute, a relative one being taken from
 * the folder, and so are the files of `ca` and `ssl-…`; `mariadb:` becomes `mysql:`, `redis+unix:` becomes `unix:`.
 */
export function resolveUrl(url: string, folder: string): string {
  const [, scheme, path] = pathUrl.exec(url) ?? [];
  if (path !== undefined) return `${scheme === 'redis+unix' ? 'unix' : scheme}:${resolve(folder, path)}`;
  if (url.startsWith('redis')) {
    const absolute = (file: string) => encodeURIComponent(resolve(folder, decodeURIComponent(file)));
    return url.replace(/(?<=[?&]ca=)[^&]+/, absolute);
  }
  const plain = url.replace(/^mariadb:/, 'mysql:');
  if (!plain.startsWith('mysql:')) return plain;
  const resolved = new URL(plain);
  const relative = databaseFileOptions.filter((name) => /^[^/]/.test(resolved.searchParams.get(name) ?? ''));
  for (const name of relative) resolved.searchParams.set(name, resolve(folder, resolved.searchParams.get(name) ?? ''));
  return relative.length === 0 ? plain : resolved.href;
}

function isPathUrl(url: string, schemes: readonly string[]): boolean {
  const [, scheme] = pathUrl.exec(url) ?? [];
  return scheme !== undefined && schemes.includes(scheme);
}
