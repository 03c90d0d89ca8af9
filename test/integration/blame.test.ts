import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { createArtifactStore } from '../../src/artifacts/index.js';
import { decodeReport, decodeTravel, type Travel } from '../../src/queue/messages.js';
import { afterLoss } from '../../src/roles/common/blame.js';
import { openedFrom, readyLedger } from '../../src/roles/common/table.js';
import { sweep } from '../../src/roles/master/sweep.js';
import { Bench } from '../../src/roles/worker/bench.js';
import { Run } from '../../src/roles/worker/run.js';
import type { Outcome, Simulator } from '../../src/simulators/simulator.js';
import { MachineFault, UsageError } from '../../src/support/errors.js';
import { OwnFolder } from '../../src/support/ownFolder.js';
import { temporaryFolder } from '../support/folder.js';
import { at, line, lineSearch, memberOf, openLine, seenIn, travelling } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { until } from '../support/until.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

const losses = 3;
const store = () => createArtifactStore(`file:${temporaryFolder()}`, 'test');

const scratch = () => new OwnFolder(temporaryFolder(), 'runs-');

/** A simulator on a machine that is sound; runs end as they are told. */
function simulatorOf(outcome: Outcome): Simulator {
  return {
    keepsFiles: false,
    facts: {},
    prepare: async () => undefined,
    run: async () => outcome,
    close: async () => undefined,
  };
}

const broken = { kind: 'error', errorKind: 'program', message: 'broken' } as const;

describe('a point whose worker vanished', () => {
  /** The sweep after a worker vanished with a point of which this was known; where the point went, and who the worker was. */
  async function swept(facts: Partial<Travel>, ownName = false) {
    const { search, member, session, redis, keys } = await openLine(server, { losses });
    const worker = memberOf(search);
    const id = worker.session.owner;
    const element = travelling(4, ownName ? { ...facts, lost: [...(facts.lost ?? []), id] } : facts);
    await member.leases.requeue([element], await session.generation());
    const [lease] = await worker.leases.lease(1);
    await redis.zadd(keys.leases, 1, lease?.token as string);
    await redis.hset(keys.search, 'reclaim_from', 0);
    await sweep(member, 5000);
    const [queued] = await redis.lrange(keys.list('main_Q'), 0, -1);
    const [report] = await redis.lrange(keys.list('error_sql_Q'), 0, -1);
    expect(await seenIn(session)).toMatchObject({ leases: 0, damage: [] });
    return {
      id,
      queued: queued === undefined ? undefined : decodeTravel(queued, line).facts,
      report: report === undefined ? undefined : decodeReport(report, line).facts,
    };
  }

  test('is queued again, names the worker, and has as many attempts as before', async () => {
    const { id, queued, report } = await swept({ attempt: 2, lost: ['one'] });
    expect([queued, report]).toEqual([{ depth: 0, attempt: 2, lost: ['one', id] }, undefined]);
  });

  test('after others, as many as are allowed in a row, is quarantined', async () => {
    const { id, queued, report } = await swept({ lost: ['one', 'another'] });
    expect(queued).toBeUndefined();
    expect(report).toMatchObject({
      ...{ error_kind: 'poison', attempt: 1, worker: id },
      error_msg: `3 workers in a row vanished while they ran this point: one, another, ${id}`,
    });
  });

  test('is admitted anew where somebody had pushed it past its row', async () => {
    const { search, member, session, redis, keys } = await openLine(server);
    await member.leases.requeue([at(4).code], await session.generation());
    const [lease] = await memberOf(search).leases.lease(1);
    await redis.zadd(keys.leases, 1, lease?.token as string);
    await redis.hset(keys.search, 'reclaim_from', 0);
    await sweep(member, 5000);
    expect(await redis.lrange(keys.list('main_sql_Q'), 0, -1)).toEqual([at(4).code]);
  });

  test('is queued again by one sweep, however many there are', async () => {
    const { member, session, redis, keys } = await openLine(server);
    const many = Array.from({ length: 450 }, (_, attempt) => travelling(4, { attempt: attempt + 1 }));
    await member.leases.requeue(many, await session.generation());
    const leases = await member.leases.lease(many.length);
    await redis.zadd(keys.leases, ...leases.flatMap(({ token }) => [1, token]));
    await redis.hset(keys.search, 'reclaim_from', 0);
    await sweep(member, 5000);
    expect(await seenIn(session)).toMatchObject({ leases: 0, lists: { main_Q: many.length } });
  });

  test('again holds it against the point once', async () => {
    const { id, queued } = await swept({ lost: ['one'] }, true);
    expect(queued?.lost).toEqual(['one', id]);
  });
});

