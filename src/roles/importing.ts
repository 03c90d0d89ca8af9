import type { RunMetadata } from '../artifacts/metadata.js';
import type { StoredRun } from '../artifacts/store.js';
import type { Ledger, NewRow, SettledRow } from '../ledger/ledger.js';
import { maxBatchBytes } from '../queue/batches.js';
import { NotAPoint } from '../space/space.js';
import type { OneShot } from './oneShot.js';
import { refuseOther } from './table.js';

const rowsAtOnce = 500;

/** Points that an import met, by what became of them, and runs that it could not read. */
export interface Imported {
  completed: number;
  errors: number;
  /** Failed before their allowance was spent: they are queued again. */
  queued: number;
  unreadable: number;
  /** Runs of other searches, passed over. */
  foreign: number;
}

/**
 * Rebuilds rows from the metadata that runs left with their files. Of several runs of a point the completed one counts, else the
 * last. Rows that are settled stay as they are; Redis is made anew by the next look of a master.
 */
export async function importRuns(
  command: OneShot,
  ledger: Ledger,
  runs: AsyncIterable<StoredRun>,
  attempts: number,
): Promise<Imported> {
  const { search, log } = command;
  refuseOther(search, await command.insist(() => ledger.open()));
  const imported: Imported = { completed: 0, errors: 0, queued: 0, unreadable: 0, foreign: 0 };
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
  for await (const run of bestOfEach(readable(runs))) {
    const { metadata, outPath } = run;
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

  async function* readable(all: AsyncIterable<StoredRun>): AsyncGenerator<ReadableRun> {
    for await (const run of all) {
      if ('foreign' in run) {
        imported.foreign++;
        continue;
      }
      const problem = 'problem' in run ? run.problem : mismatch(run.metadata);
      if (problem === undefined) {
        yield run as ReadableRun;
        continue;
      }
      imported.unreadable++;
      log.warn({ run: run.outPath }, `not imported: ${problem}`);
    }
  }

  /** Why a run is none of this search; undefined where it is. */
  function mismatch({ code, hash }: RunMetadata): string | undefined {
    try {
      const point = search.space.decode(code);
      return point.hash === hash ? undefined : `its code has the hash ${point.hash} in this search, not ${hash}`;
    } catch (error) {
      if (error instanceof NotAPoint) return error.message;
      throw error;
    }
  }
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
  if (one.outcome !== other.outcome) return one.outcome === 'completed';
  return one.attempt > other.attempt;
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
