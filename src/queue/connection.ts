import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { Redis, type RedisOptions } from 'ioredis';
import { messageOf, Refused, Unavailable, UsageError } from '../support/errors.js';
import { inTime } from '../support/patience.js';
import { parseRedisUrl, type RedisAddress } from '../support/redisAddress.js';
import { withoutPassword } from '../support/secrets.js';
import { readSecretFile } from '../support/urls.js';
import { clusterConnector } from './cluster.js';
import { isLoginRefused, redisFailure, replyCode, replyText } from './failures.js';

/** Seconds that a blocking call waits at the server. */
export const blockSeconds = 5;
/** Milliseconds within which a server answers a new connection. */
const handshakeMs = 5000;

const scriptNames = [
  'admit',
  'announce',
  'beat',
  'close',
  'drop',
  'expired',
  'fill',
  'finish',
  'lease',
  'look',
  'propose',
  'publish',
  'read',
  'renew',
  'requeue',
  'rights',
  'strays',
  'suspend',
  'take',
  'takeover',
] as const;

export type ScriptName = (typeof scriptNames)[number];

export type ScriptArgument = string | number;

const lua = (name: string): string => readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8');

/** The scripts in lua/, one file a transition, by name; each with the part that it says it uses. */
const scripts = new Map(
  scriptNames.map((name) => {
    const text = lua(name).replace(/^-- Uses: +(\w+)$/m, (_, part) => lua(part));
    return [name, { text, sha: createHash('sha1').update(text).digest('hex') }];
  }),
);

/** Why a connection does not answer. */
interface Trouble {
  text: string;
  /** What it means, where waiting does not mend it. */
  refusal?: string;
}

/**
 * One connection to Redis whose commands fail at once, as `Unavailable`, while Redis is away: nothing is queued, nothing
 * is sent twice, and every call has a deadline.
 */
export class Connection {
  readonly redis: Redis;
  /** One outage has one name, however many ways it shows: what was met first since the last answer, or a refusal. */
  private trouble: Trouble | undefined;
  private closed = false;
  /** Why the database that the URL names by its number could not be chosen: ioredis would go on in database 0. */
  private unchosen: Error | undefined;
  private readonly login: Login;

  constructor(
    readonly url: string,
    name: string,
    /** The prefix of the search's keys: in a Cluster it tells the node. */
    readonly prefix = '',
  ) {
    const address = readUrl(url);
    this.login = new Login(address);
    const options: RedisOptions = { ...optionsOf(address, prefix, this.login), ...behaviour, connectionName: name };
    this.redis = new Redis({ ...options, replyMapping: 'legacy' });
    this.login.of(this.redis.options);
    // Every call that waits for the connection listens.
    setMaxListeners(0, this.redis);
    this.redis.on('error', (error) => this.note(error));
    this.redis.on('close', () => {
      this.unchosen = undefined;
      this.trouble ??= { text: 'the connection was lost' };
    });
    this.redis.on('ready', () => {
      if (this.trouble?.refusal !== undefined) this.trouble = undefined;
    });
  }

  /** Runs a command. Outages become `Unavailable`, refusals `Refused`; what else fails is a bug and passes through. */
  async ask<T>(command: (redis: Redis) => Promise<T>): Promise<T> {
    try {
      if (this.redis.status !== 'ready') {
        await inTime(this.connected(), handshakeMs, () => new Error(`no answer within ${handshakeMs / 1000} s`));
      }
      if (this.unchosen) throw await this.absentDatabase(this.unchosen);
      const answer = await command(this.redis);
      this.trouble = undefined;
      return answer;
    } catch (error) {
      if (error instanceof Unavailable) throw error;
      throw this.failed(error);
    }
  }

  /** An error of the connection itself, of its handshake too. */
  private note(error: unknown): void {
    const { class: kind, meaning } = redisFailure(error);
    if (commandOf(error) === 'select') this.unchosen = error as Error;
    // The next attempt has the password that the secret file holds now.
    const isRenewed = isLoginRefused(error) && this.login.renew();
    if (kind === 'permanent' && !isRenewed) this.trouble = { text: replyText(error), refusal: meaning };
    else this.trouble ??= { text: replyText(error) };
  }

  /** What the error of a command becomes: the connection's trouble, if it has one, but for what Redis refuses that command. */
  private failed(cause: unknown): unknown {
    const { class: kind, meaning } = redisFailure(cause);
    if (kind === 'bug') return cause;
    if (isLoginRefused(cause) && this.login.renew()) {
      this.redis.disconnect(true);
      return this.unavailable(cause, { text: replyText(cause) });
    }
    if (kind === 'permanent') return this.unavailable(cause, { text: replyText(cause), refusal: meaning });
    this.trouble ??= { text: replyText(cause) };
    return this.unavailable(cause, this.trouble);
  }

  private unavailable(cause: unknown, { text, refusal }: Trouble): Unavailable {
    const message = `Redis (${withoutPassword(this.url)}): ${text}`;
    const options = { cause, code: replyCode(cause) };
    return refusal === undefined ? new Unavailable(message, options) : new Refused(`${message}; ${refusal}`, options);
  }

