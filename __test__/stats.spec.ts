import test from 'ava';
import { rolesOf } from './helpers/roles.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

each('stats start at zero', async (t, { open }) => {
  const cache = await open();
  const { clients, epoch, uptime, ...rest } = await cache.stats();
  t.deepEqual(rest, {
    namespace: cache.namespace,
    size: 0,
    calculatedSize: 0,
    hits: 0,
    misses: 0,
    sets: 0,
    deletes: 0,
    evictions: 0,
    expirations: 0,
    refused: 0,
    fetches: { leads: 0, waits: 0, takeovers: 0 },
    undecodable: 0,
    near: { hits: 0 },
  });
  t.true(Number.isSafeInteger(clients) && clients >= 0);
  t.true(epoch !== 0 && epoch !== undefined);
  t.true(uptime >= 0);
});

each('stats count operations and their results', async (t, { open }) => {
  const cache = await open({ max: 4 });
  await cache.set('a', 1);
  await cache.mSet([
    ['b', 2],
    ['c', 3],
  ]);
  await cache.incr('n');
  await cache.get('a');
  await cache.get('absent');
  await cache.mGet(['a', 'b', 'absent']);
  await cache.has('a');
  await cache.peek('a');
  await cache.set('d', 4);
  await cache.delete('a');
  await cache.getAndDelete('b');
  await cache.delete('absent');
  const stats = await cache.stats();
  t.deepEqual([stats.size, stats.hits, stats.misses, stats.sets, stats.deletes, stats.evictions], [2, 3, 2, 5, 2, 1]);
  t.is(stats.calculatedSize, await cache.calculatedSize());
});

each('expirations count entries removed because they had expired', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(
    [
      ['a', 1],
      ['b', 2],
    ],
    { ttl: 5 },
  );
  await until('expiry', async () => (await cache.getRemainingTTL('b')) === 0);
  await cache.get('a');
  await cache.purgeStale();
  t.is((await cache.stats()).expirations, 2);
});

each('all instances and processes see the same numbers', async (t, { open, peer, reach }) => {
  const cache = await open();
  const other = await peer();
  const options = await reach(cache);
  await other.call(options, 'set', 'key', 1);
  await other.call(options, 'get', 'key');
  await cache.get('key');
  // The host learns of reads from memory a little later.
  const mine = await until('both reads', async () => {
    const stats = await cache.stats();
    return stats.hits === 2 && stats;
  });
  const theirs = await other.call(options, 'stats');
  t.deepEqual(
    [theirs.hits, theirs.sets, theirs.epoch, theirs.clients],
    [mine.hits, mine.sets, mine.epoch, mine.clients],
  );
  t.true(mine.clients >= 1);
});

each('uptime grows and the epoch stays the same', async (t, { open }) => {
  const cache = await open();
  const first = await cache.stats();
  const second = await until('a later uptime', async () => {
    const stats = await cache.stats();
    return stats.uptime > first.uptime && stats;
  });
  t.is(second.epoch, first.epoch);
});

each('healthCheck resolves while the host answers', async (t, { open }) => {
  const cache = await open();
  await t.notThrowsAsync(cache.healthCheck());
  await cache.close();
  await t.throwsAsync(cache.healthCheck(), { code: 'ERR_CC_CLOSED' });
});
