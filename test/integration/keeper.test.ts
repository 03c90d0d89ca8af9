import { beforeAll, describe, expect, test } from 'vitest';
import { Ledger } from '../../src/ledger/ledger.js';
import { close, look } from '../../src/queue/look.js';
import { Keeper } from '../../src/roles/master/keeper.js';
import { Unavailable } from '../../src/support/errors.js';
import { at, line, type Opened, openLine, places, queue, queuedRow, seenIn, travelling } from '../support/line.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { searchedRows, settledRow } from '../support/searched.js';
import { until } from '../support/until.js';

let server: RedisServer;
beforeAll(async () => {
  server = await startRedis();
});

const alone = settledRow(at(4), false, null);
const looks = ({ member, ledger }: Opened) => new Keeper(member, ledger, false).checkUntilOpen();
/** Why the master made Redis whole, in the words of its log, the opening of the search left out. */
const reasons = ({ member }: Opened) =>
  member.said.flatMap((text) => /^making Redis whole from SQL: (.*)/.exec(text)?.[1] ?? []).slice(1);

describe('a master rebuilds a Redis', () => {
  test('that is of another generation than SQL', async () => {
    const opened = await openLine(server);
    await opened.ledger.setGeneration('another');
    await looks(opened);
    expect(reasons(opened)).toEqual(['Redis and SQL are of different generations']);
  });

  test('that was restarted, though it has all that it had', async () => {
    const opened = await openLine(server);
    const { member, ledger, session, redis, keys } = opened;
    const earlier = 'a-generation@another-process';
    await redis.hset(keys.search, 'generation', earlier);
    await ledger.setGeneration(earlier);
    const looking = looks(opened);
    const next = member.said.length;
    const said = await until(
      () => member.said.slice(next).find((text) => /whole from SQL|^waiting/.test(text)),
      'it speaks',
    );
    expect(said).toBe('making Redis whole from SQL: Redis restarted');
    await looking;
    expect(await session.generation()).not.toBe(earlier);
  });

  test('that lost something', async () => {
    const opened = await openLine(server, { rows: [alone] });
    await opened.redis.del(opened.keys.seen);
    await looks(opened);
    expect(reasons(opened)).toEqual(['Redis lost something: points seen: 0 found, 1 wanted']);
  });

  test('in which nothing is left while SQL has live rows', async () => {
    const opened = await openLine(server);
    const { ledger, redis, keys } = opened;
    await ledger.insertQueued([queuedRow(4)]);
    await redis.sadd(keys.seen, at(4).hash);
    await looks(opened);
    expect(reasons(opened)).toEqual(['SQL has 1 live points that Redis lacks']);
    expect(places(await redis.lrange(keys.list('main_Q'), 0, -1))).toEqual([4]);
  });

  test('that has not seen all points of SQL', async () => {
    const opened = await openLine(server, { rows: [alone] });
    await opened.ledger.settle([settledRow(at(8), true, null)]);
    await looks(opened);
    expect(reasons(opened)).toEqual(['SQL has 2 points, Redis has seen 1']);
  });

  test('on which the search is closed, when rows were made live behind its back', async () => {
    const opened = await openLine(server, { rows: [settledRow(at(4), null, null)], leaseMs: 1 });
    const { session, ledger } = opened;
    await close(session, (await look(session)).moves);
    await ledger.requeueErrors({}, '', 1);
    await looks(opened);
    expect(reasons(opened)).toEqual(['SQL has 1 live points that Redis lacks']);
  });
});

describe('a master leaves a Redis alone', () => {
  test('that is whole', async () => {
    const opened = await openLine(server, { rows: [alone] });
    await looks(opened);
    expect(reasons(opened)).toEqual([]);
  });

  test('in which a point moved while SQL was asked', async () => {
    const opened = await openLine(server, { rows: [alone] });
    const { member, session, redis, keys } = opened;
    class Meanwhile extends Ledger {
      /** A new root gets its row just before the rows are counted, and enters main_Q just after. */
      override async counts() {
        await redis.lpush(keys.list('main_sql_Q'), travelling(8));
        const batch = await member.batches.take('main_sql_Q', 1);
        await this.insertQueued([queuedRow(8)]);
        const counts = await super.counts();
        if (batch) await member.batches.admit(batch, [{ hash: at(8).hash, element: travelling(8) }], []);
        return counts;
      }
    }
    const meanwhile = new Meanwhile(opened.databaseUrl, 'points', line.names);
    await meanwhile.open();
    await looks({ ...opened, ledger: meanwhile });
    await meanwhile.close();
    expect(reasons(opened)).toEqual([]);
    expect(await seenIn(session)).toMatchObject({ lists: { main_Q: 1 }, damage: [] });
  });
});

describe('a search is closed', () => {
  test('when nothing is left in Redis, no row lives, and no stable row lacks a neighbour', async () => {
    const opened = await openLine(server, { rows: searchedRows(line, ({ values: [x = 0] }) => x < 7) });
    await looks(opened);
    expect(await seenIn(opened.session)).toMatchObject({ closed: true });
  });

  test('not before the neighbours of each stable row have been proposed', async () => {
    const opened = await openLine(server, { rows: [alone] });
    const { ledger, session, redis, keys } = opened;
    // Its verdict was told by hand; what it leads to, by nobody.
    await ledger.settle([settledRow(at(8), true, null)]);
    await redis.sadd(keys.seen, at(8).hash);
    await looks(opened);
    expect(await seenIn(session)).toMatchObject({ closed: false, waiting: 2, damage: [] });
    expect(places(await redis.lrange(keys.list('main_sql_Q'), 0, -1)).sort()).toEqual([7, 9]);
  });

  test('not while SQL has no row', async () => {
    const opened = await openLine(server);
    await looks(opened);
    expect(await seenIn(opened.session)).toMatchObject({ closed: false });
  });
});

describe('a master whose database is away', () => {
  test('still returns the points of workers that vanished', async () => {
    class Away extends Ledger {
      override generation(): Promise<undefined> {
        throw new Unavailable('the database is away');
      }
    }
    const opened = await openLine(server, { leaseMs: 600 });
    const { member, databaseUrl, redis, keys } = opened;
    await queue(opened, 4);
    await member.leases.lease(1);
    const ledger = new Away(databaseUrl, 'points', line.names);
    atEnd(() => ledger.close());
    const keeping = new Keeper(member, ledger, false).keep();
    await until(async () => (await redis.llen(keys.list('main_Q'))) === 1, 'the point is back');
    member.stop.now('the test is over');
    await expect(keeping).rejects.toThrow('the test is over');
  });
});
