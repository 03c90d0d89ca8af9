import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryFolder } from './folder.js';

const run = promisify(execFile);

/** An authority of one's own, and a certificate of its for 127.0.0.1: a server's, or a client's; paths of the files, all in one folder. */
export async function certificates(): Promise<{ folder: string; ca: string; cert: string; key: string }> {
  const folder = temporaryFolder();
  const [ca, caKey, cert, key, request, names] = ['ca.pem', 'ca.key', 'cert.pem', 'key.pem', 'request', 'names'].map(
    (name) => join(folder, name),
  ) as [string, string, string, string, string, string];
  const openssl = (...args: string[]) => run('openssl', args);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await openssl('req', '-x509', ...curve, '-keyout', caKey, '-out', ca, '-days', '2', '-subj', '/CN=test authority');
  await openssl('req', ...curve, '-keyout', key, '-out', request, '-subj', '/CN=127.0.0.1');
  writeFileSync(names, 'subjectAltName=IP:127.0.0.1\n');
  const signed = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-extfile', names, '-days', '2'];
  await openssl('x509', '-req', '-in', request, '-out', cert, ...signed);
  return { folder, ca, cert, key };
}
