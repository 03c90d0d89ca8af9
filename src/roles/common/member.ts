import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { Batches } from '../../queue/batches.js';
import { blockSeconds, Connection } from '../../queue/connection.js';
import { beat, farewell, type RoleFacts, readKill } from '../../queue/fleet.js';
import { Keys, type SourceList } from '../../queue/keys.js';
import { Leases } from '../../queue/leases.js';
import { refuseMissingRights } from '../../queue/rights.js';
import { refuseSeveralServers, serverOf } from '../../queue/server.js';
import { Session } from '../../queue/session.js';
import { pause } from '../../support/bell.js';
import { Unavailable, UsageError } from '../../support/errors.js';
import type { Logger } from '../../support/logger.js';
import type { Meters } from '../../support/meters.js';
import { Patience } from '../../support/patience.js';
import type { Stop } from '../../support/stop.js';
import { version } from '../../support/version.js';
import { refuseOtherInRedis, type Search } from './search.js';

const longestBeatMs = 1000;
/** A drain waits for whatever runs. */
const noLimit = Number.POSITIVE_INFINITY;

/**
 * A serving role's membership in the fleet. Its duties:
 * 1. keep the connections to Redis: one for calls, one for waiting;
 * 2. refuse a Redis that may forget or that refuses it a command, and a search that is defined otherwise;
 * 3. give a sign of life, which keeps its batches its own, and see whether the search was opened anew, by another's definition;
 * 4. hear the kill switch.
 */
export class Member {
  readonly session: Session;
  readonly batches: Batches;
  readonly leases: Leases;
  readonly patience: Patience;
  readonly facts: RoleFacts;
  /** Told with the last sign of life: a pass over SQL found nothing left to do. */
  searchClosed = false;
  /** Told with the last sign of life, and of this search; empty while none stands. */
  generation = '';
  private readonly waiting: Connection;
  private moved: Promise<void> | undefined;
  private beating: Promise<void> = Promise.resolve();
  private readonly left = new AbortController();

  constructor(
    readonly role: string,
    readonly search: Search,
    readonly log: Logger,
    readonly stop: Stop,
    /** Counts for those who watch; absent where nobody does. */
    readonly meters?: Meters,
  ) {
    const host = hostname().replaceAll(/[^A-Za-z0-9-]/g, '-') || 'localhost';
    const id = `${host.slice(0, 50)}-${process.pid}-${randomBytes(3).toString('hex')}`;
    this.facts = { role, host, pid: process.pid, version };
    const keys = new Keys(search.name);
    const connection = new Connection(search.redisUrl, `atmos-fleet-${role}`, keys.prefix);
    this.waiting = new Connection(search.redisUrl, `atmos-fleet-${role}-waiting`, keys.prefix);
    this.session = new Session(connection, keys, id);
    this.batches = new Batches(this.session, search.leaseMs);
    this.leases = new Leases(this.session, search);
    this.patience = new Patience(log);
  }

  /** Joins the fleet; false: the kill switch is on, and the role has nothing to do. */
  async join(): Promise<boolean> {
    const kill = await this.insist(async () => {
      await this.checkServer();
      await refuseOtherInRedis(this.search, this.session);
      return readKill(this.session);
    }, this.stop.quiet);
    if (kill) {
      this.log.warn('the kill switch is on: this role does nothing, and ends; lift it with: atmos-fleet kill --clear');
      return false;
    }
    this.beating = this.beatOn();
    // Told when it leaves: without a sign of life it has no part in the fleet.
    this.beating.catch(() => this.stop.now('an error'));
    return true;
  }

  /** Waits until a master has opened the search, and checks that it is the one that this role is configured for. */
  async opened(): Promise<void> {
    await this.insist(async () => {
      await this.session.generation();
      await refuseOtherInRedis(this.search, this.session);
    }, this.stop.quiet);
  }

  /** Says that the role is at work. What services refuse from now on is waited for. */
  serves(what: string, facts: object = {}): void {
    this.patience.hasServed = true;
    this.log.info(facts, `serving: ${what}`);
  }

  /** Calls until the service answers, or this role is to stop at once. */
  insist<T>(call: () => Promise<T>, signal: AbortSignal = this.stop.abort): Promise<T> {
    return this.patience.insist(call, signal);
  }

  /** Waits until something stands in a list, some seconds at most. Changes nothing. */
  async awaitWork(list: SourceList | 'main_Q'): Promise<void> {
    // One wait at a time: a second one would only stand behind the first.
    this.moved ??= this.waitFor(`${this.session.keys.prefix}${list}`).finally(() => {
      this.moved = undefined;
    });
    await Promise.race([this.moved, pause(2 * blockSeconds * 1000, this.stop.quiet)]);
  }

  /** Moving the last element of a list to where it stands wakes whoever waits, and changes nothing. */
  private async waitFor(key: string): Promise<void> {
    try {
      const wait = () => this.waiting.ask((redis) => redis.blmove(key, key, 'RIGHT', 'RIGHT', blockSeconds));
      await this.insist(wait, this.stop.quiet);
    } catch (error) {
      if (!this.stop.quiet.aborted) throw error;
    }
  }

  /** Says farewell and hangs up. */
  async leave(): Promise<void> {
    this.left.abort();
    const [beating] = await Promise.allSettled([this.beating]);
    try {
      await farewell(this.session);
    } catch (error) {
      if (!(error instanceof Unavailable)) throw error;
      this.log.warn(`left without a farewell: ${error.message}`);
    }
    await Promise.all([this.session.connection.close(), this.waiting.close()]);
    if (beating.status === 'rejected') throw beating.reason;
  }

  private async beatOn(): Promise<void> {
    const beatMs = Math.min(longestBeatMs, this.search.leaseMs / 3);
    while (!this.left.signal.aborted) {
      try {
        const told = await this.insist(
          () => beat(this.session, this.facts, { lifetime: this.batches.lifetime, held: this.batches.held }),
          this.left.signal,
        );
        this.searchClosed = told.closed;
        if (told.generation !== this.generation) {
          await this.insist(() => refuseOtherInRedis(this.search, this.session), this.left.signal);
          this.generation = told.generation;
        }
        if (told.kill === 'drain' && !this.stop.quiet.aborted) {
          this.log.info('the kill switch says drain: running points finish, no new ones start');
          this.stop.request('kill switch', noLimit);
        }
        if (told.kill === 'now' && !this.stop.abort.aborted) {
          this.log.info('the kill switch says stop');
          this.stop.now('kill switch');
        }
      } catch (error) {
        if (!this.left.signal.aborted) throw error;
      }
      await pause(beatMs, this.left.signal);
    }
  }

  private async checkServer(): Promise<void> {
    const { connection } = this.session;
    await refuseMissingRights(this.session);
    const [server, other] = await Promise.all([connection, this.waiting].map(serverOf));
    if (server?.runId !== other?.runId) await refuseSeveralServers(connection);
    const info = await connection.ask((redis) => redis.info());
    const policy = /^maxmemory_policy:(\S+)/m.exec(info)?.[1] ?? '';
    if (policy.startsWith('allkeys-')) {
      throw new UsageError(
        `Redis may evict any key (maxmemory-policy ${policy}) and so lose points: set it to noeviction`,
      );
    }
    const appends = /^aof_enabled:1/m.test(info);
    if (!appends) this.log.warn('Redis keeps no append-only file: after a restart the search is rebuilt from SQL');
  }
}
