import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import {
  type ConfigSources,
  definitionOf,
  fingerprintDifference,
  fingerprintOf,
  loadConfig,
} from '../../src/config/config.js';
import { Space } from '../../src/space/space.js';
import { UsageError } from '../../src/support/errors.js';
import { withoutPassword } from '../../src/support/secrets.js';
import { temporaryFolder } from '../support/folder.js';

const folder = temporaryFolder();
const file = join(folder, 'fleet.yaml');

const parameters = {
  O2: { start: 0.21, step: [{ below: 1.0, by: 0.01 }], max: 0.3 },
  N2: { start: 0.7877, filler: true },
  H2O: { start: 0.0023, step: 0.01, max: 0.05 },
};

const base = { name: 'test', parameters };

/** Writes a configuration and loads it. */
function load(content: unknown, sources: Partial<ConfigSources> = {}) {
  writeFileSync(file, typeof content === 'string' ? content : stringify(content));
  return loadConfig({ path: file, env: {}, ...sources });
}

/** What a refusal says, line by line, without the file's folder. */
function refusal(content: unknown, sources: Partial<ConfigSources> = {}): string[] {
  return refusalOf(() => load(content, sources));
}

function refusalOf(attempt: () => unknown): string[] {
  try {
    attempt();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as UsageError).message.replaceAll(`${folder}/`, '').split('\n');
  }
  throw new Error('was accepted');
}

describe('a configuration', () => {
  test('has defaults for all but the name and the parameters', () => {
    expect(load(base)).toEqual({
      name: 'test',
      folder,
      parameters: [
        { name: 'O2', start: 0.21, step: [{ below: 1, by: 0.01 }], max: 0.3 },
        { name: 'N2', start: 0.7877, filler: true },
        { name: 'H2O', start: 0.0023, step: [{ below: 1, by: 0.01 }], max: 0.05 },
      ],
      search: { mode: 'sides', reach: 1, maxPoints: null },
      stable: {},
      simulator: { kind: 'reference' },
      artifacts: { url: `file:${folder}/results` },
      redis: { url: 'redis://127.0.0.1:6379' },
      database: { url: `sqlite:${folder}/atmos-fleet.db`, table: 'parameterspace' },
      lease: { seconds: 30 },
      run: { timeoutSeconds: 43_200, attempts: 3, losses: 5 },
    });
  });

  test('keeps the order of its parameters, and what it says of the rest', () => {
    const config = load(`
      name: pyatmos
      parameters: { b: { start: 2, step: 1, min: -1 }, a: { start: 0 }, c2: { start: 1.5e-3 } }
      search: { mode: diagonals, reach: 2, maxPoints: 100 }
      stable: { temperature: { min: 273.15, max: 373.15 }, pressure: { max: 2 } }
      simulator: { kind: program, command: [python3, /opt/model.py], sandbox: { kind: local } }
      artifacts: { url: gs://bucket/some/prefix }
      redis: { url: rediss://redis.example:6380/1 }
      database: { url: mysql://user@127.0.0.1:3306/pyatmos, table: points }
      lease: { seconds: 1.5 }
      run: { timeoutSeconds: 0.5, attempts: 1, losses: 1 }
    `);
    expect(definitionOf(config)).toEqual({
      parameters: [
        { name: 'b', start: 2, step: [{ below: 1, by: 1 }], min: -1 },
        { name: 'a', start: 0 },
        { name: 'c2', start: 0.0015 },
      ],
      mode: 'diagonals',
      reach: 2,
    });
    expect(new Space(definitionOf(config)).start.code).toBe('2.0,0.0,0.0015');
    expect(config.search.maxPoints).toBe(100);
    expect(config.stable).toEqual({ temperature: { min: 273.15, max: 373.15 }, pressure: { max: 2 } });
    expect(config.simulator).toMatchObject({ kind: 'program', command: ['python3', '/opt/model.py'] });
    expect(config.artifacts.url).toBe('gs://bucket/some/prefix');
    expect(config.redis.url).toBe('rediss://redis.example:6380/1');
    expect(config.database).toEqual({ url: 'mysql://user@127.0.0.1:3306/pyatmos', table: 'points' });
    expect(config.lease.seconds).toBe(1.5);
    expect(config.run).toEqual({ timeoutSeconds: 0.5, attempts: 1, losses: 1 });
  });

  test.each([
    ['artifacts', 'file:out', 'file:FOLDER/out'],
    ['artifacts', 'file:///srv/out', 'file:/srv/out'],
    ['database', 'sqlite:../x.db', 'sqlite:PARENT/x.db'],
    ['database', 'sqlite:/srv/x.db', 'sqlite:/srv/x.db'],
    ['database', 'mariadb://user@localhost/db', 'mysql://user@localhost/db'],
    [
      'database',
      'mysql://user@localhost/db?socketPath=/run/my.sock',
      'mysql://user@localhost/db?socketPath=/run/my.sock',
    ],
    ['redis', 'unix:redis.sock', 'unix:FOLDER/redis.sock'],
    ['redis', 'unix:///run/redis.sock', 'unix:/run/redis.sock'],
    ['redis', 'redis+unix:///run/redis.sock', 'unix:/run/redis.sock'],
    ['redis', 'redis://[::1]:6379/2', 'redis://[::1]:6379/2'],
  ] as const)('takes %s.url %s as %s', (section, given, taken) => {
    const wanted = taken.replace('FOLDER', folder).replace('PARENT', dirname(folder));
    expect(load({ ...base, [section]: { url: given } })[section].url).toBe(wanted);
  });

  test('takes a relative socketPath from its folder', () => {
    const { url } = load({ ...base, database: { url: 'mysql://root@localhost/db?socketPath=my.sock' } }).database;
    expect(new URL(url).searchParams.get('socketPath')).toBe(`${folder}/my.sock`);
  });
});

