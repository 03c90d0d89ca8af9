import type { FastifyInstance } from 'fastify';
import type { ArtifactStore } from '../artifacts/store.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Reader } from '../ledger/reader.js';
import { OneShot } from '../roles/common/oneShot.js';
import type { Search } from '../roles/common/search.js';
import { refuseOther } from '../roles/common/table.js';
import { messageOf, UsageError } from '../support/errors.js';
import type { Logger } from '../support/logger.js';
import { isLoopback } from '../support/loopback.js';
import { orStopped } from '../support/patience.js';
import type { Stop } from '../support/stop.js';
import { version } from '../support/version.js';
import { Actions } from './actions.js';
import type { About } from './api.js';
import { Follower } from './follower.js';
import { Pulse } from './pulse.js';
import { buildServer } from './server.js';
import { Snapshot } from './snapshot.js';

export interface DashboardSettings {
  host: string;
  /** Names other than that address that requests may ask for. */
  allowedHosts: readonly string[];
  port: number;
  token: string | undefined;
  /** What is said of the size of the lattice. */
  lattice: string;
}

interface Means {
  search: Search;
  ledger: Ledger;
  reader: Reader;
  store: ArtifactStore;
  log: Logger;
  stop: Stop;
}

/**
 * Shows the search to people. Its duties:
 * 1. keep a snapshot of the rows like the table;
 * 2. look at Redis every second, and keep the last quarter of an hour;
 * 3. serve the page, and what it asks for; health and metrics;
 * 4. do what the page asks for, to those who show the token.
 *
 * It is no member of the fleet: the kill switch does not end it, and whether it runs changes nothing.
 */
export async function serveDashboard(means: Means, settings: DashboardSettings): Promise<void> {
  const { search, ledger, reader, store, log, stop } = means;
  const command = new OneShot(search, log, stop.quiet);
  const check = async () => refuseOther(search, await ledger.open());
  const follower = new Follower(reader, () => snapshotOf(search), check, log);
  const pulse = new Pulse(command, follower);
  const server = buildServer({
    about: aboutOf(search, settings),
    space: search.space,
    actions: new Actions(search, ledger, log),
    ...{ follower, pulse, reader, store, log },
    ...{ token: settings.token, host: settings.host, allowedHosts: settings.allowedHosts },
  });
  try {
    log.info(`serving: the page is at ${await listen(server, settings)}${settings.token ? '' : ', to look at only'}`);
    if (!isLoopback(settings.host))
      log.warn('whoever reaches this address can see the search; traffic is not encrypted');
    // Whoever is told to stop waits for no service that hangs.
    const watching = Promise.all([pulse.beatOn(stop.quiet), follower.follow(() => pulse.settled, stop.quiet)]);
    await orStopped(watching, stop.quiet).catch((error) => {
      if (!stop.quiet.aborted) throw error;
    });
  } finally {
    await server.close();
    await command.close();
  }
}

export function snapshotOf({ space }: Search): Snapshot {
  return new Snapshot(space.names, space.filler !== undefined);
}

function aboutOf({ name, space }: Search, { token, lattice }: DashboardSettings): About {
  return {
    ...{ name, version, lattice },
    parameters: [...space.names],
    filler: space.filler ?? null,
    stepped: space.axes.filter(({ steps }) => steps).map(({ name }) => name),
    start: space.start.dictionary,
    actions: token !== undefined,
  };
}

async function listen(server: FastifyInstance, { host, port }: DashboardSettings): Promise<string> {
  try {
    return await server.listen({ host, port });
  } catch (error) {
    throw new UsageError(`--host ${host} --port ${port}: cannot listen there: ${messageOf(error)}`);
  }
}
