import type { Redis } from 'ioredis';
import { beforeAll, describe, expect, test } from 'vitest';
import { Space } from '../../src/space/space.js';
import { Fleet } from '../support/fleet.js';
import { planeFleet, planeRows, planeRowsFrom } from '../support/plane.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { Wire } from '../support/wire.js';

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = server.connect();
});

/** Quick sweeps, for what is pushed into processing_Q. */
const lease = { seconds: 6 };
const lists = [
  'main_sql_Q',
  'main_Q',
  'processing_Q',
  'running_sql_Q',
  'error_sql_Q',
  'complete0_sql_Q',
  'complete1_sql_Q',
] as const;

const megabytes = (count: number, text: string) => Buffer.alloc(count * 1_000_000, text);
/** What says nothing that can be used, in any list. */
const garbage: readonly Buffer[] = [
  ...[
    '',
    ' ',
    ';',
    'garbage',
    '0.0',
    '0.0,0.0,0.0',
    '0.0,',
    'nan,0.0',
    '0x1,0.0',
    '1e999,0.0',
    '0٫5,0.0',
    '{"a":0,"b":0}',
  ],
  ...[
    '0.0,0.0;',
    '0.0,0.0;{',
    '0.0,0.0;[]',
    '0.0,0.0;null',
    '0.0,0.0;{"v":99}',
    '0.0,0.0;{"depth":-1}',
    '0.0,0.0;{"depth":"1"}',
  ],
  ...[
    '0.0,0.0;{"previous_hash":"no hash"}',
    '0.0,0.0;{"attempt":1.5}',
    '0.0,0.0;{"previous_path":7}',
    '0.0,0.0;{"lost":{}}',
  ],
  '0.0,0.0;{"depth":1};{"depth":1}',
].map((text) => Buffer.from(text));
const bytes = [
  Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
  Buffer.from([0x30, 0x2e, 0x30, 0x2c, 0xff]),
  Buffer.from('0.0,0.0;{"worker":"\u0000"}\ud800', 'utf16le'),
];
const huge = [
  megabytes(10, 'x'),
  Buffer.concat([Buffer.from('0.0,0.0;{"worker":"'), megabytes(10, 'y'), Buffer.from('"}')]),
];

const sorted = (elements: readonly Buffer[]) => elements.map((element) => element.toString('latin1')).sort();
const verdicts = async (fleet: Fleet) =>
  (await fleet.rows()).map(({ hash, stable, attempts }) => [hash, stable === 1, attempts]);
const expected = (rows = planeRows) => rows.map(({ hash, stable }) => [hash, stable, 1]);
const reportKeys = (fleet: Fleet) =>
  ['complete0_sql_Q', 'complete1_sql_Q', 'error_sql_Q'].map((list) => fleet.key(list));

/** Each list's malformed elements are those, byte for byte. */
async function expectSetAside(fleet: Fleet, elements: readonly Buffer[]): Promise<void> {
  const wanted = sorted(elements);
  for (const list of lists) {
    const aside = await redis.lrangeBuffer(fleet.key(`${list}:malformed`), 0, -1);
    // Said of digests: a difference of megabytes helps nobody.
    expect(sorted(aside).map(short), list).toEqual(wanted.map(short));
    expect(
      sorted(aside).every((text, index) => text === wanted[index]),
      list,
    ).toBe(true);
  }
}

const short = (text: string) => (text.length > 300 ? `${text.slice(0, 30)}… ${text.length}` : text);

describe('garbage in every list', () => {
  test.each<[string, readonly Buffer[]]>([
    ['texts', garbage],
    ['bytes and megabytes', [...bytes, ...huge]],
  ])('stops nobody, costs no point, and is set aside byte for byte: %s', async (name, elements) => {
    const fleet = planeFleet(server, `garbage-${elements.length}`, { lease });
    await fleet.crew({ masters: 2, clients: 2, workers: 2 });
    await fleet.masters[0]?.line(/^serving/);
    const some = Math.floor(elements.length / 2);
    for (const list of lists) await redis.lpush(fleet.key(list), ...elements.slice(0, some));
    await fleet.run('starter', '--no-wait');
    for (const list of lists) await redis.lpush(fleet.key(list), ...elements.slice(some));

    await fleet.done();
    expect(await verdicts(fleet), name).toEqual(expected());
    await expectSetAside(fleet, elements);
    const warnings = [...fleet.masters, ...fleet.clients, ...fleet.workers].flatMap(({ log }) =>
      log.filter(({ severity, message }) => severity === 'WARNING' && /^malformed, moved/.test(message)),
    );
    expect(warnings).toHaveLength(lists.length * elements.length);
    expect(await fleet.status()).toMatchObject({ damage: [], leases: 0, batches: 0 });
    await fleet.stop();
  });
});

describe('points pushed by hand', () => {
  test('are made canonical, go the way of all points, and run once however often they come', async () => {
    const fleet = planeFleet(server, 'by-hand', { lease });
    const wire = await Wire.tapped(server);
    await fleet.crew({ masters: 2, clients: 2, workers: 2 });
    await fleet.masters[0]?.line(/^serving/);
    // An island, its neighbour, the start; each in many spellings.
    const island = ['2.5,-2.25', '2.50,-2.250', ' +2.5 , -225e-2 ', '0.25E1,-2.25'];
    const neighbour = ['2.0,-2.25', '2,-2.25'];
    const start = ['0.0,0.0', '0,0', '-0.0,.0'];
    for (const list of ['main_sql_Q', 'main_Q', 'processing_Q']) {
      await redis.lpush(fleet.key(list), ...island, ...neighbour, ...start, ...island);
    }
    await fleet.done();
    for (const list of ['main_Q', 'processing_Q', 'main_sql_Q'])
      await redis.lpush(fleet.key(list), ...island, ...start);
    await fleet.done();

    const rows = planeRowsFrom('2.5,-2.25', '2.0,-2.25');
    expect(await verdicts(fleet)).toEqual(expected(rows));
    const once = new Map(rows.map(({ code }) => [code, 1]));
    await until(() => expect(wire.entered(...reportKeys(fleet))).toEqual(once), 'each point was reported once');
    expect(await redis.keys('{by-hand}:*malformed')).toEqual([]);
    await fleet.stop();
  });

  test('must have the filler that the others leave', async () => {
    const parameters = {
      O2: { start: 0.21, step: [{ below: 1, by: 0.01 }], max: 0.22 },
      N2: { filler: true },
      CO2: { start: 4e-4, step: [{ below: 1, by: 0.01 }], max: 0.02 },
    };
    const fleet = new Fleet({
      name: 'filler',
      parameters,
      redis: { url: server.url },
      database: { url: Fleet.sqliteUrl() },
    });
    await fleet.crew();
    await fleet.masters[0]?.line(/^serving/);
    const wrong = ['0.21,0.79,0.0004', '0.21,0.7896000001,0.0004', '1.1,-0.1004,0.0004', '0.9,0.0,0.2'];
    await redis.lpush(fleet.key('main_sql_Q'), ...wrong, '0.210,0.78960,4E-4');
    await fleet.done();
    expect((await redis.lrange(fleet.key('main_sql_Q:malformed'), 0, -1)).sort()).toEqual(wrong.toSorted());
    const named = Object.entries(parameters).map(([name, entry]) => ({ name, ...entry }));
    const { code, hash } = new Space({ parameters: named, mode: 'sides', reach: 1 }).start;
    expect((await fleet.rows()).find(({ previous_hash }) => previous_hash === null)).toMatchObject({ code, hash });
    await fleet.stop();
  });
});