describe('sources', () => {
  const content = { ...base, redis: { url: 'redis://file:1' }, lease: { seconds: 20 } };

  test('beat one another: flags, environment, file, defaults', () => {
    const env = { REDIS_URL: 'redis://environment:2', DATABASE_URL: 'sqlite:/environment.db' };
    const flags = { redis: { url: 'redis://flag:3' }, lease: { seconds: undefined }, run: { attempts: 7 } };
    expect(load(content).redis.url).toBe('redis://file:1');
    expect(load(content, { env }).redis.url).toBe('redis://environment:2');
    const all = load(content, { env, flags });
    expect(all.redis.url).toBe('redis://flag:3');
    expect(all.database).toEqual({ url: 'sqlite:/environment.db', table: 'parameterspace' });
    expect(all.lease.seconds).toBe(20);
    expect(all.run).toEqual({ timeoutSeconds: 43_200, attempts: 7, losses: 5 });
  });

  test('may hold a secret in the environment, and in the file that a _FILE variable names', () => {
    const secret = join(folder, 'secret');
    writeFileSync(secret, 'mysql://user:s3cret@db/fleet\n');
    const config = load(content, { env: { REDIS_URL: 'redis://:s3cret@host', DATABASE_URL_FILE: secret } });
    expect(config.redis.url).toBe('redis://:s3cret@host');
    // It tells the file, which is read again when the password is refused.
    expect(config.database.url).toBe(`mysql://user:s3cret@db/fleet?secretFile=${encodeURIComponent(secret)}`);
  });

  test('take relative paths outside the file from the working directory', () => {
    const config = load(content, { env: { DATABASE_URL: 'sqlite:x.db' }, flags: { artifacts: { url: 'file:out' } } });
    expect(config.database.url).toBe(`sqlite:${process.cwd()}/x.db`);
    expect(config.artifacts.url).toBe(`file:${process.cwd()}/out`);
  });

  test('name the file: the option, then ATMOS_FLEET_CONFIG', () => {
    load({ ...base, name: 'by-environment' });
    expect(loadConfig({ env: { ATMOS_FLEET_CONFIG: file } }).name).toBe('by-environment');
    expect(refusalOf(() => loadConfig({ path: join(folder, 'none.yaml'), env: { ATMOS_FLEET_CONFIG: file } }))).toEqual(
      ['none.yaml: no such file. Name the configuration with --config or ATMOS_FLEET_CONFIG'],
    );
  });

  test('are named in what is wrong', () => {
    const env = { REDIS_URL: 'http://host', DATABASE_URL: 'mysql://user:s3cret@host/' };
    const flags = { lease: { seconds: 0 }, serch: { reach: 1 } };
    expect(refusal(content, { env, flags })).toEqual([
      'REDIS_URL: expected redis://host:port, got http://host; other forms: redis+sentinel://host:port,host:port/master, redis+cluster://host:port,host:port (rediss instead of redis for TLS), unix:/path/to.sock',
      'DATABASE_URL: expected mysql://user@host:port/database, got mysql://user:***@host/; other forms: mysql://user@localhost/database?socketPath=/path/to.sock, sqlite:path',
      '--lease.seconds: found 0, wants seconds from 1 to 2000000',
      '--serch: is no known key: did you mean search?',
    ]);
  });

  test('lose the newline at the end of a secret, as files do', () => {
    const env = { REDIS_URL: 'redis://:s3cret@host\n', DATABASE_URL: 'mysql://user:s3cret@host/db\r\n' };
    const { redis, database } = load(content, { env });
    expect([redis.url, database.url]).toEqual(['redis://:s3cret@host', 'mysql://user:s3cret@host/db']);
  });

  test('do not say a thing twice', () => {
    expect(refusal(content, { env: { REDIS_URL: 'redis://a', REDIS_URL_FILE: '/b' } })).toEqual([
      'REDIS_URL and REDIS_URL_FILE are both set: wants one of them',
    ]);
  });

  test('must be there', () => {
    const [line] = refusal(content, { env: { DATABASE_URL_FILE: join(folder, 'nothing') } });
    expect(line).toMatch(/^DATABASE_URL_FILE: "nothing" cannot be read: ENOENT/);
    expect(refusalOf(() => loadConfig({ path: folder, env: {} }))[0]).toMatch(/cannot be read: EISDIR/);
  });
});

