import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { definitionOf, fingerprintOf, loadConfig } from '../../src/config/config.js';
import { Ledger } from '../../src/ledger/ledger.js';
import { Space } from '../../src/space/space.js';
import { temporaryFolder } from './folder.js';

/** A configuration's file with what a test needs of it. */
export interface TestSearch {
  path: string;
  folder: string;
  space: Space;
  fingerprint: string;
  ledger(): Ledger;
}

/** Writes a configuration (`parameters` and what else differs from the defaults) to a folder of its own and reads it. */
export function testSearch(config: { parameters: object; [section: string]: unknown }): TestSearch {
  const folder = temporaryFolder();
  const path = join(folder, 'atmos-fleet.yaml');
  writeFileSync(path, stringify({ name: 'test', ...config }));
  const loaded = loadConfig({ path, env: {} });
  const space = new Space(definitionOf(loaded));
  return {
    path,
    folder,
    space,
    fingerprint: JSON.stringify(fingerprintOf(loaded)),
    ledger: () => new Ledger(loaded.database.url, loaded.database.table, space.names),
  };
}
