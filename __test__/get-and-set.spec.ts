import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

each('getAndSet stores a value and gives the one that was there before', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.getAndSet('key', 'first'), undefined);
  t.is(await cache.getAndSet('key', { second: true }), 'first');
  t.deepEqual(await cache.getAndSet(1, 7), undefined, 'a number and its text are two keys');
  t.is(await cache.getAndSet(1, 8), 7);
  t.deepEqual(await cache.get('key'), { second: true });
  const { sets, hits, misses } = await cache.stats();
  t.deepEqual({ sets, hits, misses }, { sets: 4, hits: 1, misses: 0 }, 'it is no read');
});

each('each value is given to exactly one caller, in every process', async (t, { open, peer, reach }) => {
  const cache = await open();
  const [other, options] = [await peer(), await reach(cache)];
  const before = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      index % 2 === 0 ? cache.getAndSet('key', index) : other.call(options, 'getAndSet', 'key', index),
    ),
  );
  const seen = [...before, await cache.get('key')];
  t.is(new Set(seen).size, 101);
  t.is(seen.filter((value) => value === undefined).length, 1);
});

each('getAndSet keeps the entry as it is told, as set does', async (t, { open }) => {
  const cache = await open({ ttl: 3_600_000 });
  const remaining = async () => Math.ceil((await cache.getRemainingTTL('key')) / 60_000);
  await cache.getAndSet('key', 1);
  t.is(await remaining(), 60);
  await cache.getAndSet('key', 2, { ttl: 60_000 });
  t.is(await remaining(), 1);
  await cache.getAndSet('key', 3, { expiresAt: Date.now() + 1_200_000 });
  t.is(await remaining(), 20);
  await cache.getAndSet('key', 4, { ttl: 0, size: 33 });
  t.is(await cache.getRemainingTTL('key'), Infinity);
  t.is((await cache.info('key'))?.size, 33);
});

each('what has expired counts as absent, even where reads return it', async (t, { open }) => {
  const cache = await open({ allowStale: true });
  await cache.set('key', 'old', { ttl: 1 });
  await until('expiry', async () => (await cache.getRemainingTTL('key')) === 0);
  t.is(await cache.peek('key'), 'old');
  t.is(await cache.getAndSet('key', 'new'), undefined);
  t.is(await cache.get('key'), 'new');
});

each('what cannot be stored is not, and leaves no older value', async (t, { open }) => {
  const cache = await open({ maxEntrySize: 1_000 });
  const large = [Buffer.alloc(1_001), Buffer.alloc(17 * 2 ** 20)];
  for (const [index, value] of large.entries()) {
    await cache.set('key', 'old');
    t.is(await cache.getAndSet('key', value), 'old');
    t.is(await cache.get('key'), undefined);
    t.is(await cache.getAndSet('key', value), undefined);
    t.is((await cache.stats()).refused, 2 * index + 2);
  }
  await cache.set('key', 'old');
  t.is(await cache.getAndSet('key', 'new', { expiresAt: 1 }), 'old');
  t.is(await cache.get('key'), undefined);
  t.is((await cache.stats()).refused, 4, 'what had expired was not too large');
});

each('null is a value only where the namespace says so', async (t, { open }) => {
  const [plain, nulls] = [await open(), await open({ cacheNull: true })];
  await plain.set('key', 'old');
  await failsWith(t, () => plain.getAndSet('key', null), 'ERR_CC_INVALID_VALUE');
  t.is(await plain.get('key'), 'old');
  t.is(await nulls.getAndSet('key', null), undefined);
  t.is(await nulls.getAndSet('key', 1), null);
});

each('bad input is refused and changes nothing', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 'old');
  for (const key of [undefined, null, {}, NaN, 'x'.repeat(70_000)] as never[]) {
    await failsWith(t, () => cache.getAndSet(key, 1), 'ERR_CC_INVALID_KEY');
  }
  await failsWith(t, () => cache.getAndSet('key', undefined), 'ERR_CC_INVALID_VALUE');
  await failsWith(t, () => cache.getAndSet('key', () => {}), 'ERR_CC_DATA_CLONE');
  for (const options of [{ ttl: -1 }, { size: 0 }, { expiresAt: NaN }, { tll: 5 }, 5] as never[]) {
    await failsWith(t, () => cache.getAndSet('key', 1, options), 'ERR_CC_INVALID_OPTION');
  }
  t.is(await cache.get('key'), 'old');
});

each('getAndSetSync works in the host alone', async (t, { open, role }) => {
  const cache = await open();
  if (role === 'client') {
    await failsWith(t, async () => cache.getAndSetSync('key', 1), 'ERR_CC_NOT_HOST', /getAndSet\(\)/);
    return;
  }
  t.is(cache.getAndSetSync('key', { n: 1 }), undefined);
  t.deepEqual(cache.getAndSetSync('key', 2, { ttl: 60_000 }), { n: 1 });
  t.is(cache.getSync('key'), 2);
});
