import { beforeAll, describe, expect, test } from 'vitest';
import { Fleet } from '../support/fleet.js';
import { planeFleet, planeRows } from '../support/plane.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
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

  test('whose machine cannot run points gives them back, with no attempt the less, and benches itself', async () => {
    const fleet = planeFleet(server, 'faulty', {
      simulator: { kind: 'program', command: ['/nonexistent/program'], sandbox: { kind: 'local' } },
    });
    await fleet.crew();
    await fleet.run('starter');
    const redis = server.connect();
    const [worker] = fleet.workers;
    const benched = () => worker?.log.some(({ message }) => /^benched after 3 faults/.test(message));
    const muchTried = async () => Number(await redis.hget(fleet.key('search'), 'moves')) > 50;
    expect(await until(async () => (benched() ? 'benched' : (await muchTried()) && 'tries on'), 'it gives up')).toBe(
      'benched',
    );
    const elements = () => redis.lrange(fleet.key('main_Q'), 0, -1);
    expect(await until(async () => (await elements())[0], 'the point is back')).toBe('0.0,0.0;{"v":1,"depth":0}');
    expect(await fleet.rows()).toMatchObject([{ code: '0.0,0.0', error_msg: null }]);
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
