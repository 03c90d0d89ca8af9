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
export function refuseUnknownOptions(options: URLSearchParams, known: readonly string[], internal = ''): void {
  for (const name of options.keys()) {
    if (known.includes(name) || name === internal) continue;
    const meant = closest(name, known);
    const advice = meant ? `did you mean ${meant}?` : `known are ${known.join(', ')}`;
    throw new UsageError(`unknown option ${name}: ${advice}`);
  }
}
