import type { Ledger } from '../ledger/ledger.js';
import { type Admission, type Batch, sourceOf } from '../queue/batches.js';
import { proposalLists } from '../queue/keys.js';
import { close, type Look, look } from '../queue/look.js';
import { type Decoded, decodeTravel, encode, type Travel } from '../queue/messages.js';
import { pause } from '../support/bell.js';
import { messageOf, Unavailable } from '../support/errors.js';
import { Stopped } from '../support/stop.js';
import type { Member } from './member.js';
import { legible, missingProposals } from './proposals.js';
import { rebuild } from './rebuild.js';
import { sort } from './settling.js';
import { sweep } from './sweep.js';
import { readyLedger } from './table.js';

const batchSize = 500;
/** Two batches at once: while SQL commits one, the other is read and decoded. */
const lanes = 2;
const lookMs = 500;
const proposeChunk = 2000;
/** Between rebuilds for one and the same reason. */
const firstRepeatMs = 500;
const longestRepeatMs = 60_000;

/**
 * Lets new points in, and keeps the search whole. Its duties:
 * 1. open the search, and rebuild Redis from SQL when Redis lost something;
 * 2. admit proposals: a row each in SQL, then main_Q, each point once;
 * 3. return the leases of dead workers, and quarantine points whose workers keep vanishing;
 * 4. take over the batches of masters that died;
 * 5. close the search when a pass over SQL finds nothing left to do.
 */
export async function sqlClientMaster(member: Member, ledger: Ledger, options: { rebuild: boolean }): Promise<void> {
  if (!(await member.join())) return;
  await readyLedger(member, ledger);
  const keeper = new Keeper(member, ledger, options.rebuild);
  await keeper.checkUntilOpen();
  member.log.info('serving: new points go to SQL and main_Q');
  await Promise.all([keeper.keep(), ...Array.from({ length: lanes }, () => admitAll(member, ledger))]);
}

async function admitAll(member: Member, ledger: Ledger): Promise<void> {
  const { stop } = member;
  while (!stop.quiet.aborted || (await draining(member))) {
    const batch = await member.insist(() => member.batches.take('main_sql_Q', batchSize));
    if (batch) await admit(member, ledger, batch);
    else if (stop.quiet.aborted) await pause(lookMs, stop.abort);
    else await member.awaitWork('main_sql_Q');
  }
}

/** Gives each point of a batch its row, then its place in main_Q. May be repeated: its effect comes once. */
export async function admit(member: Member, ledger: Ledger, batch: Batch): Promise<void> {
  const { decoded, malformed } = sort(member, batch, decodeTravel);
  const ordered = decoded.toSorted((a, b) => (a.point.hash < b.point.hash ? -1 : 1));
  await member.insist(() =>
    ledger.insertQueued(
      ordered.map(({ point, facts }) => ({
        hash: point.hash,
        code: point.code,
        previous_hash: facts.previous_hash ?? null,
        depth: facts.depth,
      })),
    ),
  );
  const settled = await member.insist(() => settledRoots(ledger, decoded));
  const admissions = decoded.map(({ point, facts }): Admission => {
    const element = settled.has(point.hash) ? null : encode(point.code, facts);
    return { hash: point.hash, element };
  });
  // Should a rebuild come between, it has set this batch aside, or it counts in the new generation: each point enters once.
  await member.insist(() => member.batches.admit(batch, admissions, malformed));
}

/** Roots may be pushed again after they were settled; what a stable point proposes was never seen. */
async function settledRoots(ledger: Ledger, decoded: readonly Decoded<Travel>[]): Promise<Set<string>> {
  const roots = decoded.filter(({ facts }) => facts.previous_hash === undefined).map(({ point }) => point.hash);
  const rows = await ledger.find(roots);
  return new Set(rows.filter(({ state }) => state === 'completed' || state === 'error').map(({ hash }) => hash));
}

/** In a drain, masters stay while runs go on: their leases may expire. */
async function draining(member: Member): Promise<boolean> {
  const { stop, session } = member;
  if (!stop.drains || stop.abort.aborted) return false;
  const { leases, batches } = await member.insist(() => look(session));
  return leases > 0 || Object.keys(batches).some((id) => sourceOf(`${id}/`) === 'main_sql_Q');
}

/** Duties 1, 3, 4 and 5: what one master does on a clock, while admission goes on. */
class Keeper {
  private sweptAt = 0;
  private sqlAskedAt = 0;
  private readonly damping = new Damping();
  private readonly sweepMs: number;

  constructor(
    private readonly member: Member,
    private readonly ledger: Ledger,
    private rebuildNow: boolean,
  ) {
    this.sweepMs = member.search.leaseMs / 6;
  }

  async checkUntilOpen(): Promise<void> {
    const { member } = this;
    while (!member.stop.quiet.aborted) {
      if (await member.insist(() => this.check(), member.stop.quiet)) break;
      await pause(lookMs, member.stop.quiet);
    }
    await member.opened();
  }

