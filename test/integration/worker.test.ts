import { beforeAll, describe, expect, test } from 'vitest';
import { Fleet } from '../support/fleet.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Wire } from '../support/wire.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

describe('a worker', () => {
  test('keeps its lease for as long as a run goes on', async () => {
    const fleet = new Fleet({
      ...{ name: 'long', parameters: { a: { start: 9 } }, redis: { url: server.url } },
      ...{ database: { url: Fleet.sqliteUrl() }, lease: { seconds: 3 } },
      simulator: { kind: 'reference', delayMs: 6000 },
    });
    await fleet.crew();
    await fleet.run('starter');
    const expired = fleet.masters[0]?.line(/leases expired/).then(({ message }) => message);
    expect(await Promise.race([fleet.over(), expired])).toBeUndefined();
    expect(await fleet.rows()).toMatchObject([{ code: '9.0', state: 'completed', attempts: 1 }]);
    await fleet.stop();
  });

  test('hands a bare code that somebody pushed to it over to be admitted', async () => {
    const fleet = planeFleet(server, 'bare');
    const wire = await Wire.tapped(server);
    await fleet.crew();
    await fleet.masters[0]?.line(/^serving/);
    await server.connect().lpush(fleet.key('main_Q'), '0,0');
    await fleet.over();
    expect((await fleet.rows()).map(({ hash }) => hash)).toEqual(planeRows.map(({ hash }) => hash));
    const runs = wire.entered(fleet.key('complete0_sql_Q'), fleet.key('complete1_sql_Q'));
    expect([...runs].filter(([, times]) => times !== 1)).toEqual([]);
    await fleet.stop();
  });
});