/** What is changed in the base, then what the refusal says after `fleet.yaml: `. */
const refused: [string, Record<string, unknown>, string[]][] = [
  ['a missing name', { name: undefined }, ['name: is missing, wants a text']],
  [
    'a bad name',
    { name: 'a b' },
    ['name: found "a b", wants a letter or digit, then up to 62 letters, digits, _ . or -'],
  ],
  ['an unknown key', { artefacts: { url: 'x' } }, ['artefacts: is no known key: did you mean artifacts?']],
  [
    'an unknown key unlike any',
    { search: { colour: 1 } },
    ['search.colour: is no known key, wants one of mode, reach, maxPoints'],
  ],
  [
    'a text for a block',
    { redis: 'redis://:s3cret@host' },
    ['redis: found "redis://:***@host", wants a block of keys'],
  ],
  ['a wrong mode', { search: { mode: 'both' } }, ['search.mode: found "both", wants sides or diagonals']],
  [
    'a reach that is not whole',
    { search: { reach: 1.5 } },
    ['search.reach: found 1.5, wants a whole number from 1 to 10'],
  ],
  ['a reach too far', { search: { reach: 11 } }, ['search.reach: found 11, wants a whole number from 1 to 10']],
  ['a reach as text', { search: { reach: '2' } }, ['search.reach: found "2", wants a whole number from 1 to 10']],
  [
    'no points at most',
    { search: { maxPoints: 0 } },
    ['search.maxPoints: found 0, wants a whole number from 1 to 1000000000000'],
  ],
  [
    'bounds upside down',
    { stable: { temperature: { min: 3, max: 2 } } },
    ['stable.temperature: found {"min":3,"max":2}, wants a min that is not over max'],
  ],
  [
    'an unknown rule',
    { stable: { temprature: {} } },
    ['stable.temprature: is no known key: did you mean temperature?'],
  ],
  [
    'an unknown simulator',
    { simulator: { kind: 'atmoss' } },
    ['simulator.kind: found "atmoss", wants one of the kinds reference, atmos, program'],
  ],
  [
    'a program without a sandbox',
    { simulator: { kind: 'program', command: ['x'] } },
    ['simulator.sandbox: is missing, wants one of the kinds docker, local'],
  ],
  [
    'a program without a command',
    { simulator: { kind: 'program', command: [], sandbox: { kind: 'local' } } },
    ['simulator.command: found [], wants a program and its arguments, e.g. [python3, /opt/model.py]'],
  ],
  [
    'a key of another kind',
    { simulator: { kind: 'reference', command: ['x'] } },
    ['simulator.command: is no known key, wants one of kind, delayMs'],
  ],
  [
    'another store',
    { artifacts: { url: 's3://bucket' } },
    ['artifacts.url: found "s3://bucket", wants file:path or gs://bucket/prefix'],
  ],
  [
    'another queue',
    { redis: { url: 'amqp://host' } },
    [
      'redis.url: expected redis://host:port, got amqp://host; other forms: redis+sentinel://host:port,host:port/master, redis+cluster://host:port,host:port (rediss instead of redis for TLS), unix:/path/to.sock',
    ],
  ],
  [
    'a database in memory',
    { database: { url: 'sqlite::memory:' } },
    [
      'database.url: expected mysql://user@host:port/database, got sqlite::memory:; other forms: mysql://user@localhost/database?socketPath=/path/to.sock, sqlite:path',
    ],
  ],
  [
    'a bad table',
    { database: { table: 'points;drop' } },
    ['database.table: found "points;drop", wants a letter or _, then up to 55 letters, digits or _'],
  ],
  ['a lease too short', { lease: { seconds: 0.5 } }, ['lease.seconds: found 0.5, wants seconds from 1 to 2000000']],
  [
    'a time-out beyond any timer',
    { run: { timeoutSeconds: 1e9 } },
    ['run.timeoutSeconds: found 1000000000, wants seconds from 0.001 to 2000000'],
  ],
  ['no attempts', { run: { attempts: 0 } }, ['run.attempts: found 0, wants a whole number from 1 to 1000']],
  ['no losses', { run: { losses: 0 } }, ['run.losses: found 0, wants a whole number from 1 to 1000']],
  [
    'a password for Redis',
    { redis: { url: 'redis://:s3cret@host:6379' } },
    [
      'redis.url: found a password in redis://:***@host:6379, wants none here: give the URL in REDIS_URL, or in a file that REDIS_URL_FILE names',
    ],
  ],
  [
    'a password for SQL',
    { database: { url: 'mysql://user:s3/cr@et@host/db' } },
    [
      'database.url: expected mysql://user@host:port/database, got mysql://user:***@host/db; other forms: mysql://user@localhost/database?socketPath=/path/to.sock, sqlite:path. In a password write / as %2F, ? as %3F, # as %23 and @ as %40',
      'database.url: found a password in mysql://user:***@host/db, wants none here: give the URL in DATABASE_URL, or in a file that DATABASE_URL_FILE names',
    ],
  ],
];

