import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { messageOf } from '../../support/errors.js';

/** What the engine shows a registry. */
export type Credentials =
  | { username: string; password: string; serveraddress: string }
  | { identitytoken: string; serveraddress: string };

const dockerHub = 'https://index.docker.io/v1/';
const helperMilliseconds = 60_000;

const configSchema = z.object({
  auths: z
    .record(z.string(), z.object({ auth: z.string().optional(), identitytoken: z.string().optional() }))
    .default({}),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).default({}),
});

const answerSchema = z.object({ Username: z.string(), Secret: z.string() });

/** The name under which Docker's configuration knows the registry of an image. */
export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/');
  const named = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  return named && first !== 'docker.io' ? first : dockerHub;
}

/**
 * The user's own credentials for an image's registry, from Docker's configuration (`DOCKER_CONFIG`, `~/.docker`): its
 * credential helpers first, then what stands in the file. Undefined: none are known, and the pull is anonymous.
 */
export async function credentialsFor(
  image: string,
  note: (sentence: string) => void,
): Promise<Credentials | undefined> {
  const registry = registryOf(image);
  try {
    const { auths, credsStore, credHelpers } = await readConfig();
    const helper = credHelpers[registry] ?? credsStore;
    const helped = helper === undefined ? undefined : await askHelper(helper, registry);
    return helped ?? stored(auths[registry] ?? auths[`https://${registry}`], registry);
  } catch (error) {
    note(`Docker's configuration gives no credentials for ${registry}: ${messageOf(error)}`);
    return undefined;
  }
}

async function readConfig(): Promise<z.output<typeof configSchema>> {
  const path = join(process.env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json');
  const content = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '{}';
    throw error;
  });
  const checked = configSchema.safeParse(parse(content));
  if (!checked.success) throw new Error(`${path} is not what Docker writes`);
  return checked.data;
}

/** JSON, or null: an error of the parser would quote what may be a secret. */
function parse(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return null;
  }
}

function stored(
  entry: { auth?: string | undefined; identitytoken?: string | undefined } | undefined,
  serveraddress: string,
): Credentials | undefined {
  if (entry?.identitytoken) return { identitytoken: entry.identitytoken, serveraddress };
  if (!entry?.auth) return undefined;
  const [, username, password] = /^([^:]+):(.*)$/s.exec(Buffer.from(entry.auth, 'base64').toString()) ?? [];
  return username === undefined || password === undefined ? undefined : { username, password, serveraddress };
}

/** Asks `docker-credential-<helper>`. Undefined: it knows nothing of this registry. */
async function askHelper(helper: string, serveraddress: string): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9_-]+$/.test(helper)) throw new Error('the name of a credential helper has letters that none has');
  const program = `docker-credential-${helper}`;
  const child = spawn(program, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], timeout: helperMilliseconds });
  const status = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  child.stdin.on('error', () => {}); // it need not read what it is asked
  child.stdin.end(serveraddress);
  const [answer, code] = await Promise.all([text(child.stdout), status]);
  if (/credentials not found/i.test(answer)) return undefined;
  const checked = answerSchema.safeParse(parse(answer));
  if (code !== 0 || !checked.success) throw new Error(`${program} failed with status ${code}`);
  const { Username, Secret } = checked.data;
  if (Username === '<token>') return { identitytoken: Secret, serveraddress };
  return { username: Username, password: Secret, serveraddress };
}