describe('a run', () => {
  async function ended(outcome: Outcome, travel: Travel, simulator = simulatorOf(outcome)) {
    const surroundings = { timeoutSeconds: 60, attempts: 3, scratch: scratch(), store: await store() };
    const member = memberOf(lineSearch(server));
    const lease = { token: 'a-token-0', element: travelling(4, travel) };
    const run = new Run(lease, at(4), travel, 0, { member, simulator, ...surroundings });
    return run.done();
  }

  test.each([
    ['nothing', {}, false],
    ['its parent', { previous_hash: at(3).hash }, true],
    ['the files that a root was given', { previous_path: '/runs/3' }, true],
  ])('is told to start from %s', async (_, travel, warm) => {
    const run = vi.fn(async () => broken);
    await ended(broken, { depth: 0, ...travel }, { ...simulatorOf(broken), run });
    expect(run).toHaveBeenCalledWith(expect.objectContaining({ warm }));
  });

  test('that fails costs an attempt, and ends a row of vanished workers', async () => {
    const travel = { depth: 0, attempt: 2, lost: ['one', 'another'], fault: 'no disk' };
    const { arrival, element = '' } = await ended(broken, travel);
    expect(arrival).toBe('main_Q');
    expect(decodeTravel(element, line).facts).toEqual({ depth: 0, attempt: 3 });
  });

  test('that fails with the last of the attempts is an error for SQL', async () => {
    const { arrival, element = '' } = await ended(broken, { depth: 0, attempt: 3 });
    expect(arrival).toBe('error_sql_Q');
    expect(decodeReport(element, line).facts).toMatchObject({ attempt: 3, error_kind: 'program', error_msg: 'broken' });
  });

  test('whose result no message can hold has failed', async () => {
    const outputs = Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`output_${index}`, 1e20]));
    const { arrival, element = '' } = await ended({ kind: 'completed', stable: true, outputs }, { depth: 0 });
    expect(arrival).toBe('main_Q');
    expect(decodeTravel(element, line).facts).toEqual({ depth: 0, attempt: 2 });
  });

  test('that fails has a fresh allowance after its errors were put back', async () => {
    expect((await ended(broken, { depth: 0, attempt: 5, spent: 3 })).arrival).toBe('main_Q');
  });
});

describe('a machine that failed runs', () => {
  /** What a worker of it is paused for; undefined: it takes points. */
  async function pausedAfter(act: (bench: Bench) => Promise<unknown>, prepare = async () => undefined) {
    const member = memberOf(lineSearch(server));
    const bench = new Bench(member, { ...simulatorOf(broken), prepare }, await store(), scratch());
    await act(bench);
    const free = bench.free();
    const { benched } = member.facts;
    member.stop.now('the test is over');
    await free;
    return benched;
  }
  const failing = async () => {
    throw new MachineFault('no Docker');
  };

  test('of three points in a row takes no more', async () => {
    const paused = await pausedAfter(async (bench) => {
      for (const point of ['a', 'b', 'c']) expect(await bench.faulted(point, 'no disk')).toBe(true);
    });
    expect(paused).toBe('no disk');
  });

  test('of one point takes others, however often that one fails', async () => {
    const paused = await pausedAfter(async (bench) => {
      for (const point of ['a', 'a', 'a', 'a', 'b']) await bench.faulted(point, 'no disk');
    });
    expect(paused).toBeUndefined();
  });

  test('is told from one on which a run went well between', async () => {
    const paused = await pausedAfter(async (bench) => {
      for (const point of ['a', 'b']) await bench.faulted(point, 'no disk');
      bench.ranWell();
      for (const point of ['c', 'd']) await bench.faulted(point, 'no disk');
    });
    expect(paused).toBeUndefined();
  });

  test('takes no more where it fails the probe too, and the fault is not the point’s', async () => {
    const paused = await pausedAfter(async (bench) => {
      expect(await bench.faulted('a', 'no disk')).toBe(false);
    }, failing);
    expect(paused).toBe('no Docker');
  });

  test('takes no more after three faults from before a run, of one point too, and none is the point’s', async () => {
    const paused = await pausedAfter(async (bench) => {
      for (let count = 0; count < 3; count++) expect(await bench.faulted('a', 'no space', true)).toBe(false);
    });
    expect(paused).toBe('no space');
  });

  test('is probed once for several runs that fail together', async () => {
    const prepare = vi.fn(async () => undefined);
    await pausedAfter((bench) => Promise.all(['a', 'b'].map((point) => bench.faulted(point, 'no disk'))), prepare);
    expect(prepare).toHaveBeenCalledTimes(1);
  });
});