/** What stands in the place of parameters, then what the refusal says after `fleet.yaml: `. */
const refusedParameters: [string, unknown, string[]][] = [
  ['none', {}, ['parameters: found 0 parameters, wants 1 to 20']],
  ['nothing at all', undefined, ['parameters: is missing, wants a block of keys']],
  ['a list', ['O2'], ['parameters: found ["O2"], wants a block of keys']],
  [
    'too many',
    Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`p${index}`, { start: 0 }])),
    ['parameters: found 21 parameters, wants 1 to 20'],
  ],
  ['no start', { a: { step: 1 } }, ['parameters.a.start: is missing, wants the value of the trusted point']],
  ['a start as text', { a: { start: '0.21' } }, ['parameters.a.start: found "0.21", wants a number']],
  ['a start without end', '{ a: { start: .inf } }', ['parameters.a.start: found Infinity, wants a number']],
  ['a key misspelt', { a: { start: 0, stpe: 1 } }, ['parameters.a.stpe: is no known key: did you mean step?']],
  ['a negative step', { a: { start: 0, step: -1 } }, ['parameters.a.step[0].by: found -1, wants a step of 0 or more']],
  [
    'a step as text',
    { a: { start: 0, step: 'wide' } },
    ['parameters.a.step: found "wide", wants a number, or a list of bins such as [{ below: 1.0, by: 0.01 }]'],
  ],
  [
    'no bins',
    { a: { start: 0, step: [] } },
    ['parameters.a.step: found [], wants a number, or a list of bins such as [{ below: 1.0, by: 0.01 }]'],
  ],
  [
    'a bin without a bound',
    { a: { start: 0, step: [{ by: 1 }] } },
    ['parameters.a.step[0].below: is missing, wants a number'],
  ],
  [
    'bins that do not ascend',
    {
      a: {
        start: 0,
        step: [
          { below: 2, by: 1 },
          { below: 2, by: 2 },
        ],
      },
    },
    ['parameters.a.step[1].below: found 2, wants over 2: bins ascend'],
  ],
  [
    'bounds upside down',
    { a: { start: 0, min: 2, max: 1 } },
    ['parameters.a.min: found 2, wants at most max, which is 1'],
  ],
  ['a start below min', { a: { start: 0, min: 1 } }, ['parameters.a.start: found 0, wants at least min, which is 1']],
  ['a start over max', { a: { start: 2, max: 1 } }, ['parameters.a.start: found 2, wants at most max, which is 1']],
  [
    'a name that is none',
    { '2a': { start: 0 }, 'a-b': { start: 0 } },
    [
      'parameters.2a: found the name "2a", wants letters, digits and _, 64 at most, a letter first',
      'parameters.a-b: found the name "a-b", wants letters, digits and _, 64 at most, a letter first',
    ],
  ],
  ['a prototype', '{ __proto__: { start: 0 } }', ['parameters.__proto__: is no known key']],
  [
    'a column of the table',
    { Depth: { start: 0 } },
    ['parameters.Depth: found the name "Depth", wants a name that is no column of the table already'],
  ],
  [
    'names alike but for case',
    { Co: { start: 0 }, CO: { start: 0 } },
    ['parameters.CO: found the name "CO", wants a name that differs from Co by more than case'],
  ],
  [
    'two fillers',
    { a: { filler: true }, b: { filler: true }, c: { start: 0 } },
    ['parameters.b.filler: found a second filler, wants one at most: a is the filler already'],
  ],
  [
    'a filler with a step',
    { a: { filler: true, step: 1, max: 1 } },
    [
      'parameters.a.step: found [{"below":1,"by":1}], wants none: a filler takes what the others leave',
      'parameters.a.max: found 1, wants none: a filler takes what the others leave',
    ],
  ],
  [
    'a filler that does not fit',
    { O2: { start: 0.21 }, N2: { start: 0.78, filler: true } },
    ['parameters.N2.start: found 0.78, wants 0.79, which the other starts leave of 1 (or no start)'],
  ],
  [
    'a filler with nothing left',
    { a: { start: 0.75 }, b: { start: 0.5 }, f: { filler: true } },
    ['parameters: found starts that sum to 1.25, wants at most 1: f takes the rest'],
  ],
  [
    'a concentration over 1',
    { a: { start: 1.21, max: 1.5 }, f: { filler: true } },
    [
      'parameters.a.start: found 1.21, wants a concentration from 0 to 1',
      'parameters.a.max: found 1.5, wants a concentration from 0 to 1',
    ],
  ],
];

