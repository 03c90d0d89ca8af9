import type { RunMetadata } from '../../artifacts/metadata.js';
import type { StoredRun } from '../../artifacts/store.js';
import type { Ledger, NewRow, SettledRow } from '../../ledger/ledger.js';
import { maxBatchBytes } from '../../queue/batches.js';
import { markOf } from '../../queue/generation.js';
import { NotAPoint } from '../../space/space.js';
import { UsageError } from '../../support/errors.js';
import type { OneShot } from '../common/oneShot.js';
import type { Search } from '../common/search.js';
import { refuseOther } from '../common/table.js';

const rowsAtOnce = 500;
/** In place of the mark of an incarnation: runs of version 0.1 name none. */
const unnamed = 'none';

/** Runs of one incarnation of the search's table. */
export interface RunGroup {
  /** Its mark; `none` for the runs of version 0.1, which names none. */
  incarnation: string;
  runs: number;
  /** Points with a completed run. */
  completed: number;
  /** When the last of its runs ended, ISO 8601. */
  last: string;
}

/** What an import took, and what it left. */
export interface Imported {
  incarnation: string | undefined;
  completed: number;
  errors: number;
  /** Failed before their allowance was spent: they are queued again. */
  queued: number;
  unreadable: number;
  /** Runs of other searches, passed over. */
  foreign: number;
  /** Runs of this search's name whose search was defined otherwise, passed over, and how. */
  redefined: number;
  difference: string | undefined;
  /** What was left for the incarnation's sake. */
  left: RunGroup[];
}

export interface ImportOptions {
  attempts: number;
  /** Of which table; undefined: of the newest that is complete enough. */
  incarnation?: string | undefined;
}

/**
 * Rebuilds rows from the metadata that runs left with their files, those of one incarnation of the table: of several runs of a point
 * the latest attempt counts. Rows that are settled stay as they are: their runs are known to be the ones that counted. An empty table
 * then continues the lost one. Redis is made anew by the next look of a master. The runs are listed twice.
 */
export async function importRuns(
  command: OneShot,
  ledger: Ledger,
  list: () => AsyncIterable<StoredRun>,
  { attempts, incarnation: wanted }: ImportOptions,
): Promise<Imported> {
  const { search } = command;
  refuseOther(search, await command.insist(() => ledger.open()));
  const { groups, ...passed } = await survey(command, list());
  const chosen = wanted === undefined ? newestOf(groups) : groupOf(groups, wanted);
  const left = groups.filter((group) => group !== chosen);
  const imported: Imported = { ...passed, incarnation: chosen?.incarnation, completed: 0, errors: 0, queued: 0, left };
  if (!chosen) return imported;
  if (chosen.incarnation !== unnamed && markOf(ledger.incarnation) !== chosen.incarnation) {
    await command.insist(() => ledger.resume(chosen.incarnation));
  }
  let settled: SettledRow[] = [];
  let queued: NewRow[] = [];
  let bytes = 0;
  const write = async () => {
    await command.insist(() => ledger.settle(settled));
    await command.insist(() => ledger.insertQueued(queued));
    settled = [];
    queued = [];
    bytes = 0;
  };
  for await (const { metadata, outPath } of bestOfEach(runsOf(search, list(), chosen.incarnation))) {
    const { outcome, attempt } = metadata;
    if (outcome === 'error' && attempt < attempts) {
      imported.queued++;
      queued.push(rowOf(metadata));
    } else {
      imported[outcome === 'completed' ? 'completed' : 'errors']++;
      settled.push(settledRowOf(metadata, outPath));
    }
    bytes += JSON.stringify(metadata).length;
    if (settled.length + queued.length >= rowsAtOnce || bytes >= maxBatchBytes) await write();
  }
  await write();
  // No generation is of this table now: a master rebuilds Redis from it.
  await command.insist(() => ledger.setGeneration(''));
  return imported;
}

