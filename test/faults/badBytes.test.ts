import { expect, test } from 'vitest';
import { decodeReport, decodeTravel, Malformed } from '../../src/queue/messages.js';
import { climateOf } from '../../src/simulators/reference.js';
import { Space } from '../../src/space/space.js';
import { floodFill } from '../support/floodFill.js';
import { startMariadb } from '../support/mariadb.js';
import { Random, seedOfRun } from '../support/random.js';
import { startRedis } from '../support/redis.js';
import { until } from '../support/until.js';
import { type ServingRole, startDist } from './dist.js';
import { TestSearch } from './search.js';

/** What people, other programs and broken disks may leave in the lists: each that does not decode is set aside, byte for byte. */
const inputs = 10_000;
const huge = 10 * 2 ** 20;
const hugeOnes = 4;
const roles: ServingRole[] = ['sql-client', 'sql-client-master', 'worker'];
const travelLists = ['main_sql_Q', 'main_Q', 'processing_Q'];
const reportLists = ['running_sql_Q', 'error_sql_Q', 'complete0_sql_Q', 'complete1_sql_Q'];

const axis = { start: 0, step: [{ below: 100, by: 1 }], min: -2, max: 2 };
const space = new Space({
  parameters: [
    { name: 'a', ...axis },
    { name: 'b', ...axis },
  ],
  mode: 'sides',
  reach: 1,
});
const config = { parameters: { a: axis, b: axis }, lease: { seconds: 1 }, run: { losses: 1000 } };

const numbers = [
  'NaN',
  'inf',
  '-inf',
  'Infinity',
  '-0.0',
  '0x10',
  '1e400',
  '1e-400',
  '1e308',
  '',
  ' ',
  '1_0',
  '1,5',
  '+1',
  '٣',
  '1.0.0',
];
const pieces = [
  ';',
  ',',
  "'",
  '"',
  '`',
  '$(reboot)',
  '`reboot`',
  '../../etc/passwd',
  '-rf',
  '--',
  '\\',
  '%s',
  '{}',
  '[]',
  'null',
];
const texts = [
  ...[
    "'; drop table bad; --",
    '\0',
    '\ud800',
    '😀'.repeat(50),
    '\r\n',
    '\u202e',
    'x'.repeat(70_000),
    '\x1b[2J',
    '?',
    ':name',
    '\\',
    "\\'",
  ],
  ...['', '__proto__', 'constructor', '$HOME', '/*', '%00'],
];
const values: unknown[] = [
  ...[null, true, [], {}, -1, 0, 1, 1.5, 2 ** 31 - 1, 2 ** 31, 2 ** 53, 1e308, -1e308, 5e-324, 'x'],
  ...[[[[]]], { a: { b: 1 } }, [1, 'x'], { "'": 1 }, { '😀': 1e300 }, { '\0': 1 }, { '\ud800': 1 }, ...texts],
  ...[
    '2026-01-31T12:00:00.000Z',
    '0001-01-01',
    '+275760-09-13T00:00:00.000Z',
    '-000001-01-01T00:00:00Z',
    'f'.repeat(32),
  ],
];
const facts = [
  ...[
    'v',
    'previous_hash',
    'previous_path',
    'depth',
    'attempt',
    'spent',
    'lost',
    'worker',
    'start_time',
    'end_time',
    'run_time',
  ],
  ...['error_kind', 'error_msg', 'complete_msg', 'out_path', 'temperature', 'pressure', 'outputs'],
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', '', 'state', 'hash'],
];

function bytes(random: Random): Buffer {
  return Buffer.from(Array.from({ length: random.whole(0, 40) }, () => random.whole(0, 255)));
}

/** A code that is one, with something wrong in most cases. */
function code(random: Random): string {
  const number = () =>
    random.chance(0.5) ? String(random.whole(-2, 2)) : random.pick([...numbers, ...pieces, ...texts]);
  return Array.from({ length: random.chance(0.7) ? 2 : random.whole(0, 5) }, number).join(
    random.pick([',', ',', ',', ';', ' ']),
  );
}

