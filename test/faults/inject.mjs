// Loaded before a role (`node --import`): ends its process before or after one of its calls to Redis, SQL or the disk, or lets
// the call take effect and then reports a failure. What the program itself is made of knows nothing of it.
//
// FAULT: JSON, { form: 'before' | 'after' | 'lied' } and site (its first call), or k (the k-th call of all, from 1); without
// either the first call of every site.
// FAULT_CALLS: a file that the site of each call is added to, a line each.
import { createHash } from 'node:crypto';
import fs, { appendFileSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const dist = new URL('../../test-output/program/dist/', import.meta.url);
const require = createRequire(dist); // what the program itself loads
const plan = JSON.parse(process.env.FAULT ?? 'null');
const callsFile = process.env.FAULT_CALLS;
const met = new Set();
let count = 0;

/** Counts a call; answers the form of the fault that is due at it. */
function due(site) {
  const k = ++count;
  const first = !met.has(site);
  met.add(site);
  if (callsFile) appendFileSync(callsFile, `${site}\n`);
  if (!plan) return undefined;
  if (plan.k === undefined ? !first || (plan.site ?? site) !== site : plan.k !== k) return undefined;
  writeSync(2, `${JSON.stringify({ fault: plan.form, site, k })}\n`);
  return plan.form;
}

function die() {
  process.kill(process.pid, 'SIGKILL');
}

/** Makes one call with the fault that is due; `lie` is what a lost reply looks like to the caller. */
function around(site, call, lie) {
  const form = due(site);
  if (form === 'before') die();
  const answer = call();
  if (form === 'after') answer.then(die, die);
  return form === 'lied' ? answer.then(lie) : answer;
}

const scripts = new Map();
const folder = new URL('queue/lua/', dist);
const lua = (file) => readFileSync(new URL(file, folder), 'utf8');
for (const file of readdirSync(folder)) {
  const text = lua(file).replace(/^-- Uses: +(\w+)$/m, (_, part) => lua(`${part}.lua`));
  scripts.set(createHash('sha1').update(text).digest('hex'), file.replace('.lua', ''));
}

/** A command and the kind of its key, without what differs from one process or search to another. */
function redisSite({ name: given, args }) {
  const name = given.toLowerCase();
  if (name === 'evalsha' || name === 'eval') {
    const sha = name === 'eval' ? createHash('sha1').update(args[0]).digest('hex') : args[0];
    return `script ${scripts.get(sha)}`;
  }
  const key = typeof args[0] === 'string' && args[0].startsWith('{') ? args[0].replace(/^\{[^}]*\}:/, '') : '';
  // Keys are deleted in the order in which they happen to be found.
  if (name === 'unlink' && key !== 'search') return 'redis unlink';
  const field = name === 'hget' || name === 'lindex' ? args[1] : '';
  return `redis ${name} ${key} ${field}`.trim();
}

if (isMainThread) {
  const { Redis } = require('ioredis');
  const { sendCommand } = Redis.prototype;
  Redis.prototype.sendCommand = function (command, stream) {
    const lie = () => {
      this.disconnect(true);
      throw new Error('Connection is closed.');
    };
    return around(redisSite(command), () => sendCommand.call(this, command, stream), lie);
  };

  const lostConnection = () => {
    throw Object.assign(new Error('Connection lost: the server closed the connection.'), {
      code: 'PROTOCOL_CONNECTION_LOST',
    });
  };
  for (const dialect of ['mysql2', 'better-sqlite3']) {
    const { prototype } = require(`knex/lib/dialects/${dialect}/index.js`);
    const { _query } = prototype;
    prototype._query = function (connection, query) {
      const text = (typeof query === 'string' ? query : query.sql)
        .replaceAll(/\s+/g, ' ')
        .replaceAll(/ ?\(?\?[?, ()]*/g, '?');
      return around(
        `sql ${text.replaceAll(/crash_\d+/g, 'T').slice(0, 90)}`,
        () => _query.call(this, connection, query),
        lostConnection,
      );
    };
  }

  const brokenDisk = () => {
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO', syscall: 'write' });
  };
  for (const name of ['mkdir', 'rmdir', 'rename', 'writeFile', 'copyFile']) {
    const original = fs.promises[name];
    fs.promises[name] = (...args) => {
      // A worker that has no folder of its own does not begin: no run is at stake.
      if (/\/atmos-fleet-runs-[^/]*$/.test(String(args[0]))) return original(...args);
      const place = String(args[0]).includes('.incoming')
        ? 'incoming'
        : String(args[0]).includes('/runs/')
          ? 'store'
          : 'scratch';
      return around(`disk ${name} ${place}`, () => original(...args), brokenDisk);
    };
  }
  syncBuiltinESMExports();
}
