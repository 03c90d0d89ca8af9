import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Argv } from 'yargs';
import { createArtifactStore } from '../../artifacts/index.js';
import type { Config } from '../../config/config.js';
import type { Ledger } from '../../ledger/ledger.js';
import { type Rights, readBack, writersRights } from '../../ledger/rights.js';
import { readKill } from '../../queue/fleet.js';
import { refuseMissingRights } from '../../queue/rights.js';
import type { OneShot } from '../../roles/common/oneShot.js';
import { refuseOther } from '../../roles/common/table.js';
import { createSimulator } from '../../simulators/index.js';
import { messageOf, Refused, Unavailable, UsageError } from '../../support/errors.js';
import { withoutPassword, withoutPasswords } from '../../support/secrets.js';
import { describeLattice, searchWarnings } from '../lattice.js';
import { ledgerOf } from '../ledger.js';
import { withCommon } from '../options.js';
import { say } from '../terminal.js';
import { tryPoint } from '../trial.js';
import { asOneShot, openWorkbench, type Workbench } from '../wire.js';

/** What is found, line by line. Throws where something is wrong; `advice` says what to do then. */
interface Check {
  name: string;
  advice: string;
  look(): Promise<string[]>;
}

export function doctorCommand(cli: Argv): Argv {
  return cli.command(
    'doctor',
    'check all that the roles will need: configuration, Redis, database, simulator, artifacts; exit 1 where something is wrong, 2 where the configuration is',
    (yargs) => withCommon(yargs).example('$0 doctor', 'before the first run, and when nothing moves'),
    async (options) => {
      const bench = openWorkbench('doctor', { ...options, logLevel: options.logLevel ?? 'error' });
      const warnings = searchWarnings(bench).map((warning) => `warning: ${warning}`);
      report('ok     configuration', [describeLattice(bench.search.space), ...warnings]);
      const wrong = await asOneShot(bench, async (command) => {
        const errors: unknown[] = [];
        for (const check of checks(bench, command)) errors.push(...(await errorsOf(check)));
        return errors;
      });
      say(wrong.length === 0 ? '\nAll is well.' : `\n${wrong.length} of 5 checks found something wrong.`);
      if (wrong.length > 0) process.exitCode = wrong.some((error) => error instanceof UsageError) ? 2 : 1;
    },
  );
}

function checks(bench: Workbench, command: OneShot): Check[] {
  const { config } = bench;
  return [
    {
      name: 'Redis',
      advice: `is there a Redis at ${withoutPassword(config.redis.url)}? Set redis.url, or REDIS_URL where it has a password`,
      look: () => lookAtRedis(command),
    },
    {
      name: 'database',
      advice: `can ${withoutPassword(config.database.url)} be reached, and may its user do what the README lists?`,
      look: () => lookAtDatabase(bench),
    },
    {
      name: 'simulator',
      advice: 'see simulator in the configuration: for Docker, is the engine up and may this user reach it?',
      look: () => lookAtSimulator(bench),
    },
    {
      name: 'artifacts',
      advice: `${config.artifacts.url} has to be there and writable`,
      look: () => lookAtArtifacts(config),
    },
  ];
}

/** Says what a check found. */
async function errorsOf({ name, advice, look }: Check): Promise<unknown[]> {
  try {
    report(`ok     ${name}`, await look());
    return [];
  } catch (error) {
    report(`WRONG  ${name}`, [withoutPasswords(messageOf(error)), `-> ${advice}`]);
    return [error];
  }
}

function report(title: string, lines: readonly string[]): void {
  say([title, ...lines.flatMap((text) => text.split('\n')).map((line) => `       ${line}`)].join('\n'));
}

async function lookAtRedis({ session }: OneShot): Promise<string[]> {
  await refuseMissingRights(session);
  const info = await session.connection.ask((redis) => redis.info());
  const fact = (name: string) => new RegExp(`^${name}:(\\S+)`, 'm').exec(info)?.[1] ?? 'unknown';
  const policy = fact('maxmemory_policy');
  if (policy.startsWith('allkeys-')) {
    throw new Error(`it may evict any key (maxmemory-policy ${policy}) and so lose points: set it to noeviction`);
  }
  const kill = await readKill(session);
  return [
    `version ${fact('redis_version')}, maxmemory-policy ${policy}`,
    ...(fact('aof_enabled') === '1' ? [] : ['no append-only file: after a restart the search is rebuilt from SQL']),
    ...(kill ? ['the kill switch is on: `kill --clear` lifts it'] : []),
  ];
}

/** What the table holds, or that sql-client -c has still to create or update it. */
async function lookAtTable({ config, search }: Workbench, ledger: Ledger): Promise<{ isThere: boolean; fact: string }> {
  try {
    refuseOther(search, await ledger.open());
  } catch (error) {
    if (!(error instanceof Unavailable) || error instanceof Refused) throw error;
    return { isThere: false, fact: error.message };
  }
  const { states } = await ledger.counts();
  const rows = Object.values(states).reduce((total, count) => total + count, 0);
  return { isThere: true, fact: `table ${config.database.table} has ${rows.toLocaleString('en')} rows` };
}

async function lookAtDatabase(bench: Workbench): Promise<string[]> {
  const { url, table } = bench.config.database;
  const file = url.startsWith('sqlite:') ? url.slice('sqlite:'.length) : undefined;
  const ledger = ledgerOf(bench.config);
  try {
    const { isThere, fact } = await lookAtTable(bench, ledger);
    if (file === undefined) return [fact, ...(await lookAtRights(ledger.rights, url, table, isThere))];
    // A file that is not there is not created here: its path may be mistyped.
    if (!existsSync(file)) accessSync(dirname(file), constants.W_OK);
    else await ledger.rights.demand(writersRights);
    return [fact, `SQLite file ${file} (in SQLAlchemy: sqlite:///${file})`];
  } finally {
    await ledger.close();
  }
}

/** Demands what sql-client and sql-client-master need next; names what only their options -c and -r would need. */
async function lookAtRights(rights: Rights, url: string, table: string, isThere: boolean): Promise<string[]> {
  await rights.demand(isThere ? writersRights : [...writersRights, 'CREATE']);
  const missing = await rights.missing(['DELETE', 'CREATE', 'ALTER', 'DROP']);
  if (!missing.includes('CREATE') && !missing.includes('DROP')) await readBack(url, table);
  if (missing.length === 0) return ['a row that was written was read over another connection'];
  return [
    `this user may not ${missing.join(', ')}: sql-client -r needs all of these, -c needs ALTER for an older table`,
  ];
}

async function lookAtSimulator({ config, search: { space } }: Workbench): Promise<string[]> {
  const { simulator: settings, run, folder, stable } = config;
  const notes: string[] = [];
  const note = (sentence: string) => notes.push(sentence);
  const rest = { timeoutSeconds: run.timeoutSeconds, parameters: space.names, folder, stable, note };
  const simulator = createSimulator(settings, rest);
  try {
    await simulator.prepare();
    const trial = await tryPoint(simulator, space.start);
    return [
      `${settings.kind} is ready: ${trial}`,
      ...notes,
      ...Object.entries(simulator.facts).map(([name, fact]) => `${name} ${fact}`),
    ];
  } finally {
    await simulator.close();
  }
}

async function lookAtArtifacts({ artifacts, name }: Config): Promise<string[]> {
  const store = await createArtifactStore(artifacts.url, name);
  try {
    await store.check();
    return [artifacts.url];
  } finally {
    await store.close();
  }
}
