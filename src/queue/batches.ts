import type { SourceList } from './keys.js';
import type { Session } from './session.js';

/** Elements taken off a list by one owner, until their effect is in SQL. The id is the proof of ownership. */
export interface Batch {
  id: string;
  source: SourceList;
  /** Oldest first. */
  elements: string[];
}

/** A point of a batch of proposals: what enters main_Q, or null when its row says that it is settled. */
export interface Admission {
  hash: string;
  element: string | null;
}

/**
 * No more elements are taken, leased or sent at once when they reach so many bytes: each is in memory several times, as text, as
 * what it says, and as a statement.
 */
export const maxBatchBytes = 4 << 20;

/**
 * Batches: an SQL client or master takes elements onto a list of its own, brings their effect into SQL, then ends the batch.
 * A batch whose owner shows no sign of life is taken over under a new name.
 */
export class Batches {
  /** Ids of the batches that this process holds; its sign of life prolongs them. */
  readonly held = new Set<string>();
  private made = 0;
  /** Batches that may have been taken: the reply was lost. */
  private readonly unanswered = new Set<string>();

  constructor(
    private readonly session: Session,
    /** Milliseconds after the last sign of life until a batch may be taken over. */
    readonly lifetime: number,
  ) {}

  /** Takes the oldest elements of a list; undefined when it is empty. Proposals are only taken while a generation stands. */
  async take(source: SourceList, most: number): Promise<Batch | undefined> {
    const { keys } = this.session;
    // A lost reply leaves a batch that nobody knows of: asking again under the same id finds it.
    const id = [...this.unanswered].find((lost) => sourceOf(lost) === source) ?? this.newId(source);
    this.unanswered.delete(id);
    const list = `${keys.prefix}${source}`;
    const scriptKeys = [keys.search, keys.batches, keys.taken, list, keys.batch(id)];
    const args = [id, most, maxBatchBytes, this.lifetime];
    try {
      const elements = isReport(source)
        ? await this.session.unguarded<string[]>('take', scriptKeys, ['', ...args])
        : await this.session.script<string[]>('take', scriptKeys, args);
      return this.hold(id, source, elements);
    } catch (error) {
      this.unanswered.add(id);
      throw error;
    }
  }

  /** Takes over one batch of a dead owner, of those sources; undefined when there is none. */
  async adopt(sources: readonly SourceList[]): Promise<Batch | undefined> {
    const { keys, connection } = this.session;
    const [now, entries] = await Promise.all([
      connection.ask((redis) => redis.time()),
      connection.ask((redis) => redis.zrange(keys.batches, 0, '-1', 'WITHSCORES')),
    ]);
    for (let i = 0; i < entries.length; i += 2) {
      const id = entries[i] as string;
      const source = sourceOf(id);
      const restMs = Number(entries[i + 1]) - Number(now[0]) * 1000 - Number(now[1]) / 1000;
      const expired = restMs <= 0 || restMs > this.lifetime;
      if (!expired || !sources.includes(source)) continue;
      const heir = this.newId(source);
      const rest = `${heir}/rest`;
      const scriptKeys = [keys.search, keys.batches, keys.taken, ...[id, heir, rest].map((name) => keys.batch(name))];
      const args = [id, heir, rest, maxBatchBytes, this.lifetime];
      const elements = await this.session.unguarded<string[]>('takeover', scriptKeys, args);
      this.held.delete(id);
      const batch = this.hold(heir, source, elements);
      if (batch) return batch;
    }
    return undefined;
  }

  /**
   * Ends a batch of reports whose effect is in SQL, but for elements at those positions: malformed, or of another table. False: it
   * was taken over, and its heir ends it.
   */
  async drop(batch: Batch, malformed: readonly number[], foreign: readonly number[] = []): Promise<boolean> {
    const { keys } = this.session;
    const settled = batch.source === 'running_sql_Q' ? 0 : batch.elements.length - malformed.length;
    const scriptKeys = [
      keys.search,
      keys.batches,
      keys.taken,
      keys.batch(batch.id),
      keys.malformed(batch.source),
      keys.foreign(batch.source),
    ];
    const args = [batch.id, settled, malformed.length, ...malformed, ...foreign];
    const done = await this.session.unguarded<number>('drop', scriptKeys, args);
    this.held.delete(batch.id);
    return done === 1;
  }

  /** Ends a batch of proposals whose rows are in SQL; answers how many points entered main_Q. */
  async admit(batch: Batch, admissions: readonly Admission[], malformed: readonly number[]): Promise<number> {
    const { keys } = this.session;
    const admitted = await this.session.script<number>(
      'admit',
      [
        keys.search,
        keys.batches,
        keys.taken,
        keys.batch(batch.id),
        keys.malformed(batch.source),
        keys.list('main_Q'),
        keys.seen,
        keys.waiting,
      ],
      [batch.id, malformed.length, ...malformed, ...admissions.flatMap(({ hash, element }) => [hash, element ?? ''])],
    );
    this.held.delete(batch.id);
    return Math.max(admitted, 0);
  }

  /** Lets go of a batch that could not be brought into SQL: the next `take` of its list finds what Redis still holds of it. */
  forget({ id }: Batch): void {
    this.held.delete(id);
    this.unanswered.add(id);
  }

  private newId(source: SourceList): string {
    return `${source}/${this.session.owner}/${++this.made}`;
  }

  private hold(id: string, source: SourceList, elements: string[]): Batch | undefined {
    if (elements.length === 0) return undefined;
    this.held.add(id);
    return { id, source, elements };
  }
}

/** The list that a batch was taken from. */
export function sourceOf(id: string): SourceList {
  return id.slice(0, id.indexOf('/')) as SourceList;
}

function isReport(source: SourceList): boolean {
  return source !== 'main_sql_Q' && source !== 'processing_Q:strays';
}
