import type { Ending, Lease } from '../../queue/leases.js';
import { decodeTravel, encode, Malformed, maxFaultLength, type Report, type Travel } from '../../queue/messages.js';
import type { Point, Space } from '../../space/space.js';
import { isoNow } from '../../support/clock.js';

/** A worker that did not bring a point to an end. */
export interface Loss {
  worker: string;
  /** What its machine met; absent: the worker vanished. */
  fault?: string;
}

/**
 * Where a point goes after a loss. A loss costs no attempt: the point is queued again and carries the account of its losses. After
 * `maxLosses` in a row the point itself is to blame: it is an error, of kind poison. A worker whose lease expires again counts once.
 */
export function afterLoss(point: Point, facts: Travel, { token, table }: Lease, loss: Loss, maxLosses: number): Ending {
  const before = facts.lost ?? [];
  const counted = loss.fault !== undefined || !before.includes(loss.worker);
  const lost = counted ? [...before, loss.worker] : before;
  const fault = loss.fault?.slice(0, maxFaultLength) ?? facts.fault;
  if (lost.length < maxLosses) {
    const travel: Travel = { ...facts, lost, ...(fault === undefined ? {} : { fault }) };
    return { token, arrival: 'main_Q', element: encode(point.code, travel) };
  }
  const { previous_hash, depth, attempt = 1 } = facts;
  const report: Report = {
    ...(previous_hash === undefined ? {} : { previous_hash }),
    depth,
    attempt,
    table,
    worker: loss.worker,
    end_time: isoNow(),
    error_kind: 'poison',
    error_msg: describe(lost, fault),
  };
  return { token, arrival: 'error_sql_Q', element: encode(point.code, report) };
}

/** The workers on the account of an element of main_Q. */
export function lostWith(element: string, space: Space): readonly string[] {
  try {
    return decodeTravel(element, space).facts.lost ?? [];
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return [];
  }
}

function describe(lost: readonly string[], fault: string | undefined): string {
  const workers = [...new Set(lost)].join(', ');
  if (fault === undefined) return `${lost.length} workers in a row vanished while they ran this point: ${workers}`;
  return `${lost.length} runs in a row lost their worker or failed on a sound machine (${workers}); the last fault: ${fault}`;
}
