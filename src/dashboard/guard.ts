import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { hostNamed, isLoopback } from '../support/loopback.js';

/** Nothing but what this server itself serves; no script or style in the page's text. */
export const pageHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** Whether a request shows the token. Takes the same time wherever the texts differ. */
export function showsToken(authorization: string | undefined, token: string): boolean {
  const shown = /^Bearer (.+)$/.exec(authorization ?? '')?.[1] ?? '';
  const [one, other] = [shown, token].map((text) => createHash('sha256').update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(one, other);
}

/**
 * Whether a request was meant for this server. A page of another site whose name leads here (DNS rebinding) sends that site's
 * name; it cannot send an address. So a server on loopback answers to the names of loopback; elsewhere to any address as well,
 * as it may be published or scraped by one that it does not know; and both to the names that they were told.
 */
export function isMeantForHere(hostHeader: string | undefined, listensOn: string, allowed: readonly string[]): boolean {
  const name = hostNamed(hostHeader);
  if (isLoopback(name) || name === listensOn.toLowerCase() || allowed.includes(name)) return true;
  return !isLoopback(listensOn) && isIP(name) !== 0;
}

const maxAddresses = 10_000;
/** Mistakes that cost nothing: people mistype. */
const freeMistakes = 3;
const maxDelaySeconds = 60;
const forgetMs = 15 * 60_000;

/** Slows down whoever guesses tokens: after each wrong one, its address is refused for twice as long as before. */
export class WrongTokens {
  /** The address that erred longest ago comes first. */
  private readonly known = new Map<string, { mistakes: number; at: number; refusedUntil: number }>();

  constructor(private readonly nowMs: () => number = () => performance.now()) {}

  /** Seconds until that address is heard again; 0: it is heard now. */
  waitSeconds(address: string): number {
    const refusedUntil = this.known.get(networkOf(address))?.refusedUntil ?? 0;
    return Math.max(0, Math.ceil((refusedUntil - this.nowMs()) / 1000));
  }

  add(address: string): void {
    const [network, at] = [networkOf(address), this.nowMs()];
    const before = this.known.get(network);
    const mistakes = (before && at - before.at < forgetMs ? before.mistakes : 0) + 1;
    const delaySeconds = mistakes <= freeMistakes ? 0 : Math.min(maxDelaySeconds, 2 ** (mistakes - freeMistakes - 1));
    this.known.delete(network);
    this.known.set(network, { mistakes, at, refusedUntil: at + 1000 * delaySeconds });
    const [first] = this.known.keys();
    if (this.known.size > maxAddresses && first !== undefined) this.known.delete(first);
  }
}

/** Whoever has one IPv6 address has all that share its first 64 bits. */
function networkOf(address: string): string {
  if (isIP(address) !== 6 || address.startsWith('::ffff:')) return address;
  const [head = '', tail = ''] = address.split('::');
  const [left, right] = [head, tail].map((part) => part.split(':').filter((word) => word !== '')) as [
    string[],
    string[],
  ];
  const zeros = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...zeros, ...right].slice(0, 4).join(':');
}