describe('a configuration is refused with', () => {
  test.each(refused)('%s', (_, change, lines) => {
    expect(refusal({ ...base, ...change })).toEqual(lines.map((line) => `fleet.yaml: ${line}`));
  });

  test.each(refusedParameters)('%s for parameters', (_, block, lines) => {
    const content = typeof block === 'string' ? `{ name: test, parameters: ${block} }` : { ...base, parameters: block };
    expect(refusal(content)).toEqual(lines.map((line) => `fleet.yaml: ${line}`));
  });

  test('more neighbours than a message carries', () => {
    const search = (mode: string, count: number) => {
      const axes = Array.from({ length: count }, (_, index) => [`p${index}`, { start: 1, step: 1 }]);
      return { name: 'test', parameters: Object.fromEntries(axes), search: { mode, reach: 4 } };
    };
    expect(load(search('sides', 20)).parameters).toHaveLength(20);
    expect(load(search('diagonals', 4)).parameters).toHaveLength(4);
    expect(refusal(search('diagonals', 5))).toEqual([
      'fleet.yaml: search: found 59048 neighbours a point (diagonals, reach 4, 5 parameters with a step), wants at most 20000',
    ]);
  });

  test('everything that is wrong at once, a line each', () => {
    const content = {
      nam: 'x',
      parameters: { a: { start: 0, stpe: 1 }, A: { start: 2, max: 1 } },
      lease: { seconds: 'x' },
    };
    expect(refusal(content)).toEqual([
      'fleet.yaml: name: is missing, wants a text',
      'fleet.yaml: parameters.a.stpe: is no known key: did you mean step?',
      'fleet.yaml: lease.seconds: found "x", wants seconds from 1 to 2000000',
      'fleet.yaml: nam: is no known key: did you mean name?',
      'fleet.yaml: parameters.A: found the name "A", wants a name that differs from a by more than case',
      'fleet.yaml: parameters.A.start: found 2, wants at most max, which is 1',
    ]);
  });

  test.each([
    ['a: [1', 'fleet.yaml:1:6: no valid YAML: '],
    ['name: x\nname: y', 'fleet.yaml:2:1: no valid YAML: Map keys must be unique'],
    ['a: *nothing', 'no valid YAML: '],
    ['- a', 'fleet.yaml: found ["a"], wants a block of keys: name, parameters, …'],
    ['', 'fleet.yaml: found null, wants a block of keys: name, parameters, …'],
  ])('text that is no configuration: %j', (content, message) => {
    expect(refusal(content)[0]).toContain(message);
  });

  test.each([
    ['name: x\n__proto__: { polluted: 1 }', '__proto__: is no known key'],
    [
      'name: x\nparameters: { a: { start: 1, step: [{ below: 1, by: 1, __proto__: 2 }] } }',
      'parameters.a.step[0].__proto__: is no known key',
    ],
  ])('a key that JavaScript would hide: %j', (content, line) => {
    expect(refusal(content)).toEqual([`fleet.yaml: ${line}`]);
  });

  test('no secret in any message', () => {
    const texts = [
      'redis: { url: "redis://:s3cret@host" }\n- x',
      'redis: [redis://:s3cret@host',
      '{ name: [mysql://user:s3cret@host/db] }',
      '{ database: { url: "mysql://user:s3cret" } }',
      '{ redis: { url: "redis://host?password=s3cret" } }',
      '{ "redis://:s3cret@host": 1 }',
    ];
    for (const text of texts) expect(refusal(text).join('\n')).not.toContain('s3cret');
  });
});

