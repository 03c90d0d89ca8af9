import type { Config } from '../config/config.js';
import { Reader } from '../ledger/reader.js';
import { patienceMs } from '../roles/common/oneShot.js';
import { refuseOther } from '../roles/common/table.js';
import type { Point } from '../space/space.js';
import { Patience } from '../support/patience.js';
import { findPoint, isHash, pointNamed } from '../view/point.js';
import { ledgerOf } from './ledger.js';
import type { Workbench } from './wire.js';

export function readerOf({ database, parameters }: Config): Reader {
  return new Reader(
    database.url,
    database.table,
    parameters.map(({ name }) => name),
  );
}

/** Reads the table of this search; Redis is not asked. */
export async function withReader<T>(
  { config, search, log }: Workbench,
  act: (reader: Reader) => Promise<T>,
): Promise<T> {
  const ledger = ledgerOf(config);
  const reader = readerOf(config);
  try {
    refuseOther(search, await new Patience(log, patienceMs).insist(() => ledger.open()));
    return await act(reader);
  } finally {
    await Promise.all([ledger.close(), reader.close()]);
  }
}

/** The point that an option `--point` names, else the start. The table is asked only where it is a hash. */
export async function pointFor(bench: Workbench, text: string | undefined): Promise<Point> {
  const { space } = bench.search;
  if (text === undefined) return space.start;
  if (!isHash(text)) return pointNamed(space, text);
  return (await withReader(bench, (reader) => findPoint(reader, space, text))).point;
}