/** The first pass: what there is. */
async function survey({ search, log }: OneShot, runs: AsyncIterable<StoredRun>) {
  const groups = new Map<string, RunGroup & { lastCompleted: string }>();
  const passed = { unreadable: 0, foreign: 0, redefined: 0, difference: undefined as string | undefined };
  for await (const run of runs) {
    if ('foreign' in run) {
      passed.foreign++;
      continue;
    }
    const problem = 'problem' in run ? run.problem : mismatch(search, run.metadata);
    if (problem !== undefined || !('metadata' in run)) {
      passed.unreadable++;
      log.warn({ run: run.outPath }, `not imported: ${problem}`);
      continue;
    }
    const { metadata } = run;
    const difference = differenceOf(search, metadata);
    if (difference !== null) {
      passed.redefined++;
      passed.difference ??= difference;
      continue;
    }
    const incarnation = metadata.incarnation ?? unnamed;
    const group = groups.get(incarnation) ?? { incarnation, runs: 0, completed: 0, last: '', lastCompleted: '' };
    groups.set(incarnation, group);
    group.runs++;
    if (metadata.ended_at > group.last) group.last = metadata.ended_at;
    if (metadata.outcome !== 'completed' || metadata.hash === group.lastCompleted) continue;
    group.lastCompleted = metadata.hash;
    group.completed++;
  }
  return { groups: [...groups.values()].map(({ lastCompleted: _, ...group }): RunGroup => group), ...passed };
}

/** Of those with at least half as many completed points as the fullest the one that ran last. */
function newestOf(groups: readonly RunGroup[]): RunGroup | undefined {
  const fullest = Math.max(...groups.map(({ completed }) => completed));
  const enough = groups.filter(({ completed }) => 2 * completed >= fullest);
  return enough.toSorted((a, b) => (a.last < b.last ? 1 : -1))[0];
}

function groupOf(groups: readonly RunGroup[], incarnation: string): RunGroup | undefined {
  const group = groups.find((one) => one.incarnation === incarnation);
  if (group || groups.length === 0) return group;
  const there = groups.map((one) => one.incarnation).join(', ');
  throw new UsageError(`--incarnation: no run is of ${incarnation}; there are runs of ${there}`);
}

/** The second pass: the runs of one incarnation that the first one took. */
async function* runsOf(search: Search, runs: AsyncIterable<StoredRun>, incarnation: string) {
  for await (const run of runs) {
    if (!('metadata' in run) || (run.metadata.incarnation ?? unnamed) !== incarnation) continue;
    if (mismatch(search, run.metadata) === undefined && differenceOf(search, run.metadata) === null) yield run;
  }
}

/** Why a run is of no point of this search; undefined where it is. */
function mismatch({ space }: Search, { code, hash }: RunMetadata): string | undefined {
  try {
    const point = space.decode(code);
    return point.hash === hash ? undefined : `its code has the hash ${point.hash} in this search, not ${hash}`;
  } catch (error) {
    if (error instanceof NotAPoint) return error.message;
    throw error;
  }
}

/** In what the search of a run was defined otherwise; null: in nothing, as far as it says. */
function differenceOf(search: Search, { definition }: RunMetadata): string | null {
  return definition === undefined ? null : search.differs(JSON.stringify(definition));
}

type ReadableRun = Extract<StoredRun, { metadata: RunMetadata }>;

/** The run that counts, of each point; the runs of one point stand together in a listing. */
async function* bestOfEach(runs: AsyncIterable<ReadableRun>): AsyncGenerator<ReadableRun> {
  let best: ReadableRun | undefined;
  for await (const run of runs) {
    if (best && best.metadata.hash !== run.metadata.hash) yield best;
    if (!best || best.metadata.hash !== run.metadata.hash || counts(run.metadata, best.metadata)) best = run;
  }
  if (best) yield best;
}

/** Whether one run counts before another of the same point. */
function counts(one: RunMetadata, other: RunMetadata): boolean {
  return one.attempt === other.attempt ? one.ended_at > other.ended_at : one.attempt > other.attempt;
}

function rowOf({ hash, code, previous_hash, depth }: RunMetadata): NewRow {
  return { hash, code, previous_hash, depth };
}

function settledRowOf(metadata: RunMetadata, outPath: string): SettledRow {
  const completed = metadata.outcome === 'completed';
  return {
    ...rowOf(metadata),
    state: completed ? 'completed' : 'error',
    stable: metadata.stable,
    attempts: metadata.attempt,
    worker: metadata.worker,
    start_time: metadata.started_at,
    end_time: metadata.ended_at,
    run_time: metadata.run_seconds,
    error_kind: metadata.error_kind,
    error_msg: metadata.error_message,
    complete_msg: metadata.message,
    out_path: outPath,
    temperature: metadata.temperature,
    pressure: metadata.pressure,
    outputs: Object.keys(metadata.outputs).length === 0 ? null : metadata.outputs,
  };
}
