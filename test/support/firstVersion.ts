import type { Redis } from 'ioredis';
import { connectDatabase, createDatabase } from '../../src/ledger/connect.js';
import type { Fleet } from './fleet.js';

// What version 0.1.0 left of a search in the plane (./plane.ts) when all its processes died at once. Frozen: later versions
// must take it up for ever, so nothing here is written by today's code.

const fingerprint =
  '{"parameters":"a, b","parameters.a.start":"0.0","parameters.a.step[0].below":"1.0","parameters.a.step[0].by":"0.5","parameters.b.start":"0.0","parameters.b.step[0].below":"1.0","parameters.b.step[0].by":"0.5","search.mode":"sides","search.reach":"1"}';

const start = 'e2d6c225d19206d2423871d17a5ea4f8';
const east = '3160d3636444434ac5b74d05bbe4a63c'; // 0.5,0.0
const west = '844f40f67c4815a60ed20c0dcca6b465'; // -0.5,0.0
const north = '8e6722c1e5d1d3492f182a847a1b8434'; // 0.0,0.5
const south = '5b84148fc7d381be04a6a507b9515ebd'; // 0.0,-0.5

const mysqlTable = `create table parameterspace (
  hash char(32) character set ascii collate ascii_bin not null,
  code varchar(512) character set ascii collate ascii_bin not null,
  a double not null,
  b double not null,
  previous_hash char(32) character set ascii collate ascii_bin default null,
  depth int unsigned not null,
  state enum('queue','running','error','completed') not null,
  stable tinyint(1) default null,
  attempts int unsigned not null default 0,
  worker varchar(255) default null,
  queued_at datetime(3) default null,
  start_time datetime(3) default null,
  end_time datetime(3) default null,
  run_time double default null comment 'seconds',
  error_kind varchar(16) default null,
  error_msg mediumtext default null,
  complete_msg mediumtext default null,
  out_path varchar(1024) default null,
  temperature double default null comment 'K',
  pressure double default null comment 'bar',
  outputs json default null,
  primary key (hash)
) engine=InnoDB default charset=utf8mb4`;

const sqliteTable =
  "CREATE TABLE `parameterspace` (`hash` char(32) not null, `code` varchar(512) not null, `a` float not null, `b` float not null, `previous_hash` char(32), `depth` integer not null, `state` text check (`state` in ('queue', 'running', 'error', 'completed')) not null, `stable` boolean, `attempts` integer not null default '0', `worker` varchar(255), `queued_at` datetime, `start_time` datetime, `end_time` datetime, `run_time` float, `error_kind` varchar(16), `error_msg` text, `complete_msg` text, `out_path` varchar(1024), `temperature` float, `pressure` float, `outputs` json, primary key (`hash`))";

const sqliteMeta =
  'CREATE TABLE `parameterspace_meta` (`name` varchar(64), `value` text not null, primary key (`name`))';
const mysqlMeta =
  'create table parameterspace_meta (name varchar(64) not null, value mediumtext not null, primary key (name)) engine=InnoDB default charset=utf8mb4';

/** The start is settled; all others are on their way. */
const rows = `insert into parameterspace
  (hash, code, a, b, previous_hash, depth, state, stable, attempts, worker, queued_at, start_time, end_time, run_time, complete_msg, temperature, pressure, outputs) values
  ('${start}', '0.0,0.0', 0, 0, null, 0, 'completed', 1, 1, 'vm-22294-c08fc5', '2020-01-01 00:00:12.564', '2020-01-01 00:00:12.894', '2020-01-01 00:00:13.194', 0.3003801349999999, 'stable, 287.9 K', 287.911, 1.01325, '{"optical_depth":0.849979}'),
  ('${east}', '0.5,0.0', 0.5, 0, '${start}', 1, 'running', null, 1, 'vm-22294-c08fc5', '2020-01-01 00:00:13.564', '2020-01-01 00:00:13.894', null, null, null, null, null, null),
  ('${west}', '-0.5,0.0', -0.5, 0, '${start}', 1, 'queue', null, 0, null, '2020-01-01 00:00:13.564', '2020-01-01 00:00:13.564', null, null, null, null, null, null),
  ('${north}', '0.0,0.5', 0, 0.5, '${start}', 1, 'queue', null, 0, null, '2020-01-01 00:00:13.564', '2020-01-01 00:00:13.564', null, null, null, null, null, null),
  ('${south}', '0.0,-0.5', 0, -0.5, '${start}', 1, 'queue', null, 0, null, '2020-01-01 00:00:13.564', '2020-01-01 00:00:13.564', null, null, null, null, null, null),
  ('ab3d1b42c3d8e23c3d0c5effc316ba74', '3.0,3.0', 3, 3, null, 0, 'queue', null, 0, null, '2020-01-01 00:00:13.564', '2020-01-01 00:00:13.564', null, null, null, null, null, null),
  ('9d8b82ed2b57bcbd2a1b255acaa3e856', '-3.0,3.0', -3, 3, null, 0, 'running', null, 1, 'vm-22295-572eab', '2020-01-01 00:00:13.564', '2020-01-01 00:00:13.564', null, null, null, null, null, null)`;

const leased = `-0.5,0.0;{"v":1,"depth":1,"previous_hash":"${start}","attempt":1,"spent":0,"lost":["vm-22295-572eab"]}`;

