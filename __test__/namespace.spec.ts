import test from 'ava';
import { ClusteredCache } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { unique } from './helpers/names.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

/** Each option that belongs to the namespace, with two values that conflict. */
const CONFLICTS = [
  ['max', 10, 11],
  ['maxSize', 1_000, 2_000],
  ['maxEntrySize', 100, 200],
  ['ttl', 5_000, 6_000],
  ['allowStale', true, false],
  ['updateAgeOnGet', true, false],
  ['updateAgeOnHas', true, false],
  ['noDeleteOnStaleGet', true, false],
  ['ttlAutopurge', true, false],
  ['cacheNull', true, false],
] as const;

each('namespaces do not see each other', async (t, { open }) => {
  const caches = await Promise.all(Array.from({ length: 100 }, () => open()));
  await Promise.all(caches.map((cache, index) => cache.set('key', index)));
  for (const [index, cache] of caches.entries()) {
    t.is(await cache.get('key'), index);
    t.is(await cache.size(), 1);
  }
  await caches[0]!.clear();
  t.is(await caches[1]!.get('key'), 1);
});

each('namespaces with any kind of names are separate', async (t, { open }) => {
  const prefix = unique();
  const names = [`${prefix}/a`, `${prefix}/b`, `${prefix} `, `${prefix}é`, `${prefix}🔑`, 'n'.repeat(256)];
  for (const [index, namespace] of names.entries()) await (await open({ namespace })).set('key', index);
  for (const [index, namespace] of names.entries()) t.is(await (await open({ namespace })).get('key'), index);
});

for (const [option, first, second] of CONFLICTS) {
  each(`a different ${option} conflicts, the same or none does not`, async (t, { open, options }) => {
    const { namespace } = await open({ [option]: first });
    const error = await failsWith(
      t,
      async () => {
        const cache = new ClusteredCache(options({ namespace: namespace!, [option]: second }));
        await cache.ready;
      },
      'ERR_CC_OPTIONS_CONFLICT',
    );
    t.true(error.message.includes(option), error.message);
    t.true(error.message.includes(String(first)) && error.message.includes(String(second)), error.message);
    t.true(error.message.includes(namespace), error.message);
    const again = await open({ namespace, [option]: first });
    const silent = await open({ namespace });
    await again.set('key', 1);
    t.is(await silent.get('key'), 1);
  });
}

each('a conflict lists exactly the options that differ', async (t, { open, options }) => {
  const { namespace } = await open({ max: 5, ttl: 1_000, allowStale: true, maxSize: 500 });
  const error = await failsWith(
    t,
    async () => {
      await new ClusteredCache(options({ namespace, max: 6, ttl: 2_000, allowStale: true })).ready;
    },
    'ERR_CC_OPTIONS_CONFLICT',
  );
  for (const named of ['max', '5', '6', 'ttl', '1000', '2000']) t.true(error.message.includes(named), error.message);
  for (const unnamed of ['allowStale', 'maxSize']) t.false(error.message.includes(unnamed), error.message);
});

each('an instance with conflicting options rejects every call with that error', async (t, { open, options }) => {
  const { namespace } = await open({ max: 5 });
  let cache: ClusteredCache;
  try {
    cache = new ClusteredCache(options({ namespace, max: 6 }));
  } catch (error) {
    t.is((error as { code?: string }).code, 'ERR_CC_OPTIONS_CONFLICT', 'a host may refuse at once');
    return;
  }
  await failsWith(t, cache.get('key'), 'ERR_CC_OPTIONS_CONFLICT');
  await failsWith(t, cache.set('key', 1), 'ERR_CC_OPTIONS_CONFLICT');
  await cache.close();
});

each('options that belong to the instance never conflict', async (t, { open }) => {
  const { namespace } = await open({ timeout: 500, failsafe: 'reject' });
  const other = await open({ namespace, timeout: 900, failsafe: 'resolve' });
  t.is(await other.set('key', 1), true);
});

each('an option not given so far is taken from the first instance that gives it', async (t, { open, options }) => {
  const first = await open();
  await first.mSet([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
  const second = await open({ namespace: first.namespace, max: 2 });
  await second.set('d', 4);
  t.is(await first.size(), 2);
  await failsWith(
    t,
    async () => {
      await new ClusteredCache(options({ namespace: first.namespace, max: 3 })).ready;
    },
    'ERR_CC_OPTIONS_CONFLICT',
  );
});

each('getInstance resolves to an open cache and rejects on conflict', async (t, { options }) => {
  const given = options({ max: 5 });
  const cache = await ClusteredCache.getInstance<string, number>(given);
  await cache.set('key', 1);
  await failsWith(t, ClusteredCache.getInstance({ ...given, max: 6 }), 'ERR_CC_OPTIONS_CONFLICT');
  t.is(await cache.get('key'), 1);
  await cache.close();
});

each("destroy drops the namespace; later use creates it again with this instance's options", async (t, { open }) => {
  const cache = await open({ max: 2 });
  const other = await open({ namespace: cache.namespace, ttl: 600_000 });
  await cache.mSet([
    ['a', 1],
    ['b', 2],
  ]);
  t.is(await cache.destroy(), true);
  t.is(await cache.destroy(), false, 'there is nothing in it any more');
  t.is(await cache.get('a'), undefined);
  t.is(await other.get('b'), undefined);
  t.is((await cache.stats()).sets, 0);
  await cache.mSet([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
  t.is(await cache.size(), 2, 'its own max is in force again');
});

each('a destroyed namespace may be opened with other options', async (t, { open }) => {
  const cache = await open({ max: 2 });
  await cache.destroy();
  await cache.close();
  const again = await open({ namespace: cache.namespace, max: 3 });
  t.is(await again.max(), 3);
});

test('host: getAllCaches returns every open namespace by name', async (t) => {
  const [first, second] = [unique(), unique()];
  const caches = [new ClusteredCache({ namespace: first }), new ClusteredCache({ namespace: second })];
  await caches[0]!.set('key', 1);
  const all = ClusteredCache.getAllCaches();
  t.true(all instanceof Map);
  t.true(all.get(first) instanceof ClusteredCache);
  t.is(await all.get(first)!.get('key'), 1);
  t.true(all.has(second));
  await Promise.all(caches.map((cache) => cache.close()));
});
