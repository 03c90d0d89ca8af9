import { beforeAll, describe, expect, test } from 'vitest';
import { Fleet, type Row } from '../support/fleet.js';
import type { ExpectedRow } from '../support/floodFill.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { Random, seedOfRun } from '../support/random.js';
import { randomSearch, type SearchShape } from '../support/randomSearch.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { Wire } from '../support/wire.js';

const seed = seedOfRun('closure');
const databases = ['MariaDB', 'SQLite'] as const;

/** Every combination of mode, reach, filler and database, and each number of dimensions. The first ten have each of them at least once. */
const searches = Array.from({ length: Number(process.env.FLEET_CLOSURES ?? 20) }, (_, index) => {
  const shape: SearchShape = {
    dimensions: 2 + (index % 5),
    mode: index & 1 ? 'diagonals' : 'sides',
    reach: index & 2 ? 2 : 1,
    filler: (index & 4) !== 0,
  };
  return { index, ...shape, database: databases[(index >> 3) & 1] as (typeof databases)[number] };
});

let redis: RedisServer;
let mariadb: MariadbServer;

beforeAll(async () => {
  [redis, mariadb] = await Promise.all([startRedis(), startMariadb()]);
});

/** What of a row does not depend on timing. */
function told({ hash, code, state, stable, attempts }: Row) {
  return { hash, code, state, stable, attempts: Number(attempts) };
}

/** The row of a point that was run once, without a failure. */
function settled({ hash, code, stable }: ExpectedRow) {
  return { hash, code, state: 'completed', stable: Number(stable), attempts: 1 };
}

describe('a search by 3 workers, 2 SQL clients and 2 masters ends with the rows of a sequential flood fill', () => {
  test.each(searches)(
    '$index: $dimensions dimensions, $mode, reach $reach, filler: $filler, $database',
    async ({ index, database, ...shape }) => {
      const random = new Random(seed + index);
      const { expected, ...search } = randomSearch(random, shape);
      const url = database === 'MariaDB' ? await mariadb.createDatabase() : Fleet.sqliteUrl();
      // Runs of 60 ms are told to SQL as running before they end; others are too quick for that.
      const simulator = { kind: 'reference', ...(index % 3 === 0 ? { delayMs: 60 } : {}) };
      const name = `closure-${index}`;
      const fleet = new Fleet({ name, ...search, simulator, redis: { url: redis.url }, database: { url } });
      const wire = await Wire.tapped(redis);

      await fleet.crew({ masters: 2, clients: 2, workers: 3, workerArgs: ['--exit-when-done', '--concurrency', '4'] });
      expect(await fleet.run('starter', '--no-wait')).toMatchObject({ status: 0 });
      for (const worker of fleet.workers)
        expect(await worker.exited, worker.stderr).toEqual({ status: 0, signal: null });

      expect((await fleet.rows()).map(told)).toEqual(expected.map(settled));
      const once = new Map(expected.map(({ code }) => [code, 1]));
      const reports = ['complete0_sql_Q', 'complete1_sql_Q', 'error_sql_Q'].map((list) => fleet.key(list));
      await until(() => expect(wire.entered(...reports)).toEqual(once), 'each point was reported once');
      expect(wire.entered(fleet.key('processing_Q')), 'each point was leased once').toEqual(once);
      await fleet.stop();
    },
  );
});