describe('a URL without its password', () => {
  test.each([
    ['redis://:s3cret@host:6379/1', 'redis://:***@host:6379/1'],
    ['rediss://user:s3cret@host', 'rediss://user:***@host'],
    ['mysql://user:a:b/c@d@host:3306/db', 'mysql://user:***@host:3306/db'],
    ['mysql://user:s3cret', 'mysql://user:***'],
    ['mysql://user@host/db?password=s3cret&ssl=1', 'mysql://user@host/db?password=***&ssl=1'],
    ['mysql://user@host:3306/db', 'mysql://user@host:3306/db'],
    ['redis://:pw@[::1]:6379', 'redis://:***@[::1]:6379'],
    ['redis://[::1]:6379', 'redis://[::1]:6379'],
    ['redis://127.0.0.1:6379', 'redis://127.0.0.1:6379'],
    ['unix:/run/redis.sock', 'unix:/run/redis.sock'],
    ['sqlite:./a.db', 'sqlite:./a.db'],
  ])('%s is %s', (url, shown) => {
    expect(withoutPassword(url)).toBe(shown);
  });
});

describe('a fingerprint', () => {
  const search = { mode: 'sides', reach: 2 };
  const fingerprint = (change: object = {}, block: object = parameters) =>
    fingerprintOf(load({ ...base, search, ...change, parameters: block }));

  test('is plain JSON with canonical numbers, key by key', () => {
    const mine = fingerprint();
    expect(mine).toEqual({
      parameters: 'O2, N2, H2O',
      'parameters.O2.start': '0.21',
      'parameters.O2.step[0].below': '1.0',
      'parameters.O2.step[0].by': '0.01',
      'parameters.N2.filler': 'true',
      'parameters.H2O.start': '0.0023',
      'parameters.H2O.step[0].below': '1.0',
      'parameters.H2O.step[0].by': '0.01',
      'search.mode': 'sides',
      'search.reach': '2',
    });
    expect(fingerprintDifference(mine, JSON.parse(JSON.stringify(mine)))).toBeNull();
  });

  test('is the same with other bounds, another limit, and a filler whose start is left out', () => {
    const { O2, H2O } = parameters;
    const block = { O2: { ...O2, max: 0.9 }, N2: { filler: true }, H2O: { ...H2O, min: 0.001, max: undefined } };
    const wider = fingerprint({ name: 'other', search: { ...search, maxPoints: 5 }, lease: { seconds: 3 } }, block);
    expect(fingerprintDifference(wider, fingerprint())).toBeNull();
  });

  const { O2, N2, H2O } = parameters;
  test.each<[string, object, object, string]>([
    [
      'a step',
      {},
      { O2: { ...O2, step: 0.02 }, N2, H2O },
      'parameters.O2.step[0].by: this configuration says 0.02, the running search 0.01',
    ],
    [
      'one bin more',
      {},
      {
        O2: {
          ...O2,
          step: [
            { below: 1, by: 0.01 },
            { below: 2, by: 0.1 },
          ],
        },
        N2,
        H2O,
      },
      'parameters.O2.step[1].below: this configuration says 2.0, the running search nothing',
    ],
    [
      'no step',
      {},
      { O2, N2, H2O: { start: 0.0023 } },
      'parameters.H2O.step[0].below: this configuration says nothing, the running search 1.0',
    ],
    [
      'a start',
      {},
      { O2: { ...O2, start: 0.22 }, N2: { filler: true }, H2O },
      'parameters.O2.start: this configuration says 0.22, the running search 0.21',
    ],
    [
      'the order',
      {},
      { N2, O2, H2O },
      'parameters: this configuration says N2, O2, H2O, the running search O2, N2, H2O',
    ],
    [
      'a name',
      {},
      { O3: O2, N2, H2O },
      'parameters: this configuration says O3, N2, H2O, the running search O2, N2, H2O',
    ],
    [
      'one parameter more',
      {},
      { ...parameters, CO2: { start: 0 } },
      'parameters: this configuration says O2, N2, H2O, CO2, the running search O2, N2, H2O',
    ],
    [
      'the filler',
      {},
      { O2: { start: 0.21, filler: true }, N2: { start: 0.7877 }, H2O },
      'parameters.O2.filler: this configuration says true, the running search nothing',
    ],
    [
      'the mode',
      { search: { ...search, mode: 'diagonals' } },
      parameters,
      'search.mode: this configuration says diagonals, the running search sides',
    ],
    [
      'the reach',
      { search: { ...search, reach: 1 } },
      parameters,
      'search.reach: this configuration says 1, the running search 2',
    ],
  ])('differs by %s, and says so', (_, change, block, sentence) => {
    expect(fingerprintDifference(fingerprint(change, block), fingerprint())).toBe(sentence);
  });
});