  async keep(): Promise<void> {
    const { member } = this;
    const { stop } = member;
    while (!stop.quiet.aborted || (await draining(member))) {
      try {
        await member.insist(() => this.check(), stop.abort);
        await this.sweepInTime();
      } catch (error) {
        if (error instanceof Stopped) throw error;
        if (!(error instanceof Unavailable)) throw error;
        member.log.warn(messageOf(error));
      }
      await pause(Math.min(lookMs, this.sweepMs), stop.drains ? stop.abort : stop.quiet);
    }
  }

  /** One look at Redis and SQL: whole, or to be rebuilt; over, or to be closed. Answers whether it was found whole. */
  private async check(): Promise<boolean> {
    const { member, ledger } = this;
    const [seen, recorded, runId] = await Promise.all([
      look(member.session),
      ledger.generation(),
      member.session.runId(),
    ]);
    const reason = this.rebuildNow ? 'asked for by --rebuild' : wrong(seen, recorded, runId);
    if (reason !== undefined) {
      if (await this.rebuild(reason)) this.rebuildNow = false;
      return false;
    }
    if (seen.empty && (!seen.closed || this.asksSqlNow())) await this.tryToClose(seen);
    return true;
  }

  private async rebuild(reason: string): Promise<boolean> {
    if (!this.damping.allows(reason) || !(await rebuild(this.member, this.ledger, reason))) return false;
    this.damping.done(reason);
    return true;
  }

  /** A closed search is held against SQL now and then: rows may be made live, or restored, behind the master's back. */
  private asksSqlNow(): boolean {
    const now = performance.now();
    if (now - this.sqlAskedAt < this.member.search.leaseMs) return false;
    this.sqlAskedAt = now;
    return true;
  }

  /** With nothing left in Redis, SQL decides: live rows were lost, stable rows may propose more, or the search is over. */
  private async tryToClose(before: Look): Promise<void> {
    const { member, ledger } = this;
    const { states } = await ledger.counts();
    const rows = states.queue + states.running + states.error + states.completed;
    if (rows === 0) return;
    const after = await look(member.session);
    if (!after.empty || after.moves !== before.moves) return;
    if (states.queue + states.running > 0) {
      await this.rebuild(`SQL has ${states.queue + states.running} live points that Redis lacks`);
    } else if (before.seen !== rows) {
      await this.rebuild(`SQL has ${rows} points, Redis has seen ${before.seen}`);
    } else if (!before.closed && (await this.proposeMissing()) === 0 && (await close(member.session, before.moves))) {
      member.log.info({ points: rows }, 'the search is over');
    }
  }

  /** The closure pass: proposes what a stable row's neighbours lack; answers how many. */
  private async proposeMissing(): Promise<number> {
    const { member, ledger } = this;
    let entered = 0;
    for await (const rows of ledger.rows({ state: 'completed', stable: true })) {
      const proposals = await missingProposals(legible(rows, member), member.search.space, (hashes) =>
        member.leases.known(hashes),
      );
      for (let from = 0; from < proposals.length; from += proposeChunk) {
        entered += (await member.leases.propose(proposals.slice(from, from + proposeChunk))).entered;
      }
    }
    if (entered > 0) member.log.info(`the closure pass found ${entered} points to add`);
    return entered;
  }

  private async sweepInTime(): Promise<void> {
    const now = performance.now();
    if (now - this.sweptAt < this.sweepMs) return;
    this.sweptAt = now;
    await sweep(this.member, this.sweepMs);
    const strays = await this.member.batches.take('processing_Q:strays', batchSize);
    if (strays) await admit(this.member, this.ledger, strays);
    const orphan = await this.member.batches.adopt(proposalLists);
    if (!orphan) return;
    this.member.log.warn(`took over ${orphan.elements.length} proposals from a master that died`);
    await admit(this.member, this.ledger, orphan);
  }
}

/** What did not help is done again only after a pause, twice as long each time. */
class Damping {
  private reason = '';
  private waitMs = 0;
  private until = 0;

  allows(reason: string): boolean {
    return reason !== this.reason || performance.now() >= this.until;
  }

  done(reason: string): void {
    const now = performance.now();
    const again = reason === this.reason && now < this.until + this.waitMs;
    this.waitMs = again ? Math.min(2 * this.waitMs, longestRepeatMs) : firstRepeatMs;
    this.reason = reason;
    this.until = now + this.waitMs;
  }
}

/** Why Redis must be rebuilt; undefined: it is whole. */
function wrong(seen: Look, recorded: string | undefined, runId: string): string | undefined {
  if (seen.generation === undefined) return recorded === undefined ? 'a new search' : 'Redis holds no generation';
  if (!seen.generation.endsWith(`@${runId}`)) return 'Redis restarted';
  if (seen.generation !== recorded) return 'Redis and SQL are of different generations';
  return seen.damage.length > 0 ? `Redis lost something: ${seen.damage.join('; ')}` : undefined;
}
