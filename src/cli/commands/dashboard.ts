import type { Argv } from 'yargs';
import { createArtifactStore } from '../../artifacts/index.js';
import { secretFrom } from '../../config/config.js';
import { serveDashboard } from '../../dashboard/dashboard.js';
import type { Ledger } from '../../ledger/ledger.js';
import { OneShot } from '../../roles/common/oneShot.js';
import type { Search } from '../../roles/common/search.js';
import { Refused, UsageError } from '../../support/errors.js';
import type { Logger } from '../../support/logger.js';
import { orStopped } from '../../support/patience.js';
import { describeLattice } from '../lattice.js';
import { ledgerOf } from '../ledger.js';
import { wholeOption, withCommon } from '../options.js';
import { readerOf } from '../reader.js';
import { openWorkbench, stopOnSignals } from '../wire.js';

const defaultHost = '127.0.0.1';
const defaultPort = 8080;
const highestPort = 65_535;
const tokenVariable = 'ATMOS_FLEET_DASHBOARD_TOKEN';
const shortestToken = 16;

export function dashboardCommand(cli: Argv): Argv {
  return cli.command(
    'dashboard',
    'a web page that shows the search: what goes on, the map of the stable region; also /metrics and /healthz',
    (yargs) =>
      withCommon(yargs)
        .option('port', wholeOption('--port', 0, `the port (${defaultPort}); 0: a free one`))
        .option('host', { type: 'string', requiresArg: true, describe: `the address to listen on (${defaultHost})` })
        .option('allowed-host', {
          type: 'string',
          array: true,
          nargs: 1,
          requiresArg: true,
          describe: 'a name that the page is reached by, beside addresses; may be repeated',
        })
        .example('$0 dashboard', `look at http://${defaultHost}:${defaultPort}`)
        .epilogue(
          `Actions want the token that ${tokenVariable} or ${tokenVariable}_FILE gives; without one the page only shows.`,
        ),
    async (options) => {
      const port = options.port ?? defaultPort;
      if (port > highestPort) throw new UsageError(`--port: found ${port}, wants at most ${highestPort}`);
      const token = tokenFrom(process.env);
      const { config, search, log, stop } = openWorkbench('dashboard', options);
      const unhook = stopOnSignals(stop, log, 0);
      const [ledger, reader] = [ledgerOf(config), readerOf(config)];
      const store = await createArtifactStore(config.artifacts.url, config.name);
      try {
        const settings = {
          ...{ host: options.host ?? defaultHost, port, token, lattice: describeLattice(search.space) },
          allowedHosts: (options.allowedHost ?? []).map(hostName),
        };
        const refusal = firstRefusal(search, ledger, log);
        refusal.then((refused) => refused && stop.now('an error'));
        await serveDashboard({ search, ledger, reader, store, log, stop }, settings);
        const refused = await orStopped(refusal, stop.abort).catch(() => undefined);
        if (refused) throw refused;
        log.info('ended');
      } finally {
        await Promise.all([ledger.close(), reader.close(), store.close()]);
        unhook();
      }
    },
  );
}

/** What Redis or the database refuses at the start, such as the password. What is only away, the page shows. */
async function firstRefusal(search: Search, ledger: Ledger, log: Logger): Promise<Refused | undefined> {
  const command = new OneShot(search, log);
  const asked = [command.session.connection.ask((redis) => redis.ping()), ledger.open()];
  const answers = await Promise.allSettled(asked);
  await command.close();
  return answers.map((answer) => (answer.status === 'rejected' ? answer.reason : undefined)).find(isRefused);
}

const isRefused = (error: unknown): error is Refused => error instanceof Refused;

function hostName(text: string): string {
  if (/^[\w.-]+$/.test(text)) return text.toLowerCase();
  throw new UsageError(`--allowed-host: expected a name without a port, got ${text}`);
}

function tokenFrom(env: NodeJS.ProcessEnv): string | undefined {
  const secret = secretFrom(env, tokenVariable);
  if (secret && secret.value.length < shortestToken) {
    throw new UsageError(`${secret.name}: a token that can be guessed, wants ${shortestToken} characters or more`);
  }
  return secret?.value;
}
