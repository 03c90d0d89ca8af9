import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

/** When a process started, in clock ticks since boot; undefined when there is no such process (or no /proc to ask). */
function startOf(pid: number | 'self'): string | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return fields.slice(fields.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const host = hostname().replaceAll(/[^A-Za-z0-9-]/g, '-') || 'localhost';

/** By number: in a container this user may have no entry in passwd. */
export const userId = process.getuid?.() ?? 0;

/** Names this process on whatever it may leave behind: `host.pid.start`, letters that suit file names and labels. */
export const thisProcess = `${host}.${process.pid}.${startOf('self') ?? '0'}`;

/** Whether the process of that name has surely ended: it ran on this host, and no such process lives now. */
export function hasEnded(owner: string): boolean {
  const [where, pid, start] = owner.split('.');
  if (where !== host || !/^\d+$/.test(pid ?? '')) return false;
  if (!lives(Number(pid))) return true;
  const now = startOf(Number(pid));
  return now !== undefined && start !== '0' && now !== start;
}
