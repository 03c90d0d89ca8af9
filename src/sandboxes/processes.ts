import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { MachineFault } from '../support/errors.js';

/** The environment variable by which all that a cell started is found where it carries no mark. */
export const cellVariable = 'FLEET_CELL';

const killRounds = 20;
const roundMs = 10;
/** Room for the marks of one worker's cells. */
const marksOfWorker = 2n ** 16n;
const firstMark = 2n ** 62n;
/** On a busy machine some process always vanishes. */
const maxLooksInVain = 4;
/** Ended, but for being reaped. */
const over = new Set(['Z', 'X']);

/**
 * Marks are values of the limit of file locks, which kernels since 2.4.25 keep and hand on but do not heed. Every descendant of
 * a marked process has its mark, whatever environment, session, directory and parent it gave itself; none gets it otherwise.
 */
export type Mark = bigint;

/** The mark of a worker's cell, by the name of the worker's folder. */
export function markOf(worker: string, cell: number): Mark {
  const digest = createHash('sha256').update(worker).digest().readBigUInt64BE() >> 20n;
  return firstMark + digest * marksOfWorker + (BigInt(cell) % marksOfWorker);
}

/** The command that gives itself a mark and then becomes that command; shells name the limit in two ways. */
export function marked(mark: Mark, argv: readonly string[]): [string, string[]] {
  const script = 'ulimit -w "$0" 2>/dev/null || ulimit -x "$0" 2>/dev/null; unset PWD OLDPWD SHLVL; exec "$@"';
  return ['/bin/sh', ['-c', script, String(mark), ...argv]];
}

/** Kills a process group at once; one that has ended is no error. */
export function killGroup(leader: number): void {
  kill(-leader);
}

/** Kills every process of a cell, however it came loose, and sees that none is left. */
export function killCell(directory: string, mark: Mark): Promise<void> {
  return killAll(directory, (value) => value === mark);
}

/** Kills every process of a worker's cells. `folder` is where they lie, by whose `name` they are marked. */
export function killCellsIn(folder: string, name: string): Promise<void> {
  const first = markOf(name, 0);
  return killAll(folder, (value) => value >= first && value < first + marksOfWorker);
}

async function killAll(directory: string, isMark: (value: bigint) => boolean): Promise<void> {
  const beyond = new Set<number>();
  let looksInVain = 0;
  for (let round = 0; round < killRounds; round++) {
    const pids = (await processes()).filter((pid) => !beyond.has(pid));
    const found = await Promise.all(pids.map((pid) => kinshipOf(pid, directory, isMark)));
    const ours = pids.filter((_, index) => found[index] === 'ours');
    // One that vanished while it was looked at may have left a child that is not on the list.
    if (ours.length === 0 && (!found.includes('gone') || ++looksInVain === maxLooksInVain)) return;
    for (const pid of ours) if (!kill(pid)) beyond.add(pid);
    await delay(round * roundMs);
  }
  throw new MachineFault('Processes that a run started do not end, though they were killed');
}

async function processes(): Promise<number[]> {
  const entries = await readdir('/proc').catch(() => []);
  return entries.filter((name) => /^\d+$/.test(name)).map(Number);
}

type Kinship = 'ours' | 'foreign' | 'gone';

async function kinshipOf(pid: number, directory: string, isMark: (value: bigint) => boolean): Promise<Kinship> {
  const [limits, environment] = await Promise.all([read(pid, 'limits'), read(pid, 'environ')]);
  if (limits === '') return 'gone';
  const [, locks] = /^Max file locks\s+(?:\d+|unlimited)\s+(\d+)/m.exec(limits) ?? [];
  const byMark = locks !== undefined && isMark(BigInt(locks));
  const variable = `${cellVariable}=${directory}`;
  const isVariable = (entry: string) => entry === variable || entry.startsWith(`${variable}/`);
  if (!byMark && !environment.split('\0').some(isVariable)) return 'foreign';
  const status = await read(pid, 'stat');
  return status === '' || over.has(status.slice(status.lastIndexOf(')') + 2)[0] ?? '') ? 'gone' : 'ours';
}

function read(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
}

/** Whether it was killed, or had ended; not where it is another user's by now. */
function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
    return code === 'ESRCH';
  }
}
