import { join } from 'node:path';
import { temporaryFolder } from './folder.js';

/** A small search with the reference model: 594 points, 464 of them stable. */
export const smallParameters = {
  O2: { start: 0.21, step: 0.1, max: 0.5 },
  N2: { start: 0.7772982887, filler: true },
  H2O: { start: 0.0123, step: 0.02, max: 0.06 },
  CH4: { start: 0.00000163, step: 0.02, max: 0.05 },
  CO2: { start: 0.0004, step: 0.02, max: 0.05 },
  H2: { start: 0.0000000813, step: 0.2, max: 0.5 },
};

/** A configuration of that search, on SQLite. `more` replaces whole blocks. */
export function searchConfig(redis: string, more: object = {}) {
  return {
    name: 'small',
    parameters: smallParameters,
    search: { mode: 'sides', reach: 1 },
    redis: { url: redis.startsWith('/') ? `unix:${redis}` : redis },
    database: { url: `sqlite:${join(temporaryFolder(), 'fleet.db')}` },
    lease: { seconds: 3 },
    ...more,
  };
}
