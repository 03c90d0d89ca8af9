import { join } from 'node:path';
import type { Look } from '../../src/queue/look.js';
import { copyFolder } from '../support/program.js';

/** A role that runs within the test's own process. */
export interface Serving {
  /** Rejects when it breaks; else never settles before it is ended. */
  readonly broken: Promise<never>;
  /** Stops it and waits for its end; throws what it broke with. */
  end(): Promise<void>;
}

/** Looks at a search as `status` does. */
export interface Observer {
  look(): Promise<Look>;
  close(): Promise<void>;
}

export type ServingRole = 'sql-client' | 'sql-client-master' | 'worker';

/** The built program, as the role processes run it: a test and the threads that it starts share its files. */
export interface Dist {
  observe(configPath: string): Observer;
  serve(role: ServingRole, configPath: string): Serving;
}

let started: Promise<Dist> | undefined;

/** Loaded on demand: dist/ is built before the tests run, not before they are type-checked. */
export function startDist(): Promise<Dist> {
  started ??= load();
  return started;
}

async function load(): Promise<Dist> {
  const bring = <T>(path: string) => import(/* @vite-ignore */ join(copyFolder, 'dist', path)) as Promise<T>;
  const [config, wire, tables, member, client, master, worker, artifacts, simulators, looks, oneShot, stops, log] =
    await Promise.all([
      bring<typeof import('../../src/config/config.js')>('config/config.js'),
      bring<typeof import('../../src/cli/wire.js')>('cli/wire.js'),
      bring<typeof import('../../src/cli/ledger.js')>('cli/ledger.js'),
      bring<typeof import('../../src/roles/common/member.js')>('roles/common/member.js'),
      bring<typeof import('../../src/roles/client/sqlClient.js')>('roles/client/sqlClient.js'),
      bring<typeof import('../../src/roles/master/sqlClientMaster.js')>('roles/master/sqlClientMaster.js'),
      bring<typeof import('../../src/roles/worker/worker.js')>('roles/worker/worker.js'),
      bring<typeof import('../../src/artifacts/index.js')>('artifacts/index.js'),
      bring<typeof import('../../src/simulators/index.js')>('simulators/index.js'),
      bring<typeof import('../../src/queue/look.js')>('queue/look.js'),
      bring<typeof import('../../src/roles/common/oneShot.js')>('roles/common/oneShot.js'),
      bring<typeof import('../../src/support/stop.js')>('support/stop.js'),
      bring<typeof import('../../src/support/logger.js')>('support/logger.js'),
    ]);
  const silent = log.createLogger('test', process.env.TEST_LOG ?? 'silent');

  return {
    observe(configPath) {
      const command = new oneShot.OneShot(wire.searchOf(config.loadConfig({ path: configPath, env: {} })), silent);
      return { look: () => looks.look(command.session), close: () => command.close() };
    },
    serve(role, configPath) {
      const settings = config.loadConfig({ path: configPath, env: {} });
      const search = wire.searchOf(settings);
      const rows = tables.ledgerOf(settings);
      const stop = new stops.Stop();
      const joined = new member.Member(role, search, silent, stop);
      const act = async () => {
        if (role === 'sql-client-master') return master.sqlClientMaster(joined, rows, { rebuild: false });
        if (role === 'sql-client') {
          await joined.insist(() => rows.create(search.definition));
          return client.sqlClient(joined, rows);
        }
        const { timeoutSeconds, attempts } = settings.run;
        const store = await artifacts.createArtifactStore(settings.artifacts.url, settings.name);
        const simulator = simulators.createSimulator(settings.simulator, { timeoutSeconds, stable: settings.stable });
        const options = {
          concurrency: 1,
          exitWhenDone: false,
          timeoutSeconds,
          attempts,
          scratch: '/nonexistent',
          storeIsLocal: true,
        };
        await new worker.WorkerRole(joined, simulator, store, options).serve();
      };
      const ended = act()
        .catch((error: unknown) => {
          stop.now('an error');
          if (!(error instanceof stops.Stopped)) throw error;
        })
        .finally(async () => {
          await joined.leave();
          await rows.close();
        });
      const broken = ended.then(() => new Promise<never>(() => undefined));
      broken.catch(() => undefined);
      return {
        broken,
        async end() {
          stop.now('the test is over');
          await ended;
        },
      };
    },
  };
}
