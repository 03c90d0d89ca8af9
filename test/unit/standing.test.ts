import { expect, test } from 'vitest';
import { standingOf } from '../../src/view/standing.js';
import type { Status } from '../../src/view/status.js';

const leaseMs = 1000;
const lists = {
  ...{ main_sql_Q: 0, main_Q: 0, processing_Q: 0, running_sql_Q: 0 },
  ...{ error_sql_Q: 0, complete0_sql_Q: 0, complete1_sql_Q: 0, kill: 0 },
};

interface Scene {
  roles?: string[];
  /** Workers that take no points. */
  paused?: boolean;
  states?: Partial<Status['states']>;
  lists?: Partial<Status['lists']>;
  leases?: number;
  killed?: boolean;
  done?: boolean;
  silentMs?: number;
}

function standing({ roles = [], paused, silentMs = 0, leases = 0, killed = false, done = false, ...counts }: Scene) {
  const states = { queue: 0, running: 0, error: 0, completed: 0, ...counts.states };
  const seen = roles.map((role) => {
    return { id: role, role, host: '', pid: 1, silentMs, ...(paused ? { benched: 'no disk' } : {}) };
  });
  const workers = roles.filter((role) => role === 'worker' && silentMs <= leaseMs).length;
  const facts = { name: 'x', stable: 0, unstable: 0, dropped: 0, foreign: {}, damage: [], batches: 0 };
  const now = { ...facts, states, lists: { ...lists, ...counts.lists }, leases, workers, roles: seen, killed, done };
  return standingOf(now, leaseMs);
}

const all = ['worker', 'sql-client', 'sql-client-master'];
const settled = { completed: 60, error: 1 };

test.each<[string, Scene]>([
  ['the search is over', { done: true, states: settled }],
  ['the search is over; the kill switch is on', { done: true, killed: true, states: settled }],
  ['the kill switch is on, no role runs; atmos-fleet kill --clear lifts it', { killed: true, states: { queue: 3 } }],
  ['the kill switch is on, 3 roles still to end; atmos-fleet kill --clear lifts it', { killed: true, roles: all }],
  ['nothing is pushed yet: atmos-fleet starter pushes the first point', { roles: all }],
  ['the search goes on', { roles: all, states: { queue: 1 } }],
  ['all 61 points are settled; no sql-client-master runs to confirm the end', { states: settled }],
  ['all 61 points are settled; no sql-client-master runs to confirm the end', { states: settled, roles: ['worker'] }],
  [
    'all 61 points are settled; no sql-client-master runs to confirm the end',
    { states: settled, roles: all, silentMs: 1001 },
  ],
  ['all 61 points are settled; the sql-client-master checks that none is missing', { states: settled, roles: all }],
  [
    'the search does not go on: no worker runs (2 points to run); no sql-client runs; no sql-client-master runs',
    { states: { queue: 2 }, lists: { main_Q: 1 } },
  ],
  ['the search does not go on: no worker runs (1 point to run)', { states: { queue: 1 }, roles: all.slice(1) }],
  [
    'the search does not go on: every worker has paused itself (1 point to run)',
    { states: { queue: 1 }, roles: all, paused: true },
  ],
  [
    'the search goes on, but no sql-client runs (5 results to write)',
    { states: { running: 7 }, leases: 2, lists: { complete0_sql_Q: 5 }, roles: ['worker', 'sql-client-master'] },
  ],
  [
    'the search does not go on: no sql-client-master runs (1 proposal to admit)',
    { lists: { main_sql_Q: 1 }, roles: ['worker', 'sql-client'] },
  ],
])('the search is where it is said to be: %s', (sentence, scene) => {
  expect(standing(scene)).toBe(sentence);
});
