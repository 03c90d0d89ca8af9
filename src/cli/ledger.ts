import type { Config } from '../config/config.js';
import { Ledger } from '../ledger/ledger.js';

/** The ledger that the configuration names. */
export function ledgerOf({ database, parameters }: Config): Ledger {
  return new Ledger(
    database.url,
    database.table,
    parameters.map(({ name }) => name),
  );
}
