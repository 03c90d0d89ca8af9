/**
 * What a service's error means for the caller. `outage`: the same call may succeed later, so ask again. `permanent`: it fails until
 * somebody changes a password, a right or an address. `bug`: neither, so it is a fault of this program.
 */
export type FailureClass = 'outage' | 'permanent' | 'bug';

export interface Failure {
  class: FailureClass;
  /** What the error means, as a phrase. */
  meaning: string;
}

export const outage = (meaning: string): Failure => ({ class: 'outage', meaning });
export const permanent = (meaning: string): Failure => ({ class: 'permanent', meaning });
export const bug: Failure = { class: 'bug', meaning: 'a fault of this program' };

/** System and TLS errors of a connection, by Node's code. Every other error of the network is an outage. */
const connectionFailures: Readonly<Record<string, Failure>> = {
  EACCES: permanent('this user may not open the socket'),
  EPERM: permanent('this user may not connect there'),
  EPROTO: permanent('the TLS handshake failed: does the server speak TLS?'),
  ERR_SSL_WRONG_VERSION_NUMBER: permanent('the server does not speak TLS'),
  ERR_SSL_PACKET_LENGTH_TOO_LONG: permanent('the server does not speak TLS'),
  ERR_TLS_CERT_ALTNAME_INVALID: permanent("the server's certificate is for another host"),
  HOSTNAME_MISMATCH: permanent("the server's certificate is for another host"),
  CERT_HAS_EXPIRED: permanent("the server's certificate has expired"),
  CERT_NOT_YET_VALID: permanent("the server's certificate is not valid yet"),
  CERT_REVOKED: permanent("the server's certificate was revoked"),
  CERT_UNTRUSTED: permanent("the server's certificate is not trusted"),
  DEPTH_ZERO_SELF_SIGNED_CERT: permanent("no known authority signed the server's certificate"),
  SELF_SIGNED_CERT_IN_CHAIN: permanent("no known authority signed the server's certificate"),
  UNABLE_TO_GET_ISSUER_CERT: permanent("no known authority signed the server's certificate"),
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: permanent("no known authority signed the server's certificate"),
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: permanent("no known authority signed the server's certificate"),
};

/** What an error of the operating system or of TLS means; undefined for any other error. */
export function connectionFailure(error: unknown): Failure | undefined {
  const { code = '', syscall } = error as NodeJS.ErrnoException;
  const known = connectionFailures[code];
  if (known) return known;
  return syscall !== undefined || networkCodes.has(code) ? outage('the network or the server is away') : undefined;
}

/** Codes that Node gives errors of the network where no system call failed. */
const networkCodes = new Set(['ECONNRESET', 'ECONNREFUSED', 'ETIMEDOUT', 'EPIPE', 'ENETUNREACH', 'EHOSTUNREACH']);
