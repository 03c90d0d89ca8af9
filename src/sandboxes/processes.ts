import { readdir, readFile } from 'node:fs/promises';

/** The environment variable by which all that a cell started is found, also what left its process group. */
export const cellVariable = 'FLEET_CELL';

const killRounds = 20;

/** Kills a process group at once; one that has ended is no error. */
export function killGroup(leader: number): void {
  kill(-leader);
}

/** Kills every process of this user whose cell lies at or below a directory, however it came loose. */
export async function killAllIn(directory: string): Promise<void> {
  for (let round = 0; round < killRounds; round++) {
    const pids = await processesIn(directory);
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
  }
}

async function processesIn(directory: string): Promise<number[]> {
  const entries = await readdir('/proc').catch(() => []);
  const pids = entries.filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map((pid) => isIn(pid, directory)));
  return pids.filter((_, index) => found[index]);
}

async function isIn(pid: number, directory: string): Promise<boolean> {
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  const mark = `${cellVariable}=${directory}`;
  return environment.split('\0').some((entry) => entry === mark || entry.startsWith(`${mark}/`));
}

/** Gone already, or another user's by now: neither can be helped. */
const unkillable = new Set(['ESRCH', 'EPERM']);

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!unkillable.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
