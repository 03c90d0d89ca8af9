import type { Ledger } from '../../ledger/ledger.js';
import { sourceOf } from '../../queue/batches.js';
import { proposalLists } from '../../queue/keys.js';
import { close, type Look, look } from '../../queue/look.js';
import { otherData, type Server } from '../../queue/server.js';
import { pause } from '../../support/bell.js';
import type { Member } from '../common/member.js';
import { legible, missingProposals } from '../common/proposals.js';
import { admissionSize, admit } from './admission.js';
import { rebuild } from './rebuild.js';
import { sweep } from './sweep.js';

const lookMs = 500;
const proposeChunk = 2000;
/** Between rebuilds for one and the same reason. */
const firstRepeatMs = 500;
const longestRepeatMs = 60_000;

/** In a drain, masters stay while runs go on: their leases may expire. */
export async function draining(member: Member): Promise<boolean> {
  const { stop, session } = member;
  if (!stop.drains || stop.abort.aborted) return false;
  const { leases, batches } = await member.insist(() => look(session));
  return leases > 0 || Object.keys(batches).some((id) => sourceOf(`${id}/`) === 'main_sql_Q');
}

/** What one master does on a clock, while admission goes on: it keeps the search open and whole, and closes it. */
export class Keeper {
  private adoptedAt = 0;
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

  /** Dead workers are looked for by themselves: their points run elsewhere also while the database is away. */
  async keep(): Promise<void> {
    await Promise.all([
      this.onAClock(Math.min(lookMs, this.sweepMs), async () => {
        await this.check();
        await this.adoptInTime();
      }),
      this.onAClock(this.sweepMs, () => sweep(this.member, this.sweepMs)),
    ]);
  }

  private async onAClock(everyMs: number, duty: () => Promise<unknown>): Promise<void> {
    const { member } = this;
    const { stop } = member;
    while (!stop.quiet.aborted || (await draining(member))) {
      await member.insist(duty, stop.abort);
      await pause(everyMs, stop.drains ? stop.abort : stop.quiet);
    }
  }

  /** One look at Redis and SQL: whole, or to be rebuilt; over, or to be closed. Answers whether it was found whole. */
  private async check(): Promise<boolean> {
    const { member, ledger } = this;
    const [seen, recorded, server] = await Promise.all([
      look(member.session),
      ledger.generation(),
      member.session.server(),
    ]);
    const reason = this.rebuildNow ? 'asked for by --rebuild' : wrong(seen, recorded, server);
    if (reason !== undefined) {
      if (await this.rebuild(reason, seen.generation)) this.rebuildNow = false;
      return false;
    }
    if (seen.empty && (!seen.closed || this.asksSqlNow())) await this.tryToClose(seen);
    return true;
  }

  private async rebuild(reason: string, seen: string | undefined): Promise<boolean> {
    if (!this.damping.allows(reason) || !(await rebuild(this.member, this.ledger, reason, seen))) return false;
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
      await this.rebuild(`SQL has ${states.queue + states.running} live points that Redis lacks`, before.generation);
    } else if (before.seen !== rows) {
      await this.rebuild(`SQL has ${rows} points, Redis has seen ${before.seen}`, before.generation);
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

  /** Takes up what has no owner: strays, and proposals of masters that died. */
  private async adoptInTime(): Promise<void> {
    const now = performance.now();
    if (now - this.adoptedAt < this.sweepMs) return;
    this.adoptedAt = now;
    const table = this.ledger.incarnation;
    const strays = await this.member.batches.take('processing_Q:strays', admissionSize);
    if (strays) await admit(this.member, this.ledger, strays, table);
    const orphan = await this.member.batches.adopt(proposalLists);
    if (!orphan) return;
    this.member.log.warn(`took over ${orphan.elements.length} proposals from a master that died`);
    await admit(this.member, this.ledger, orphan, table);
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
function wrong(seen: Look, recorded: string | undefined, server: Server): string | undefined {
  if (seen.generation === undefined) return recorded === undefined ? 'a new search' : 'Redis holds no generation';
  const trouble = otherData(seen.generation, server);
  if (trouble !== undefined) return trouble;
  if (seen.generation !== recorded) return 'Redis and SQL are of different generations';
  return seen.damage.length > 0 ? `Redis lost something: ${seen.damage.join('; ')}` : undefined;
}
