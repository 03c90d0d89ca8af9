import { messageOf } from '../support/errors.js';
import { bug, connectionFailure, type Failure, outage, permanent } from '../support/failures.js';

const login = permanent('check the user and the password in REDIS_URL');

/** What Redis replies, by the reply's first word; `ERR` says nothing alone, so its text is compared as well. */
const replies: Readonly<Record<string, Failure>> = {
  ASK: outage('the slot is moving to another node'),
  BUSY: outage('a script of another client runs for long'),
  CLUSTERDOWN: outage('a part of the Cluster is away'),
  GENERATION: outage('the search was opened anew: asked again with its new generation'),
  LOADING: outage('Redis reads its data after a start'),
  MASTERDOWN: outage('a replica without its master'),
  MISCONF: outage('Redis cannot write its data to the disk'),
  MOVED: outage('the slot is on another node'),
  NOREPLICAS: outage('too few replicas follow'),
  OOM: outage('Redis has reached its maxmemory'),
  READONLY: outage('a replica: a failover is under way'),
  TRYAGAIN: outage('the slot is moving to another node'),
  UNBLOCKED: outage('somebody ended a wait for work'),
  UNKILLABLE: outage('a script of another client runs for long'),
  'ERR max number of clients': outage('Redis has reached its maxclients'),
  DENIED: permanent('Redis is in protected mode: set a password, or bind an address'),
  NOAUTH: login,
  NOPERM: permanent('the Redis user lacks a right: the README lists the rights of each role'),
  WRONGPASS: login,
  'ERR AUTH': login,
  'ERR invalid password': login,
  'ERR DB index': permanent('this Redis has no database of that number'),
  'ERR invalid DB index': permanent('this Redis has no database of that number'),
  'ERR SELECT is not allowed in cluster mode': permanent('a Cluster has database 0 alone'),
  'ERR Unknown Redis command called from script': permanent('the command was renamed or switched off in Redis'),
  'The user executing the script': permanent('the Redis user lacks a right: the README lists the rights of each role'), // Redis 6
  'ERR unknown command': permanent('the command was renamed or switched off in Redis'),
  'ERR This instance has cluster support disabled': permanent('no Cluster: use redis:// instead of redis+cluster://'),
};

/** The user or the password is wrong, or missing. */
export function isLoginRefused(error: unknown): boolean {
  return redisFailure(error) === login;
}

/** The first word of a reply; Redis 6 puts it after the name of the script in which the error happened. */
export function replyCode(error: unknown): string {
  return replyText(error).split(' ', 1)[0] ?? '';
}

/** What the failure of a command means. */
export function redisFailure(error: unknown): Failure {
  if (isReply(error)) {
    const text = replyText(error);
    const code = Object.keys(replies).find((start) => text === start || text.startsWith(`${start} `));
    return code === undefined ? bug : (replies[code] as Failure);
  }
  const known = connectionFailure(error);
  if (known) return known;
  // What ioredis itself throws is a plain Error or one of its own classes, and tells of the connection; a bug is a TypeError or the like.
  const { name } = error as Error;
  if (name === 'ParserError') return permanent('what answers there is not Redis');
  return name === 'Error' || clientErrors.has(name) ? outage('there is no connection') : bug;
}

const clientErrors = new Set(['AbortError', 'InterruptError', 'MaxRetriesPerRequestError']);

function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** What Redis replied, without the script that it replied to. */
export function replyText(error: unknown): string {
  const message = messageOf(error);
  const inScript = /^(?:ERR )?Error running script \(call to \w+\): @user_script:\d+: (?:@user_script: ?\d+: )?-?/;
  return message.replace(inScript, '').replace(/\s*script: [0-9a-f]{40}, on @user_script:\d+\.?$/, '');
}
