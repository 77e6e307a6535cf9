import test from 'ava';
import { ClusteredCache } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

each('methods without an argument return the options in force', async (t, { open }) => {
  const plain = await open();
  t.is(await plain.max(), undefined);
  t.is(await plain.maxSize(), 256 * 2 ** 20);
  t.is(await plain.ttl(), 0);
  t.is(await plain.allowStale(), false);
  const own = await open({ max: 5, maxSize: 1_000, ttl: 2_000, allowStale: true });
  t.is(await own.max(), 5);
  t.is(await own.maxSize(), 1_000);
  t.is(await own.ttl(), 2_000);
  t.is(await own.allowStale(), true);
});

each('a smaller max evicts at once, a larger one makes room', async (t, { open }) => {
  const cache = await open({ max: 5 });
  await cache.mSet([
    ['a', 1],
    ['b', 2],
    ['c', 3],
    ['d', 4],
  ]);
  t.is(await cache.max(2), 2);
  t.deepEqual(await cache.keys(), ['d', 'c']);
  t.is(await cache.max(3), 3);
  await cache.set('e', 5);
  t.deepEqual(await cache.keys(), ['e', 'd', 'c']);
  t.is((await cache.stats()).evictions, 2);
});

each('a smaller maxSize evicts at once', async (t, { open }) => {
  const cache = await open({ maxSize: 100 });
  await cache.mSet(
    [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ],
    { size: 30 },
  );
  t.is(await cache.maxSize(65), 65);
  t.deepEqual(await cache.keys(), ['c', 'b']);
  t.is(await cache.calculatedSize(), 60);
});

each('a new ttl applies to entries stored from then on', async (t, { open }) => {
  const cache = await open();
  await cache.set('before', 1);
  t.is(await cache.ttl(600_000), 600_000);
  await cache.set('after', 2);
  t.is(await cache.getRemainingTTL('before'), Infinity);
  t.true((await cache.getRemainingTTL('after')) <= 600_000);
  t.is(await cache.ttl(0), 0);
  await cache.set('later', 3);
  t.is(await cache.getRemainingTTL('later'), Infinity);
  t.true((await cache.getRemainingTTL('after')) <= 600_000, 'remaining time is kept');
});

each('allowStale can be switched on and off', async (t, { open }) => {
  const cache = await open({ noDeleteOnStaleGet: true });
  await cache.set('key', 1, { ttl: 5 });
  await until('expiry', async () => (await cache.getRemainingTTL('key')) === 0);
  t.is(await cache.get('key'), undefined);
  t.is(await cache.allowStale(true), true);
  t.is(await cache.get('key'), 1);
  t.is(await cache.allowStale(false), false);
  t.is(await cache.get('key'), undefined);
});

each('a change is visible to every instance and does not conflict with the options of any', async (t, { open }) => {
  const first = await open({ max: 5 });
  const second = await open({ namespace: first.namespace });
  await first.max(7);
  t.is(await second.max(), 7);
  const third = await open({ namespace: first.namespace, max: 5 });
  t.is(await third.max(), 7, 'opening again does not undo it');
});

each('a bound above the limit is refused, and not reported as in force', async (t, { open, options }) => {
  const cache = await open({ maxSize: 1_000, ttl: 1_000 });
  const most = 14 * 2 ** 30;
  for (const bad of [most + 1, Number.MAX_SAFE_INTEGER]) {
    await failsWith(t, () => cache.maxSize(bad), 'ERR_CC_INVALID_OPTION', /at most 15032385536/);
    await failsWith(t, () => new ClusteredCache(options({ maxSize: bad })), 'ERR_CC_INVALID_OPTION', /maxSize/);
  }
  await failsWith(t, () => cache.max(2 ** 53), 'ERR_CC_INVALID_OPTION', /max/);
  await failsWith(t, () => cache.ttl(2 ** 53), 'ERR_CC_INVALID_OPTION', /ttl/);
  t.deepEqual([await cache.max(), await cache.maxSize(), await cache.ttl()], [undefined, 1_000, 1_000]);
  t.is(await cache.maxSize(most), most);
});

each('invalid values are refused and change nothing', async (t, { open }) => {
  const cache = await open({ max: 5, ttl: 1_000 });
  for (const bad of [0, -1, 1.5, NaN, '5']) {
    await failsWith(t, () => cache.max(bad as never), 'ERR_CC_INVALID_OPTION', /max/);
    await failsWith(t, () => cache.maxSize(bad as never), 'ERR_CC_INVALID_OPTION', /maxSize/);
  }
  for (const bad of [-1, NaN, '5']) await failsWith(t, () => cache.ttl(bad as never), 'ERR_CC_INVALID_OPTION', /ttl/);
  await failsWith(t, () => cache.allowStale('yes' as never), 'ERR_CC_INVALID_OPTION', /allowStale/);
  t.is(await cache.max(), 5);
  t.is(await cache.ttl(), 1_000);
});
