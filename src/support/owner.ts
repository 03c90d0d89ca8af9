import { readFileSync, readlinkSync } from 'node:fs';
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

/** Where a process's number means something: this boot of this kernel, and there this namespace of processes. */
const numbering = `${hostname().replaceAll(/[^A-Za-z0-9-]/g, '-') || 'localhost'}${namespace()}`;

function namespace(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8);
    return `-${boot}-${readlinkSync('/proc/self/ns/pid').replaceAll(/\D/g, '')}`;
  } catch {
    return '';
  }
}

/** By number: in a container this user may have no entry in passwd. */
export const userId = process.getuid?.() ?? 0;

/** Names this process on whatever it may leave behind: `numbering.pid.start`, letters that suit labels. */
export const thisProcess = `${numbering}.${process.pid}.${startOf('self') ?? '0'}`;

/** Whether the process of that name has surely ended: its number means something here, and no such process lives now. */
export function hasEnded(owner: string): boolean {
  const [where, pid, start] = owner.split('.');
  if (where !== numbering || !/^\d+$/.test(pid ?? '')) return false;
  if (!lives(Number(pid))) return true;
  const now = startOf(Number(pid));
  return now !== undefined && start !== '0' && now !== start;
}
