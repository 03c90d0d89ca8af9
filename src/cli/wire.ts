import {
  type Config,
  configurationPath,
  definitionOf,
  fingerprintDifference,
  fingerprintOf,
  loadConfig,
} from '../config/config.js';
import type { Ledger } from '../ledger/ledger.js';
import { Member } from '../roles/common/member.js';
import { OneShot } from '../roles/common/oneShot.js';
import type { Search } from '../roles/common/search.js';
import { Space } from '../space/space.js';
import { createLogger, type Logger } from '../support/logger.js';
import { type Address, serveProbes } from '../support/probes.js';
import { Stop, Stopped } from '../support/stop.js';
import { parseAddress } from './options.js';

/** Options that every command has. */
export interface CommonOptions {
  config?: string | undefined;
  logLevel?: string | undefined;
  /** Where the role is watched. */
  metricsPort?: Address | undefined;
}

/** What a command is made of: its configuration, its log, and how it is told to stop. */
export interface Workbench {
  config: Config;
  /** The file that it was read from. */
  configPath: string;
  search: Search;
  log: Logger;
  stop: Stop;
  watchedAt: Address | undefined;
}

export function openWorkbench(role: string, options: CommonOptions): Workbench {
  const configPath = configurationPath(options.config, process.env);
  const config = loadConfig({ path: configPath, env: process.env });
  const log = createLogger(role, options.logLevel);
  return { config, configPath, search: searchOf(config), log, stop: new Stop(), watchedAt: options.metricsPort };
}

export function searchOf(config: Config): Search {
  const fingerprint = fingerprintOf(config);
  return {
    name: config.name,
    space: new Space(definitionOf(config)),
    maxPoints: config.search.maxPoints,
    losses: config.run.losses,
    leaseMs: config.lease.seconds * 1000,
    redisUrl: config.redis.url,
    definition: JSON.stringify(fingerprint),
    differs: (definition) => fingerprintDifference(fingerprint, JSON.parse(definition)),
  };
}

/** Runs a serving role as a member of the fleet, until it ends or is told to stop; answers what it answers. */
export async function asMember<T>(
  role: string,
  { search, log, stop, watchedAt = watchedByEnvironment() }: Workbench,
  graceMs: number,
  serve: (member: Member) => Promise<T>,
  ledger?: Ledger,
): Promise<T | undefined> {
  const unhook = stopOnSignals(stop, log, graceMs);
  // Loaded only where it is asked for: most processes start without.
  const watching = watchedAt && (await import('../roles/common/watching.js'));
  const meters = watching && new watching.Meters();
  const member = new Member(role, search, log, stop, meters);
  const hindrance = () => member.facts.benched;
  try {
    if (watching && meters) {
      await serveProbes(watchedAt, new watching.Watching(meters, member.session, ledger, hindrance));
    }
    return await serve(member);
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    stop.now('an error'); // The role's other loops would go on without it.
    throw error;
  } finally {
    await member.leave();
    unhook();
    log.info('ended');
  }
}

/** Runs a command that comes and goes; it waits for services for 10 s, or until that signal. */
export async function asOneShot<T>(
  { search, log, watchedAt }: Workbench,
  act: (command: OneShot) => Promise<T>,
  until?: AbortSignal,
): Promise<T> {
  const command = new OneShot(search, log, until);
  try {
    if (watchedAt) {
      const { Meters, Watching } = await import('../roles/common/watching.js');
      await serveProbes(watchedAt, new Watching(new Meters(), command.session));
    }
    return await act(command);
  } finally {
    await command.close();
  }
}

/** Images name the address for whatever serves in them; a command that comes and goes beside it is not watched there. */
function watchedByEnvironment(): Address | undefined {
  const name = 'ATMOS_FLEET_METRICS_PORT';
  const value = process.env[name];
  return value ? parseAddress(name, value) : undefined;
}

/** The first signal asks for a quiet end, the second for an immediate one. */
export function stopOnSignals(stop: Stop, log: Logger, graceMs: number): () => void {
  const onSignal = (signal: NodeJS.Signals) => {
    stop.bySignal = true;
    if (stop.quiet.aborted) return stop.now(signal);
    log.info(`${signal}: takes no new work, ends within ${graceMs / 1000} s`);
    stop.request(signal, graceMs);
  };
  // Whoever started this process with a channel, and vanished, wants it no more.
  const onOrphaned = () => onSignal('SIGTERM');
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, onSignal);
  process.on('disconnect', onOrphaned);
  process.channel?.unref();
  return () => {
    for (const signal of signals) process.off(signal, onSignal);
    process.off('disconnect', onOrphaned);
  };
}
