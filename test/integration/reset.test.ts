import { createConnection } from 'mysql2/promise';
import { beforeAll, describe, expect, test } from 'vitest';
import { Ledger, Replaced } from '../../src/ledger/ledger.js';
import { Space } from '../../src/space/space.js';
import { Fleet } from '../support/fleet.js';
import { type MariadbServer, startMariadb } from '../support/mariadb.js';
import { planeFleet, planeRows } from '../support/plane.js';
import type { Role } from '../support/processes.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { settledRow } from '../support/searched.js';
import { until } from '../support/until.js';

let redis: RedisServer;
let mariadb: MariadbServer;

beforeAll(async () => {
  [redis, mariadb] = await Promise.all([startRedis(), startMariadb()]);
});

const space = new Space({ parameters: [{ name: 'a', start: 0, step: [], min: 0, max: 1 }], mode: 'sides', reach: 1 });
const row = settledRow(space.start, true, null);
const news = { hash: row.hash, attempts: 1, worker: 'test', start_time: null };

describe('what was meant for a table that was dropped and made anew since is refused', () => {
  test.each(['MariaDB', 'SQLite'])('by %s, in the statement itself', async (kind) => {
    const url = kind === 'MariaDB' ? await mariadb.createDatabase() : Fleet.sqliteUrl();
    const [writer, resetter] = [1, 2].map(() => new Ledger(url, 'points', space.names)) as [Ledger, Ledger];
    for (const ledger of [writer, resetter]) atEnd(() => ledger.close());
    await writer.create('test');
    await writer.settle([row]);
    await resetter.recreate('test');
    await expect(writer.settle([row])).rejects.toThrow(Replaced);
    await expect(writer.insertQueued([row])).rejects.toThrow(Replaced);
    expect(await writer.find([row.hash])).toEqual([]);

    await resetter.insertQueued([row]);
    await expect(writer.markRunning([news])).rejects.toThrow(Replaced);
    await expect(writer.settle([row])).rejects.toThrow(Replaced);
    expect(await writer.find([row.hash])).toMatchObject([{ state: 'queue', attempts: 0 }]);

    const before = writer.incarnation;
    await writer.open();
    await expect(writer.settle([row], before)).rejects.toThrow(Replaced);
    await writer.markRunning([news]);
    await writer.settle([row]);
    expect(await writer.find([row.hash])).toMatchObject([{ state: 'completed', stable: true }]);
  });
});

/** Has a role hold a batch in memory, stopped, while its statement did not take effect. */
async function holdingBatch(fleet: Fleet, role: Role, list: string): Promise<void> {
  const lock = await createConnection(fleet.config.database.url);
  atEnd(() => lock.destroy());
  await lock.query('lock tables parameterspace read');
  const client = redis.connect();
  await client.lpush(fleet.key(list), `3.0,3.0;${JSON.stringify({ v: 1, depth: 1, previous_hash: 'f'.repeat(32) })}`);
  const waiting = async () => {
    const [statements] = await lock.query(
      "select id from information_schema.processlist where info like 'insert into `parameterspace`%'",
    );
    return (statements as { id: number }[])[0]?.id;
  };
  const id = (await until(waiting, 'the statement of the batch waits')) as number;
  role.kill('SIGSTOP');
  await lock.query(`kill ${id}`);
  await until(async () => (await waiting()) === undefined, 'the statement is gone');
  await lock.query('unlock tables');
}

describe('sql-client -r while a role holds a batch of the old search', () => {
  test.each([
    ['sql-client', 'complete1_sql_Q'],
    ['sql-client-master', 'main_sql_Q'],
  ] as const)('nothing of it enters the new table: %s', async (held, list) => {
    const database = { url: await mariadb.createDatabase() };
    const fleet = planeFleet(redis, `reset-${held}`, { database, lease: { seconds: 2 } });
    const roles = {
      'sql-client': await fleet.start('sql-client', '-c'),
      'sql-client-master': await fleet.start('sql-client-master'),
    };
    fleet.clients.push(roles['sql-client']);
    fleet.masters.push(roles['sql-client-master']);
    for (const role of fleet.clients) await role.line(/^serving/);
    for (const role of fleet.masters) await role.line(/^serving/);
    await holdingBatch(fleet, roles[held], list);
    const [anew, other] = [await fleet.start('sql-client', '-r'), await fleet.start('sql-client-master')];
    fleet.clients.push(anew);
    fleet.masters.push(other);
    await anew.line(/^serving/);
    roles[held].kill('SIGCONT');
    await roles[held].line(/was dropped and made anew: what was under way for the old one is dropped/);
    fleet.workers.push(await fleet.start('worker'));
    expect(await fleet.run('starter')).toMatchObject({ status: 0 });
    await fleet.over();
    const rows = (await fleet.rows()).map(({ hash, stable }) => [hash, stable === 1]);
    expect(rows).toEqual(planeRows.map(({ hash, stable }) => [hash, stable]));
    await fleet.stop();
  });
});