/** Every list, and the batches of a client and a master that died with it; newest first. */
export const firstLists: Readonly<Record<string, readonly string[]>> = {
  main_sql_Q: [
    `0.5,-0.5;{"v":1,"previous_hash":"${east}","previous_path":"plane/${east}/1","depth":2}`,
    `0.5,0.5;{"v":1,"previous_hash":"${east}","previous_path":"plane/${east}/1","depth":2}`,
    `1.0,0.0;{"v":1,"previous_hash":"${east}","previous_path":"plane/${east}/1","depth":2}`,
    '2.5,-2.25', // A root, pushed by hand.
  ],
  main_Q: [`0.0,0.5;{"v":1,"depth":1,"previous_hash":"${start}"}`],
  processing_Q: [leased],
  running_sql_Q: [
    `-0.5,0.0;{"v":1,"previous_hash":"${start}","depth":1,"attempt":1,"worker":"vm-22295-572eab","start_time":"2020-01-01T00:00:14.190Z"}`,
  ],
  complete0_sql_Q: [
    `0.5,0.0;{"v":1,"previous_hash":"${start}","depth":1,"attempt":1,"worker":"vm-22294-c08fc5","start_time":"2020-01-01T00:00:13.894Z","end_time":"2020-01-01T00:00:14.194Z","run_time":0.3,"out_path":"plane/${east}/1","temperature":303.137,"pressure":1.01325,"outputs":{"optical_depth":1.349979,"as_version_1_told":1}}`,
  ],
  complete1_sql_Q: [
    '3.0,3.0;{"v":1,"depth":0,"attempt":1,"worker":"vm-22294-c08fc5","start_time":"2020-01-01T00:00:13.894Z","end_time":"2020-01-01T00:00:14.194Z","run_time":0.3,"complete_msg":"as version 1 told","temperature":500.5}',
  ],
  error_sql_Q: [
    '-3.0,3.0;{"v":1,"depth":0,"attempt":3,"worker":"vm-22295-572eab","end_time":"2020-01-01T00:00:14.194Z","error_kind":"timeout","error_msg":"as version 1 told"}',
  ],
  'batch:complete0_sql_Q/vm-22292-d8f1bf/3': [
    `0.0,-0.5;{"v":1,"previous_hash":"${start}","depth":1,"attempt":1,"worker":"vm-22294-c08fc5","end_time":"2020-01-01T00:00:14.194Z","run_time":0.3,"temperature":303.137,"outputs":{"as_version_1_told":1}}`,
  ],
  'batch:main_sql_Q/vm-22293-ab3f98/9': [
    `0.0,-1.0;{"v":1,"previous_hash":"${south}","depth":2}`,
    `-0.5,-0.5;{"v":1,"previous_hash":"${south}","depth":2}`,
  ],
};

const waiting = [
  'f104253dedb20d1446cf3b19e6378c5e',
  '04b6bab22f1ce809086cc1163406f489',
  'c9c467f03027db0bd739f9dbf79045e3',
  'be44496a4f7c15e970f3a29bcfda42ac',
  '2b47d07eed22d0569aeefdb2bdd67339',
];
const admitted = [
  ...[start, east, west, north, south],
  'ab3d1b42c3d8e23c3d0c5effc316ba74',
  '9d8b82ed2b57bcbd2a1b255acaa3e856',
];

const generation = (runId: string) => `71569f0f-1746-4849-8258-6d7ff6dbc3f5@${runId}`;

/** Runs statements on a fleet's database, one after the other. */
export async function inDatabase(fleet: Fleet, ...statements: readonly string[]): Promise<void> {
  const database = connectDatabase(fleet.config.database.url);
  createDatabase(database);
  try {
    for (const statement of statements) await database.raw(statement);
  } finally {
    await database.destroy();
  }
}

/** Puts the table there as the first version left it. */
export async function leaveTable(fleet: Fleet, redis: Redis): Promise<void> {
  const [table, meta] = fleet.config.database.url.startsWith('sqlite:')
    ? [sqliteTable, sqliteMeta]
    : [mysqlTable, mysqlMeta];
  const facts = `insert into parameterspace_meta (name, value) values
    ('schema_version', '1'), ('fingerprint', '${fingerprint}'), ('generation', '${generation(await runIdOf(redis))}')`;
  await inDatabase(fleet, meta, table, facts, rows);
}

/** Puts into Redis what the first version left there; `write` may change how its elements are written. */
export async function leaveLists(fleet: Fleet, redis: Redis, write: (element: string) => string): Promise<void> {
  const key = (name: string) => fleet.key(name);
  for (const [list, elements] of Object.entries(firstLists)) await redis.rpush(key(list), ...elements.map(write));
  await redis.sadd(key('seen'), ...admitted, ...waiting);
  await redis.sadd(key('waiting'), ...waiting);
  await redis.zadd(key('leases'), 1577836804187, 'vm-22295-572eab-7');
  await redis.hset(key('leased'), 'vm-22295-572eab-7', write(leased));
  for (const [id, size] of [
    ['complete0_sql_Q/vm-22292-d8f1bf/3', 1],
    ['main_sql_Q/vm-22293-ab3f98/9', 2],
  ] as const) {
    await redis.zadd(key('batches'), 1577836804187, id);
    await redis.hset(key('taken'), id, size);
  }
  const counts = { admitted: 7, ended: 5, settled: 1, known: 12, proposed: 5, moves: 61 };
  const clock = { swept_at: 1577836772422, reclaim_from: 1577836802422 };
  await redis.hset(key('search'), {
    generation: generation(await runIdOf(redis)),
    definition: fingerprint,
    ...counts,
    ...clock,
  });
}

async function runIdOf(redis: Redis): Promise<string> {
  return /^run_id:(\w+)/m.exec(await redis.info('server'))?.[1] ?? '';
}
