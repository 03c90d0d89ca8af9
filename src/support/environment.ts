import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** The variables whose values are secrets, or may hold one. */
const secrets = ['REDIS_URL', 'DATABASE_URL', 'ATMOS_FLEET_DASHBOARD_TOKEN'];

/**
 * Takes secrets out of the environment that `/proc` shows of this process to others of its user, such as the programs that a
 * worker runs. `process.env` keeps them: a value that is set lies elsewhere in memory than those that came with the start.
 */
export function hideSecrets(): void {
  for (const name of secrets) {
    const value = process.env[name];
    if (value !== undefined) process.env[name] = value;
  }
  try {
    overwrite();
  } catch {
    // No /proc (not Linux), or one that may not be written: nothing else would help.
  }
}

function overwrite(): void {
  const shown = readFileSync('/proc/self/environ');
  const first = startOfEnvironment();
  const memory = openSync('/proc/self/mem', 'r+');
  try {
    for (let at = 0; at < shown.length; ) {
      const end = shown.indexOf(0, at);
      const next = end < 0 ? shown.length : end;
      const [name = ''] = shown.toString('latin1', at, next).split('=', 1);
      const value = at + name.length + 1;
      if (secrets.includes(name) && value < next)
        writeSync(memory, Buffer.alloc(next - value), 0, next - value, first + value);
      at = next + 1;
    }
  } finally {
    closeSync(memory);
  }
}

/** Where in memory the environment of the start lies: field 50 of proc_pid_stat(5), counted behind the command's name. */
function startOfEnvironment(): number {
  const status = readFileSync('/proc/self/stat', 'latin1');
  const first = Number(status.slice(status.lastIndexOf(')') + 2).split(' ')[47]);
  if (!Number.isSafeInteger(first) || first <= 0) throw new Error('the place of the environment is not known');
  return first;
}
