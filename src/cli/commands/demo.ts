import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Argv } from 'yargs';
import { OneShot } from '../../roles/common/oneShot.js';
import { pause } from '../../support/bell.js';
import { UsageError } from '../../support/errors.js';
import { Stopped } from '../../support/stop.js';
import { type Status, status } from '../../view/status.js';
import { Children } from '../children.js';
import { replaceDemoFolder } from '../demoFolder.js';
import { describeLattice } from '../lattice.js';
import { ledgerOf } from '../ledger.js';
import { wholeOption, withCommon } from '../options.js';
import { progressLine, RateMeter } from '../progress.js';
import { endProgress, isOutputClosed, say, sayProgress } from '../terminal.js';
import { openWorkbench, stopOnSignals, type Workbench } from '../wire.js';
import { writeReport } from './report.js';

const shipped = fileURLToPath(new URL('../../../scripts/demo.yaml', import.meta.url));
const defaultDirectory = 'atmos-fleet-demo';
const interrupted = 130;

export function demoCommand(cli: Argv): Argv {
  return cli.command(
    'demo',
    'the whole fleet on this machine, on a Redis and a database of its own, until its search is over',
    (yargs) =>
      withCommon(yargs)
        .option('workers', wholeOption('--workers', 1, 'worker processes (2)'))
        .option('directory', {
          type: 'string',
          requiresArg: true,
          describe: `where results and logs go (${defaultDirectory}); what an earlier demo left there is replaced`,
        })
        .example('$0 demo', 'some 13,000 points in seconds')
        .example('$0 demo --config my-search.yaml', 'a search of your own'),
    async (options) => {
      const config = resolve(options.config ?? shipped);
      if (!existsSync(config)) throw new UsageError(`--config: ${config} is not there`);
      const directory = replaceDemoFolder(resolve(options.directory ?? defaultDirectory), config, endLeftover);
      const sockets = mkdtempSync(join(tmpdir(), 'atmos-fleet-'));
      try {
        const settings = join(directory, 'atmos-fleet.yaml');
        copyFileSync(config, settings);
        process.env.REDIS_URL = `unix:${join(sockets, 'redis.sock')}`;
        process.env.DATABASE_URL = `sqlite:${join(directory, 'atmos-fleet.db')}`;
        process.env.ATMOS_FLEET_CONFIG = settings;
        const bench = openWorkbench('demo', { config: settings, logLevel: options.logLevel ?? 'error' });
        const children = new Children(directory, process.env);
        process.exitCode = await runFleet(bench, children, { directory, sockets, workers: options.workers ?? 2 });
      } finally {
        rmSync(sockets, { recursive: true, force: true });
      }
    },
  );
}

interface Place {
  directory: string;
  /** A short path: those of sockets are limited. */
  sockets: string;
  workers: number;
}

async function runFleet(bench: Workbench, children: Children, place: Place): Promise<number> {
  const { stop, search, log } = bench;
  const unhook = stopOnSignals(stop, log, 0);
  const command = new OneShot(search, log, stop.quiet);
  const ledger = ledgerOf(bench.config);
  try {
    say(`${search.name}: ${describeLattice(search.space)}`);
    startAll(children, place);
    const began = performance.now();
    const last = await Promise.race([followUntilDone(bench, command, ledger), children.failure]);
    if (!last.done) throw new Stopped('interrupted');
    const seconds = (performance.now() - began) / 1000;
    await writeReport(bench, join(place.directory, 'report.html'));
    say(summary(last, seconds, place.directory));
    return 0;
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    say('stopped; every process is being ended');
    return isOutputClosed() ? 0 : interrupted;
  } finally {
    await command.close();
    await ledger.close();
    await children.end();
    unhook();
  }
}

function startAll(children: Children, { directory, sockets, workers }: Place): void {
  const persistence = ['--dir', directory, '--save', '', '--appendonly', 'yes'];
  const socket = ['--port', '0', '--unixsocket', join(sockets, 'redis.sock'), '--unixsocketperm', '700'];
  children.start('redis', redisServer(), [...persistence, ...socket, '--pidfile', join(directory, 'redis.pid')]);
  children.role('sql-client', ['-c']);
  children.role('sql-client-master', ['-c']);
  for (let number = 1; number <= workers; number++) children.role('worker', [], `worker-${number}`);
}

/** Pushes the start once the table is there, and shows how far the search is. */
async function followUntilDone(
  bench: Workbench,
  command: OneShot,
  ledger: ReturnType<typeof ledgerOf>,
): Promise<Status> {
  const { stop, search } = bench;
  const { session } = command;
  const rate = new RateMeter();
  await command.insist(() => ledger.open());
  const start = search.space.start.code;
  await command.insist(() => session.connection.ask((redis) => redis.lpush(session.keys.list('main_sql_Q'), start)));
  for (;;) {
    const now = await status(command, ledger);
    sayProgress(progressLine(now, rate.of(now)));
    if (now.done || stop.quiet.aborted) {
      endProgress();
      return now;
    }
    await pause(process.stdout.isTTY ? 200 : 1000, stop.quiet);
  }
}

function summary({ states, stable, unstable }: Status, seconds: number, directory: string): string {
  const points = states.completed + states.error;
  const at = relative(process.cwd(), directory) || '.';
  const database = join(at, 'atmos-fleet.db');
  return `
The search is over: ${points.toLocaleString('en')} points in ${seconds.toFixed(1)} s, ${Math.round(points / seconds).toLocaleString('en')} points/s.
  stable    ${stable.toLocaleString('en')}
  unstable  ${unstable.toLocaleString('en')}
  errors    ${states.error.toLocaleString('en')}

Results: table parameterspace in ${database}; maps in ${join(at, 'report.html')}; logs beside them. To look at them:
  sqlite3 ${database} 'select stable, count(*), min(temperature), max(temperature) from parameterspace group by stable'
  python3 -c "import sqlite3, pandas; print(pandas.read_sql('select * from parameterspace', sqlite3.connect('${database}')).describe())"`;
}

/** A Redis that an earlier, killed demo left behind is ended. */
function endLeftover(directory: string): void {
  try {
    const pid = Number(readFileSync(join(directory, 'redis.pid'), 'utf8'));
    const command = readFileSync(`/proc/${pid}/cwd/redis.pid`, 'utf8');
    if (Number(command) === pid) process.kill(pid, 'SIGKILL');
  } catch {
    // No such process: nothing was left behind.
  }
}

function redisServer(): string {
  for (const program of ['redis-server', 'valkey-server']) {
    try {
      execFileSync(program, ['--version'], { stdio: 'ignore' });
      return program;
    } catch {
      // Not this one.
    }
  }
  throw new UsageError(
    'redis-server is not there. Install it, e.g. `apt-get install redis-server` or `brew install redis`; ./scripts/demo does so',
  );
}
