import type { ErrorChoice, Ledger, PointRow } from '../../ledger/ledger.js';
import { Leases } from '../../queue/leases.js';
import { encode } from '../../queue/messages.js';
import type { Point } from '../../space/space.js';
import { pause } from '../../support/bell.js';
import { KillSwitchOn, Unavailable, UsageError } from '../../support/errors.js';
import type { OneShot } from '../common/oneShot.js';
import { elementsOf } from '../common/proposals.js';
import { refuseOtherInRedis } from '../common/search.js';
import { refuseOther } from '../common/table.js';
import { killed } from './kill.js';

const rowWaitMs = 10_000;
const retryAtOnce = 500;

async function refuseKilled(command: OneShot): Promise<void> {
  if (await killed(command)) throw new KillSwitchOn();
}

/**
 * Pushes a root, and waits until it has its row: from then on nothing can lose it. Answers the row, or undefined when it was
 * not waited for.
 */
export async function start(
  command: OneShot,
  ledger: Ledger,
  point: Point,
  options: { previous?: string | undefined; wait: boolean },
): Promise<PointRow | 'pushed'> {
  await refuseKilled(command);
  const { session, search } = command;
  await command.insist(() => refuseOtherInRedis(search, session));
  const previous = options.previous === undefined ? undefined : await filesOf(command, ledger, options.previous);
  const element = encode(point.code, { depth: 0, ...(previous === undefined ? {} : { previous_path: previous }) });
  const before = options.wait ? await rowOf(command, ledger, point) : undefined;
  if (before) return before;
  await command.insist(() => session.connection.ask((redis) => redis.lpush(session.keys.list('main_sql_Q'), element)));
  if (!options.wait) return 'pushed';
  const giveUpAt = performance.now() + rowWaitMs;
  while (performance.now() < giveUpAt) {
    const row = await rowOf(command, ledger, point);
    if (row) return row;
    await pause(100);
  }
  throw new Unavailable(
    `the point stands in ${session.keys.list('main_sql_Q')}, but has no row after ${rowWaitMs / 1000} s: does a sql-client-master run?`,
  );
}

/** The row of a point; a table that is not there yet has none. */
async function rowOf(command: OneShot, ledger: Ledger, point: Point): Promise<PointRow | undefined> {
  refuseOther(command.search, await command.insist(() => ledger.open()));
  const [row] = await command.insist(() => ledger.find([point.hash]));
  return row;
}

/** Where the files of a point are whose solution another starts from. */
async function filesOf(command: OneShot, ledger: Ledger, hash: string): Promise<string> {
  const [row] = await command.insist(() => ledger.find([hash]));
  if (!row) throw new UsageError(`--previous: no row has the hash ${hash}`);
  if (row.out_path === null) throw new UsageError(`--previous: the point ${hash} has left no files to start from`);
  return row.out_path;
}

/** Puts errored rows back, with a fresh allowance of attempts. Answers how many. */
export async function retryErrors(command: OneShot, ledger: Ledger, choice: ErrorChoice): Promise<number> {
  await refuseKilled(command);
  const { session, search } = command;
  await command.insist(() => refuseOtherInRedis(search, session));
  refuseOther(search, await command.insist(() => ledger.open()));
  const leases = new Leases(session, search);
  let put = 0;
  for (let last = ''; ; ) {
    const generation = await command.insist(() => session.generation());
    const rows = await command.insist(() => ledger.requeueErrors(choice, last, retryAtOnce));
    if (rows.length === 0) return put;
    const elements = await command.insist(() => elementsOf(ledger, rows));
    await leases.requeue([...elements.values()], generation).catch((error: unknown) => {
      // Their rows are live in SQL: a rebuild that came between, or the next closure pass, queues them.
      if (!(error instanceof Unavailable)) throw error;
    });
    put += rows.length;
    last = rows.at(-1)?.hash ?? last;
  }
}
