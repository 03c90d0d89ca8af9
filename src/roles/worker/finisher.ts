import { maxBatchBytes } from '../../queue/batches.js';
import type { Ending } from '../../queue/leases.js';
import { PointSet } from '../../space/pointSet.js';
import type { Point } from '../../space/space.js';
import { Bell } from '../../support/bell.js';
import type { Member } from '../common/member.js';
import { type Parent, proposalOf } from '../common/proposals.js';
import { ProposalMemory } from './proposalMemory.js';

/** The end of a run; a stable point comes with itself as a parent. */
export interface RunEnding extends Ending {
  parent?: Parent;
}

/**
 * What Redis answers to the ends of leases. `taken`: they count. `stale`: the leases were given to others, and nothing of them counts.
 * `unknown`: one of the two, as an earlier try got no answer.
 */
export type Answer = 'taken' | 'stale' | 'unknown';

const mostEndings = 500;
const mostProposals = 10_000;

/**
 * Sends the ends of runs to Redis, one batch at a time; what gathers meanwhile goes with the next. So a lone slow run is
 * reported at once, and quick runs by the hundred.
 */
export class Finisher {
  private gathered: RunEnding[] = [];
  private sending: readonly RunEnding[] = [];
  private readonly bell = new Bell();
  private readonly memory = new ProposalMemory();
  private closing = false;

  constructor(
    private readonly member: Member,
    private readonly onFinished: (tokens: string[], answer: Answer) => void,
    /** Ends the sending, whatever is left. */
    private readonly signal: AbortSignal,
  ) {}

  add(ending: RunEnding): void {
    this.gathered.push(ending);
    this.bell.ring();
  }

  /** Whether the end of that lease is on its way: whether the lease was lost before, Redis answers to that. */
  ends(token: string): boolean {
    return [...this.gathered, ...this.sending].some((ending) => ending.token === token);
  }

  /** Sends until it is closed and all is sent. */
  async run(): Promise<void> {
    for (;;) {
      if (this.gathered.length === 0) {
        if (this.closing) return;
        await this.bell.heard();
        continue;
      }
      await this.send(this.next());
    }
  }

  close(): void {
    this.closing = true;
    this.bell.ring();
  }

  private next(): RunEnding[] {
    const { mostNeighbours } = this.member.search.space;
    const most = Math.max(1, Math.min(mostEndings, Math.floor(mostProposals / mostNeighbours)));
    let [count, bytes] = [0, 0];
    for (const { element = '' } of this.gathered) {
      if (count === most || bytes >= maxBatchBytes) break;
      bytes += Buffer.byteLength(element);
      count++;
    }
    return this.gathered.splice(0, count);
  }

  private async send(endings: RunEnding[]): Promise<void> {
    this.sending = endings;
    while (this.sending.length > 0) {
      const { sending } = this;
      let tries = 0;
      const finish = () => {
        tries++;
        return this.finish(sending);
      };
      const stale = await this.member.insist(finish, this.signal);
      const lost = new Set(stale);
      this.sending = stale.length > 0 ? sending.filter(({ token }) => !lost.has(token)) : [];
      if (stale.length > 0) this.onFinished(stale, tries > 1 ? 'unknown' : 'stale');
      else this.onFinished(tokens(sending), 'taken');
    }
  }

  /** One try. What is left out of the proposals must be known to the very generation that the script finds. */
  private async finish(endings: readonly RunEnding[]): Promise<string[]> {
    const generation = await this.member.session.generation();
    const memory = this.memory.of(generation);
    const fresh = this.freshNeighbours(endings, memory);
    const proposals = fresh.map(({ parent, neighbour }) => proposalOf(parent, neighbour));
    const stale = await this.member.leases.finish(endings, proposals, generation);
    if (stale.length === 0) memory.add(fresh.map(({ neighbour }) => neighbour));
    return stale;
  }

  /** The neighbours of these stable points, each once, without what the memory holds. */
  private freshNeighbours(endings: readonly RunEnding[], memory: ProposalMemory) {
    const found = new PointSet();
    const fresh: { parent: Parent; neighbour: Point }[] = [];
    for (const { parent } of endings) {
      if (!parent) continue;
      for (const neighbour of this.member.search.space.neighbours(parent.point)) {
        if (!memory.has(neighbour) && found.add(neighbour)) fresh.push({ parent, neighbour });
      }
    }
    return fresh;
  }
}

function tokens(endings: readonly Ending[]): string[] {
  return endings.map(({ token }) => token);
}
