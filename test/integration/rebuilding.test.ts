import { expect, test } from 'vitest';
import { searchOf } from '../../src/cli/wire.js';
import { loadConfig } from '../../src/config/config.js';
import { look } from '../../src/queue/look.js';
import { Rebuilding } from '../../src/queue/rebuilding.js';
import { Member } from '../../src/roles/common/member.js';
import { rebuild } from '../../src/roles/master/rebuild.js';
import { Unavailable } from '../../src/support/errors.js';
import { createLogger } from '../../src/support/logger.js';
import { Stop } from '../../src/support/stop.js';
import { startRedis } from '../support/redis.js';
import { atEnd } from '../support/scope.js';
import { smallParameters } from '../support/search.js';
import { testSearch } from '../support/testSearch.js';

/** Two masters of one search, and its table. */
async function twoMasters() {
  const redis = await startRedis();
  const { path, ledger, fingerprint } = testSearch({ parameters: smallParameters, redis: { url: redis.url } });
  const search = searchOf(loadConfig({ path, env: {} }));
  const masters = ['one', 'other'].map(() => {
    const member = new Member('sql-client-master', search, createLogger('test', 'silent'), new Stop());
    atEnd(() => member.leave());
    return member;
  });
  const table = ledger();
  atEnd(() => table.close());
  await table.create(fingerprint);
  return { redis: redis.connect(), table, masters: masters as [Member, Member] };
}

test('of two masters that saw the same damage one makes Redis whole, and the other lets it be', async () => {
  const { table, masters } = await twoMasters();
  const [one, other] = masters;
  const { generation } = await look(other.session);
  expect(await rebuild(one, table, 'a new search', generation)).toBe(true);
  const made = await look(other.session);
  expect(await rebuild(other, table, 'a new search', generation)).toBe(false);
  expect(await look(other.session)).toMatchObject({ generation: made.generation, moves: made.moves });
  expect(await rebuild(other, table, 'asked for by --rebuild', made.generation)).toBe(true);
});

test('a master whose rebuild was overtaken adds nothing to it', async () => {
  const { redis, masters } = await twoMasters();
  const [one, other] = masters;
  const overtaken = (await Rebuilding.begin(one.session, 2000)) as Rebuilding;
  await redis.del(one.session.keys.lock);
  const standing = (await Rebuilding.begin(other.session, 2000)) as Rebuilding;
  await standing.suspend();
  const proposal = { hash: '0'.repeat(32), element: 'one' };
  for (const late of [
    () => overtaken.suspend(),
    () => overtaken.markSeen(['hash']),
    () => overtaken.enqueue(['element']),
    () => overtaken.propose([proposal], null),
    () => overtaken.publish('generation', '{}', 2000, []),
  ]) {
    await expect(late()).rejects.toThrow(Unavailable);
  }
  expect(await standing.propose([proposal], null)).toBe(1);
  for (const rebuilding of [overtaken, standing]) await rebuilding.end();
});
