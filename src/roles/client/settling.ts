import type { Ledger, RunningRow, SettledRow } from '../../ledger/ledger.js';
import type { Batch } from '../../queue/batches.js';
import { markOf } from '../../queue/generation.js';
import { type ReportList, reportLists } from '../../queue/keys.js';
import { type Decoded, decodeReport, Malformed, type Report } from '../../queue/messages.js';
import type { Space } from '../../space/space.js';
import type { Member } from '../common/member.js';
import { takesUnmarked } from '../common/origin.js';
import { written } from '../common/table.js';

/** Elements of a batch, sorted by whether they decode. */
export interface Sorted<Facts> {
  decoded: Decoded<Facts>[];
  /** Where each of these is, from 0. */
  positions: number[];
  /** Positions of those that do not. */
  malformed: number[];
}

/** Decodes a batch; what does not decode is named in the log and set aside. */
export function sort<Facts>(
  member: Member,
  batch: Batch,
  decode: (element: string, space: Space) => Decoded<Facts>,
): Sorted<Facts> {
  const sorted: Sorted<Facts> = { decoded: [], positions: [], malformed: [] };
  member.meters?.batchSize.observe({ list: batch.source }, batch.elements.length);
  for (const [position, element] of batch.elements.entries()) {
    try {
      sorted.decoded.push(decode(element, member.search.space));
      sorted.positions.push(position);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      const list = member.session.keys.malformed(batch.source);
      member.log.warn(
        { element: element.slice(0, 200), list: batch.source },
        `malformed, moved to ${list}: ${error.message}`,
      );
      sorted.malformed.push(position);
    }
  }
  return sorted;
}

/**
 * Brings the effect of one batch of reports into SQL, then ends the batch. May be repeated: its effect comes once. `table` is the
 * incarnation of the table that was known before the batch was taken.
 */
export async function settle(member: Member, ledger: Ledger, batch: Batch, table: string): Promise<void> {
  const { decoded, positions, malformed } = sort(member, batch, decodeReport);
  const isOwn = await ownership(member, ledger, decoded, table);
  if (!isOwn) return member.batches.forget(batch);
  const effect = () => write(ledger, batch.source as ReportList, decoded.filter(isOwn), table);
  if (!(await written(member, ledger, batch, effect))) return;
  const foreign = positions.filter((_, index) => !isOwn(decoded[index] as Decoded<Report>));
  await member.insist(() => member.batches.drop(batch, malformed, foreign));
  if (foreign.length > 0) {
    const list = member.session.keys.foreign(batch.source);
    member.log.warn(`${foreign.length} reports were not for this table, which replaced theirs: moved to ${list}`);
  }
}

/**
 * Tells which reports are for the table: those that name it, and those that name none while Redis is known to be of it. Undefined:
 * the table was replaced since it was known.
 */
async function ownership(member: Member, ledger: Ledger, reports: readonly Decoded<Report>[], table: string) {
  const mark = markOf(table);
  if (reports.every(({ facts }) => facts.table === mark)) return () => true;
  const unmarked = await member.insist(() => takesUnmarked(member.session, ledger));
  // Last: what was found before holds for the table that was known only if that still stands.
  await member.insist(() => ledger.open());
  if (ledger.incarnation !== table) return undefined;
  return ({ facts }: Decoded<Report>) => facts.table === mark || (facts.table === undefined && unmarked);
}

/** The next batch of reports: of a list, or left by a client that died. */
export async function nextReports(member: Member, most: number): Promise<Batch[]> {
  const taken = await Promise.allSettled(reportLists.map((list) => member.batches.take(list, most)));
  // What was taken must be settled, also when another call failed: it is this client's own now, and no other's.
  const batches = taken.flatMap((answer) => (answer.status === 'fulfilled' ? (answer.value ?? []) : []));
  if (batches.length > 0) return batches;
  for (const answer of taken) if (answer.status === 'rejected') throw answer.reason;
  const orphan = await member.batches.adopt(reportLists);
  if (orphan)
    member.log.warn(`took over ${orphan.elements.length} elements of ${orphan.source} from a client that died`);
  return orphan ? [orphan] : [];
}

function write(ledger: Ledger, source: ReportList, reports: readonly Decoded<Report>[], table: string): Promise<void> {
  // In the order of their hashes, so that two clients lock rows in one order.
  const ordered = reports.toSorted((a, b) => (a.point.hash < b.point.hash ? -1 : 1));
  if (source === 'running_sql_Q') return ledger.markRunning(ordered.map(runningRow), table);
  return ledger.settle(
    ordered.map((report) => settledRow(report, source)),
    table,
  );
}

function runningRow({ point, facts }: Decoded<Report>): RunningRow {
  return {
    hash: point.hash,
    attempts: facts.attempt,
    worker: facts.worker ?? null,
    start_time: facts.start_time ?? new Date().toISOString(),
  };
}

function settledRow({ point, facts }: Decoded<Report>, source: ReportList): SettledRow {
  const completed = source !== 'error_sql_Q';
  const stable = source === 'complete0_sql_Q';
  return {
    hash: point.hash,
    code: point.code,
    previous_hash: facts.previous_hash ?? null,
    depth: facts.depth,
    state: completed ? 'completed' : 'error',
    stable: completed ? stable : null,
    attempts: facts.attempt,
    worker: facts.worker ?? null,
    start_time: facts.start_time ?? null,
    end_time: facts.end_time ?? new Date().toISOString(),
    run_time: facts.run_time ?? null,
    error_kind: completed ? null : (facts.error_kind ?? 'program'),
    error_msg: completed ? null : (facts.error_msg ?? ''),
    complete_msg: completed ? (facts.complete_msg ?? summary(stable, facts.temperature)) : null,
    out_path: facts.out_path ?? null,
    temperature: facts.temperature ?? null,
    pressure: facts.pressure ?? null,
    outputs: facts.outputs ?? null,
  };
}

/** `stable, 288.1 K`. */
function summary(stable: boolean, temperature: number | undefined): string {
  const verdict = stable ? 'stable' : 'unstable';
  return temperature === undefined ? verdict : `${verdict}, ${temperature.toFixed(1)} K`;
}