  /**
   * Runs a script of lua/ by its digest; sends its text only where Redis does not know it. The arguments are asked for in the
   * very moment of sending: what they rely on still holds of this connection then.
   */
  async script<T>(name: ScriptName, keys: readonly string[], args: () => readonly ScriptArgument[]): Promise<T> {
    const { sha, text } = scripts.get(name) as { sha: string; text: string };
    const send = (command: string, body: string) =>
      this.ask((redis) => redis.call(command, [body, keys.length, ...keys, ...args()]) as Promise<T>);
    try {
      return await send('EVALSHA', sha);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error;
      return await send('EVAL', text);
    }
  }

  /** What the failure to choose a database by its number becomes. */
  private async absentDatabase(error: Error): Promise<unknown> {
    if (replyCode(error) !== 'ERR') return error;
    const count = await countDatabases(this.redis);
    const message = `no database ${this.redis.options.db}: this Redis has ${count}, numbered from 0`;
    return new Refused(`Redis (${withoutPassword(this.url)}): ${message}`, { cause: error });
  }

  async close(): Promise<void> {
    this.closed = true;
    this.redis.disconnect();
  }

  /** Resolves when commands can be sent; rejects when the attempt under way fails. */
  private async connected(): Promise<void> {
    if (this.closed) throw new Error('the connection was closed');
    // A client that found no Sentinel or node of a Cluster that answers has ended; the next call tries anew.
    if (this.redis.status === 'wait' || this.redis.status === 'end') {
      await this.redis.connect();
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => () => {
        this.redis.off('ready', ready);
        this.redis.off('close', closed);
        this.redis.off('end', closed);
        act();
      };
      const ready = settle(resolve);
      const closed = settle(() => reject(new Error('the connection was lost')));
      this.redis.once('ready', ready);
      this.redis.once('close', closed);
      this.redis.once('end', closed);
    });
  }
}

/** User and password: those of the address, then those that its secret file holds. */
class Login {
  private readonly users: RedisOptions[] = [];

  constructor(private readonly address: RedisAddress) {}

  /** Options that follow the login from now on. */
  of(options: RedisOptions): RedisOptions {
    this.users.push(options);
    return options;
  }

  /** Reads the secret file again; false: it holds the login that was refused. */
  renew(): boolean {
    const { secretFile, username, password } = this.address;
    const found = secretFile ? readSecretFile(secretFile, parseRedisUrl) : undefined;
    if (!found || (found.username === username && found.password === password)) return false;
    Object.assign(this.address, { username: found.username, password: found.password });
    for (const options of this.users) Object.assign(options, { username: found.username, password: found.password });
    return true;
  }
}

/** The command that a reply refused. */
function commandOf(error: unknown): string | undefined {
  return (error as { command?: { name?: string } }).command?.name;
}

/** How many databases a Redis has, found by choosing some: to be told the number takes a right that few users have. */
async function countDatabases(redis: Redis): Promise<number> {
  const probe = redis.duplicate({ db: 0, retryStrategy: () => null });
  probe.on('error', () => undefined);
  try {
    await probe.connect();
    let [low, high] = [1, redis.options.db ?? 0];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const isThere = await probe.select(middle).then(
        () => true,
        () => false,
      );
      if (isThere) low = middle + 1;
      else high = middle;
    }
    return low;
  } finally {
    probe.disconnect();
  }
}

const behaviour: RedisOptions = {
  lazyConnect: true,
  // A Redis that still loads its data says so itself, to the first command.
  enableReadyCheck: false,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  // Not null: what is under way when a connection breaks would never be answered, nor refused.
  maxRetriesPerRequest: 0,
  connectTimeout: handshakeMs,
  socketTimeout: (blockSeconds + 5) * 1000,
  retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 1000) * (0.5 + Math.random() / 2),
  reconnectOnError: (error) => /^(READONLY|UNBLOCKED|MOVED|CLUSTERDOWN)/.test(error.message),
};

/** How ioredis reaches an address. */
function optionsOf(address: RedisAddress, key: string, login: Login): RedisOptions {
  const { kind, hosts, socket, db, username, password } = address;
  const common: RedisOptions = {
    db,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...tlsOf(address),
  };
  if (socket !== undefined) return { ...common, path: socket };
  if (kind === 'cluster') {
    const options = login.of({ ...common, ...behaviour });
    return { ...common, Connector: clusterConnector({ hosts, options, key }) };
  }
  if (kind === 'sentinel') return { ...common, ...sentinelsOf(address) };
  return { ...common, ...hosts[0] };
}

function readUrl(url: string): RedisAddress {
  try {
    return parseRedisUrl(url);
  } catch (error) {
    throw new UsageError(`redis.url: ${messageOf(error)}`);
  }
}

function tlsOf({ tls, ca }: RedisAddress): RedisOptions {
  if (!tls) return {};
  try {
    return { tls: ca === undefined ? {} : { ca: readFileSync(ca) } };
  } catch (error) {
    throw new UsageError(`redis.url: the certificates in ${ca} cannot be read: ${messageOf(error)}`);
  }
}

function sentinelsOf({ hosts, master, sentinelUsername, sentinelPassword, ...address }: RedisAddress): RedisOptions {
  const { tls } = tlsOf(address as RedisAddress);
  return {
    sentinels: [...hosts],
    name: master,
    ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
    ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
    ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
    sentinelCommandTimeout: 2000,
    sentinelRetryStrategy: () => null,
  };
}
