import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { type AnyCache, rolesOf } from './helpers/roles.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

/** Long enough that no test run is slower. */
const LONG = 600_000;

/** Waits until the entry has expired, without reading (and so removing) it. */
const expired = (cache: AnyCache, key: string) =>
  until(`expiry of ${key}`, async () => (await cache.getRemainingTTL(key)) === 0);

each('an entry without ttl stays for ever', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1);
  t.is(await cache.getRemainingTTL('key'), Infinity);
  await cache.set('zero', 1, { ttl: 0 });
  t.is(await cache.getRemainingTTL('zero'), Infinity);
});

each('a missing entry has no remaining time', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.getRemainingTTL('key'), 0);
});

each("the namespace's ttl applies when the call gives none", async (t, { open }) => {
  const cache = await open({ ttl: LONG });
  await cache.set('key', 1);
  const remaining = await cache.getRemainingTTL('key');
  t.true(remaining > LONG / 2 && remaining <= LONG, String(remaining));
  await cache.set('own', 1, { ttl: LONG * 2 });
  t.true((await cache.getRemainingTTL('own')) > LONG);
  await cache.set('none', 1, { ttl: 0 });
  t.is(await cache.getRemainingTTL('none'), Infinity);
});

each('an expired entry is a miss for every way of reading', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(
    [
      ['key', 1],
      ['other', 2],
    ],
    { ttl: 20 },
  );
  await expired(cache, 'key');
  await expired(cache, 'other');
  t.is(await cache.peek('key'), undefined);
  t.is(await cache.has('key'), false);
  t.is(await cache.info('key'), undefined);
  t.is((await cache.mGet(['key'])).get('key'), undefined);
  t.is((await cache.mHas(['key'])).get('key'), false);
  t.deepEqual(await cache.keys(), []);
  t.deepEqual(await cache.entries(), []);
  for await (const entry of cache) t.fail(String(entry));
  t.is(await cache.getAndDelete('other'), undefined);
  t.is(await cache.get('key'), undefined);
});

each('a fractional ttl is kept', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1, { ttl: 0.5 });
  await expired(cache, 'key');
  t.is(await cache.get('key'), undefined);
});

each('setting a key again restarts its time to live', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1, { ttl: 5 });
  await cache.set('key', 2);
  t.is(await cache.getRemainingTTL('key'), Infinity);
});

each('expiresAt is a time on the wall clock', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.set('key', 1, { expiresAt: Date.now() + LONG }), true);
  const remaining = await cache.getRemainingTTL('key');
  t.true(Math.abs(remaining - LONG) < 10_000, String(remaining));
});

each('an expiresAt in the past stores nothing and removes the old value', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 'old');
  t.is(await cache.set('key', 'new', { expiresAt: Date.now() - 1 }), false);
  t.is(await cache.has('key'), false);
  t.is(await cache.size(), 0);
});

each('touch gives a new ttl from now', async (t, { open }) => {
  const cache = await open({ ttl: LONG });
  t.is(await cache.touch('key'), false);
  await cache.set('key', 1, { ttl: 2 * LONG });
  t.is(await cache.touch('key', { ttl: 3 * LONG }), true);
  t.true((await cache.getRemainingTTL('key')) > 2 * LONG);
  t.is(await cache.touch('key'), true);
  t.true((await cache.getRemainingTTL('key')) > 2 * LONG, "the entry's own starts again when none is named");
  t.is(await cache.touch('key', { ttl: 0 }), true);
  t.is(await cache.getRemainingTTL('key'), Infinity);
});

each('touch without a ttl leaves the end of an entry that was given one', async (t, { open }) => {
  const cache = await open({ ttl: LONG });
  await cache.set('key', 1, { expiresAt: Date.now() + 3 * LONG });
  t.is(await cache.touch('key'), true);
  t.true((await cache.getRemainingTTL('key')) > 2 * LONG);
});

each('a stale entry counts as none for delete and getAndDelete', async (t, { open }) => {
  const cache = await open({ allowStale: true });
  for (const [method, nothing] of [
    ['delete', false],
    ['getAndDelete', undefined],
  ] as const) {
    await cache.set(method, 1, { ttl: 5 });
    await expired(cache, method);
    t.is(await cache[method](method), nothing);
    t.is(await cache.get(method), undefined, 'it is gone');
  }
});

each('touch does not revive an expired entry', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1, { ttl: 5 });
  await expired(cache, 'key');
  t.is(await cache.touch('key', { ttl: LONG }), false);
  t.is(await cache.get('key'), undefined);
});