describe('a point that fails on a sound machine', () => {
  const afterFault = (facts: Partial<Travel>, fault = 'no such file') =>
    afterLoss(at(4), { depth: 0, ...facts }, { token: 'w-1', element: '' }, { worker: 'w', fault }, losses);

  test('is queued again, with the worker and the fault on its account and as many attempts as before', () => {
    const { arrival, element = '' } = afterFault({ attempt: 2, lost: ['one'] });
    expect(arrival).toBe('main_Q');
    expect(decodeTravel(element, line).facts).toEqual({
      depth: 0,
      attempt: 2,
      lost: ['one', 'w'],
      fault: 'no such file',
    });
  });

  test('keeps a bounded part of the fault', () => {
    const { element = '' } = afterFault({}, 'x'.repeat(100_000));
    expect(element.length).toBeLessThan(1000);
  });

  test('as often as is allowed in a row, vanished workers counted, is quarantined: on the only worker too', () => {
    for (const lost of [
      ['w', 'w'],
      ['one', 'another'],
    ]) {
      const { arrival, element = '' } = afterFault({ lost });
      expect(arrival).toBe('error_sql_Q');
      expect(decodeReport(element, line).facts).toMatchObject({
        ...{ error_kind: 'poison', attempt: 1, worker: 'w' },
        error_msg: expect.stringMatching(/^3 runs in a row .*; the last fault: no such file$/),
      });
    }
  });
});

describe('a benched worker', () => {
  /** One that cannot be prepared. */
  async function benched(prepare: () => Promise<void>, over = () => false) {
    const member = memberOf(lineSearch(server));
    const ready = new Bench(member, { ...simulatorOf(broken), prepare }, await store(), scratch(), over).ready();
    return { member, ready };
  }

  test('has nothing to wait for once the search is over', async () => {
    let over = false;
    const { member, ready } = await benched(
      async () => {
        throw new MachineFault('no Docker');
      },
      () => over,
    );
    await until(() => member.facts.benched === 'no Docker', 'it is benched');
    over = true;
    await ready;
  });

  test('waits until its temporary folder can be used, and says so', async () => {
    const parent = join(temporaryFolder(), 'file');
    await writeFile(parent, '');
    const member = memberOf(lineSearch(server, { leaseMs: 100 }));
    const simulator = { ...simulatorOf(broken), keepsFiles: true };
    const folder = new OwnFolder(join(parent, 'tmp'), 'runs-');
    const ready = new Bench(member, simulator, await store(), folder).ready();
    await until(() => /ENOTDIR/.test(member.facts.benched ?? ''), 'it is benched');
    await rm(parent);
    await ready;
    expect(member.facts.benched).toBeUndefined();
    await folder.remove();
  });

  test('ends when it is told to, also while its machine is prepared', async () => {
    const { member, ready } = await benched(() => new Promise(() => {}));
    member.stop.now('the test is over');
    await ready;
    expect(member.said).toEqual([]);
  });
});

describe('a role', () => {
  test('refuses a Redis that may evict any key', async () => {
    const evicting = await startRedis({ options: ['--maxmemory', '64mb', '--maxmemory-policy', 'allkeys-lru'] });
    await expect(memberOf(lineSearch(evicting)).join()).rejects.toThrow(UsageError);
  });

  test('refuses a Redis that holds another search of its name', async () => {
    const { search } = await openLine(server);
    await expect(memberOf({ ...search, differs: () => 'the step' }).join()).rejects.toThrow(UsageError);
  });

  test('refuses the table of another search', async () => {
    const { member, ledger } = await openLine(server, { differs: () => 'the step' });
    await expect(readyLedger(member, ledger)).rejects.toThrow(UsageError);
  });

  test('waits while the search was opened from another table than its own', async () => {
    const [{ member }, { ledger }] = [await openLine(server), await openLine(server)];
    const opened = openedFrom(member, ledger);
    const waiting = until(
      () => member.said.find((text) => /^waiting: .* not opened from this table/.test(text)),
      'it waits',
    );
    expect(await Promise.race([opened, waiting])).toMatch(/^waiting/);
    member.stop.now('the test is over');
    expect(await opened).toBe(false);
  });

  test('does nothing while the kill switch is on', async () => {
    const { search, redis, keys } = await openLine(server);
    await redis.lpush(keys.list('kill'), 'now');
    expect(await memberOf(search).join()).toBe(false);
  });

  test.each(['now', 'drain'] as const)('hears the kill switch with its next sign of life: %s', async (word) => {
    const { search, redis, keys } = await openLine(server, { leaseMs: 300 });
    const member = memberOf(search);
    const signOfLife = () => redis.hget(keys.roles, member.session.owner);
    const nextSign = async (last: string | null) => {
      await until(async () => (await signOfLife()) !== last, 'another sign of life');
    };
    await member.join();
    await nextSign(null);
    await redis.lpush(keys.list('kill'), word);
    // The first of them may have looked at the switch before.
    for (let signs = 0; signs < 2; signs++) await nextSign(await signOfLife());
    const { quiet, abort, drains } = member.stop;
    expect([quiet.aborted, abort.aborted, drains]).toEqual([true, word === 'now', word === 'drain']);
  });
});