function json(random: Random): string {
  const entries = Array.from({ length: random.whole(0, 4) }, () => [random.pick(facts), random.pick(values)] as const);
  const text = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`;
  return random.chance(0.9) ? text : text.slice(0, random.whole(0, text.length));
}

function badInput(random: Random): Buffer {
  const kind = random.whole(0, 9);
  if (kind === 0) return bytes(random);
  if (kind === 1) return Buffer.concat([Buffer.from('0.0,1.0;'), bytes(random)]);
  if (kind <= 3) return Buffer.from(code(random));
  if (kind === 4) return Buffer.from(random.pick(pieces).repeat(random.whole(1, 2000)));
  const point = random.chance(0.7) ? `${random.whole(-2, 2)}.0,${random.whole(-2, 2)}.0` : code(random);
  return Buffer.from(`${point};${json(random)}`);
}

/** Whether an element says something, as a role would read it. */
function decodes(list: string, input: Buffer): boolean {
  try {
    if (reportLists.includes(list)) decodeReport(input.toString(), space);
    else decodeTravel(input.toString(), space);
    return true;
  } catch (error) {
    if (error instanceof Malformed) return false;
    throw error;
  }
}

test('whatever stands in a list stops nobody, and is set aside byte for byte', { timeout: 300_000 }, async () => {
  const random = new Random(seedOfRun('bad bytes'));
  const services = { redis: await startRedis(), mariadb: await startMariadb() };
  const search = new TestSearch('bad', services, config);
  const { serve } = await startDist();
  const servings = roles.map((role) => serve(role, search.configPath));
  const working = <T>(wait: Promise<T>) => Promise.race([wait, ...servings.map(({ broken }) => broken)]);
  await working(until(() => search.isThere().then((there) => there && search.isOpen()), 'the search is open'));
  const wanted = new Map<string, string[]>();
  const lists = [...travelLists, ...reportLists];
  for (let i = 0; i < inputs; i++) {
    const list = random.pick(lists);
    const input = i < hugeOnes ? Buffer.alloc(huge, random.pick(pieces)) : badInput(random);
    if (!decodes(list, input)) wanted.set(list, [...(wanted.get(list) ?? []), input.toString('latin1')]);
    await search.redis.lpush(search.key(list), input);
  }
  await search.redis.lpush(search.key('main_sql_Q'), space.start.code);
  const ends = () => search.done();
  await working(until(ends, 'the search is over', 120)).catch(async (error) => {
    throw new Error(`${error}\n${(await search.told()).slice(0, 3000)}`, { cause: error });
  });

  for (const list of lists) {
    const found = await search.redis.lrangeBuffer(search.key(`${list}:malformed`), 0, -1);
    expect(found.map((element) => element.toString('latin1')).sort()).toEqual((wanted.get(list) ?? []).sort());
  }
  const rows = await search.query<{ hash: string; code: string }>(`select hash, code from ${search.table}`);
  expect(rows.filter(({ hash, code }) => space.decode(code).hash !== hash || space.decode(code).code !== code)).toEqual(
    [],
  );
  const reached = floodFill(space, ({ dictionary }) => climateOf(dictionary).stable);
  expect(rows.length).toBeGreaterThanOrEqual(reached.length);
  const aside = [...wanted.values()].reduce((sum, some) => sum + some.length, 0);
  console.log(`${inputs} inputs: ${aside} set aside, ${inputs - aside} said something; no role ended`);
  await Promise.all(servings.map((one) => one.end()));
});

test('a row that says nothing stops no master', { timeout: 120_000 }, async () => {
  const services = { redis: await startRedis(), mariadb: await startMariadb() };
  const search = new TestSearch('bad-rows', services, config);
  const { serve } = await startDist();
  const servings = roles.map((role) => serve(role, search.configPath));
  await until(() => search.isThere().then((there) => there && search.isOpen()), 'the search is open');
  const bad = ['nonsense', '', '1.0,NaN', '1e400,0.0', '0.0;0.0', '9.0,9.0,9.0'];
  const entries = bad.flatMap((code, i) =>
    ["'queue', null", "'completed', 1"].map(
      (state, j) => `('${String(i * 2 + j).padStart(32, 'e')}', '${code}', 0, 0, 0, ${state})`,
    ),
  );
  await search.query(
    `insert into ${search.table} (hash, code, a, b, depth, state, stable) values ${entries.join(', ')},
      ('${'d'.repeat(32)}', '1.0,1.0', 1, 1, 0, 'queue', null)`,
  );
  await search.redis.flushall();
  await until(() => search.isOpen(), 'Redis is made whole');
  await search.redis.lpush(search.key('main_sql_Q'), space.start.code);
  const expected = floodFill(space, ({ dictionary }) => climateOf(dictionary).stable);
  const settled = async () => {
    const rows = await search.query<{ hash: string }>(
      `select hash from ${search.table} where state = 'completed' and hash not like 'eeee%' order by hash`,
    );
    return rows.map(({ hash }) => hash);
  };
  await Promise.race([
    until(async () => (await settled()).length === expected.length, 'all that can be run has run'),
    ...servings.map(({ broken }) => broken),
  ]);
  expect(await settled()).toEqual(expected.map(({ hash }) => hash));
  await Promise.all(servings.map((one) => one.end()));
});