each('allowStale returns a stale value once', async (t, { open }) => {
  const cache = await open({ allowStale: true });
  await cache.set('key', 1, { ttl: 5 });
  await expired(cache, 'key');
  t.is(await cache.peek('key'), 1, 'peek leaves it where it is');
  t.is(await cache.get('key'), 1);
  t.is(await cache.get('key'), undefined);
});

each('with noDeleteOnStaleGet a read does not remove a stale entry', async (t, { open }) => {
  const cache = await open({ allowStale: true, noDeleteOnStaleGet: true });
  await cache.set('key', 1, { ttl: 5 });
  await expired(cache, 'key');
  t.is(await cache.get('key'), 1);
  t.is(await cache.get('key'), 1);
  t.is(await cache.size(), 1);
});

each('without noDeleteOnStaleGet a read removes a stale entry', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1, { ttl: 5 });
  await expired(cache, 'key');
  t.is(await cache.size(), 1, 'present until it is read, as in lru-cache');
  t.is(await cache.get('key'), undefined);
  t.is(await cache.size(), 0);
});

each('updateAgeOnGet restarts the time to live at every get', async (t, { open }) => {
  const cache = await open({ updateAgeOnGet: true });
  await cache.set('key', 1, { ttl: LONG });
  await until('some age', async () => (await cache.getRemainingTTL('key')) < LONG - 20);
  const before = await cache.getRemainingTTL('key');
  await cache.has('key');
  t.true((await cache.getRemainingTTL('key')) <= before, 'has does not');
  await cache.get('key');
  t.true((await cache.getRemainingTTL('key')) > before);
});

each('updateAgeOnHas restarts the time to live at every has', async (t, { open }) => {
  const cache = await open({ updateAgeOnHas: true });
  await cache.set('key', 1, { ttl: LONG });
  await until('some age', async () => (await cache.getRemainingTTL('key')) < LONG - 20);
  const before = await cache.getRemainingTTL('key');
  await cache.get('key');
  t.true((await cache.getRemainingTTL('key')) <= before, 'get does not');
  await cache.has('key');
  t.true((await cache.getRemainingTTL('key')) > before);
});

each('ttlAutopurge removes entries when they expire, whether they are read or not', async (t, { open }) => {
  const cache = await open({ ttlAutopurge: true });
  await cache.mSet(
    [
      ['a', 1],
      ['b', 2],
    ],
    { ttl: 20 },
  );
  await cache.set('stays', 3);
  await until('autopurge', async () => (await cache.size()) === 1);
  t.is((await cache.stats()).expirations, 2);
  t.deepEqual(await cache.keys(), ['stays']);
});

each('purgeStale removes stale entries and resolves whether there were any', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(
    [
      ['a', 1],
      ['b', 2],
    ],
    { ttl: 5 },
  );
  await cache.set('stays', 3);
  await expired(cache, 'a');
  await expired(cache, 'b');
  t.is(await cache.size(), 3);
  t.is(await cache.purgeStale(), true);
  t.is(await cache.size(), 1);
  t.is(await cache.purgeStale(), false);
});

each('the remaining time decreases', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1, { ttl: LONG });
  const first = await cache.getRemainingTTL('key');
  await until('less time left', async () => (await cache.getRemainingTTL('key')) < first);
  t.pass();
});

each('expiresAt ends entries of every method that takes it, and a past one ends them at once', async (t, { open }) => {
  const cache = await open({ ttl: 5 * LONG });
  const [soon, past] = [{ expiresAt: Date.now() + LONG }, { expiresAt: Date.now() - 1 }];
  await cache.setIfAbsent('a', 1, soon);
  await cache.mSet([['b', 1]], soon);
  await cache.mSet([['c', 1, soon]], past);
  await cache.set('d', 1);
  t.is(await cache.touch('d', soon), true);
  for (const key of ['a', 'b', 'c', 'd']) {
    await cache.touch(key);
    const remaining = await cache.getRemainingTTL(key);
    t.true(remaining > LONG / 2 && remaining <= LONG, `${key}: ${remaining}`);
  }
  t.is(await cache.mSet([['b', 2]], past), 0);
  t.is(await cache.setIfAbsent('e', 1, past), false);
  t.is(await cache.touch('d', past), true);
  t.deepEqual((await cache.keys()).sort(), ['a', 'c']);
});

each('an end that is too far away is refused', async (t, { open }) => {
  const cache = await open();
  for (const store of [
    () => cache.set('key', 1, { expiresAt: 1e300 }),
    () => cache.setIfAbsent('key', 1, { expiresAt: 1e300 }),
    () => cache.mSet([['key', 1]], { expiresAt: 1e300 }),
    () => cache.touch('key', { expiresAt: 1e300 }),
  ]) {
    await failsWith(t, store, 'ERR_CC_INVALID_OPTION', /expiresAt/);
  }
});
