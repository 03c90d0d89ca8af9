import { readFileSync } from 'node:fs';
import { closest } from './closest.js';
import { UsageError } from './errors.js';
import { withoutPassword } from './secrets.js';

/** What a URL of a service is refused with: a sentence that follows the name of its key. */
export function notOfForm(url: string, form: string, others: string): UsageError {
  const login = /^(?:[\w+.-]+:\/\/)?(.*)@/s.exec(url)?.[1] ?? '';
  const hint = /[/?#@]/.test(login) ? '. In a password write / as %2F, ? as %3F, # as %23 and @ as %40' : '';
  return new UsageError(`expected ${form}, got ${withoutPassword(url)}; other forms: ${others}${hint}`);
}

/** Undoes percent-encoding in one part of a URL. */
export function decodePart(text: string, what: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`the ${what} has a % that is not an escape: write %25`);
  }
}

/** Refuses options that are not known, so that none is ignored. */
export function refuseUnknownOptions(options: URLSearchParams, known: readonly string[]): void {
  for (const name of options.keys()) {
    if (known.includes(name) || name === secretFileOption) continue;
    const meant = closest(name, known);
    const advice = meant ? `did you mean ${meant}?` : `known are ${known.join(', ')}`;
    throw new UsageError(`unknown option ${name}: ${advice}`);
  }
}

/** The option by which a URL tells the mounted file that it came from. The configuration adds it, as the last one. */
const secretFileOption = 'secretFile';

export function withSecretFile(url: string, file: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}${secretFileOption}=${encodeURIComponent(file)}`;
}

/** The file that a URL came from, if it did: it is read again when the password is refused. */
export function secretFileOf(options: URLSearchParams): { secretFile?: string } {
  const secretFile = options.get(secretFileOption);
  return secretFile ? { secretFile } : {};
}

/** What that file holds now, read as a URL; `undefined` where it holds none. */
export function readSecretFile<T>(file: string, parse: (url: string) => T): T | undefined {
  try {
    return parse(readFileSync(file, 'utf8').trim());
  } catch {
    return undefined; // The refusal of the old password is what is reported.
  }
}
