import { z } from 'zod';
import type { Ledger } from '../ledger/ledger.js';
import { kill, lift } from '../roles/commands/kill.js';
import { retryErrors, start } from '../roles/commands/starter.js';
import { OneShot } from '../roles/common/oneShot.js';
import type { Search } from '../roles/common/search.js';
import { NotAPoint } from '../space/space.js';
import { UsageError } from '../support/errors.js';
import type { Logger } from '../support/logger.js';

/** What an action is asked with. */
export const actionInputs = {
  kill: z.strictObject({ how: z.enum(['now', 'drain', 'lift']) }),
  retry: z.strictObject({ kind: z.enum(['program', 'timeout', 'poison']).optional() }),
  point: z.strictObject({ values: z.record(z.string(), z.number()) }),
};

export type ActionName = keyof typeof actionInputs;

/** What may be done to the search from the page, each by the roles that the command line uses. Answers say what was done. */
export class Actions {
  constructor(
    private readonly search: Search,
    private readonly ledger: Ledger,
    private readonly log: Logger,
  ) {}

  async run(name: ActionName, input: unknown): Promise<string> {
    const command = new OneShot(this.search, this.log);
    try {
      const said = await this.perform(command, name, input);
      this.log.info({ action: name, input }, `asked for on the page: ${said}`);
      return said;
    } finally {
      await command.close();
    }
  }

  private async perform(command: OneShot, name: ActionName, input: unknown): Promise<string> {
    switch (name) {
      case 'kill':
        return this.kill(command, checked(actionInputs.kill, input).how);
      case 'retry': {
        const put = await retryErrors(command, this.ledger, checked(actionInputs.retry, input));
        return `${put} errored points are queued again`;
      }
      case 'point':
        return this.addPoint(command, checked(actionInputs.point, input).values);
    }
  }

  private async kill(command: OneShot, how: 'now' | 'drain' | 'lift'): Promise<string> {
    if (how === 'lift') {
      await lift(command);
      return 'the kill switch is lifted; roles that ended have to be started again';
    }
    await kill(command, how);
    return how === 'now'
      ? 'the kill switch is on: every role stops'
      : 'the kill switch is on: running points finish first';
  }

  private async addPoint(command: OneShot, values: Record<string, number>): Promise<string> {
    try {
      const point = this.search.space.pointWith(values);
      await start(command, this.ledger, point, { wait: false });
      return `pushed ${point.code}`;
    } catch (error) {
      if (error instanceof NotAPoint) throw new UsageError(error.message);
      throw error;
    }
  }
}

function checked<T>(schema: z.ZodType<T>, input: unknown): T {
  const parsed = schema.safeParse(input);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(`${issue?.path.join('.') || 'the action'}: ${issue?.message}`);
}
