import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

each('keys, values and entries are returned most recently used first', async (t, { open }) => {
  const cache = await open();
  await cache.mSet([
    ['a', 1],
    ['b', 2],
    [3, 'three'],
  ]);
  await cache.get('a');
  t.deepEqual(await cache.keys(), ['a', 3, 'b']);
  t.deepEqual(await cache.values(), [1, 'three', 2]);
  t.deepEqual(await cache.entries(), [
    ['a', 1],
    [3, 'three'],
    ['b', 2],
  ]);
});

each('iterating is not a use', async (t, { open }) => {
  const cache = await open();
  await cache.mSet([
    ['a', 1],
    ['b', 2],
  ]);
  const before = await cache.keys();
  await cache.entries();
  for await (const _ of cache);
  t.deepEqual(await cache.keys(), before);
  const { hits, misses } = await cache.stats();
  t.deepEqual({ hits, misses }, { hits: 0, misses: 0 });
});

each('a prefix selects string keys', async (t, { open }) => {
  const cache = await open();
  await cache.mSet([
    ['a:1', 1],
    ['a:2', 2],
    ['b:1', 3],
    [1, 4],
  ]);
  t.deepEqual(await cache.keys({ prefix: 'a:' }), ['a:2', 'a:1']);
  t.deepEqual(await cache.values({ prefix: 'b' }), [3]);
  t.deepEqual(await cache.entries({ prefix: 'c' }), []);
});

each('iterating an empty cache returns nothing', async (t, { open }) => {
  const cache = await open();
  t.deepEqual(await cache.keys(), []);
  t.deepEqual(await cache.values(), []);
  t.deepEqual(await cache.entries(), []);
  for await (const entry of cache) t.fail(String(entry));
});

each('for await returns every entry, page by page', async (t, { open }) => {
  const cache = await open();
  const count = 10_000;
  await cache.mSet(Array.from({ length: count }, (_, index): [number, number] => [index, index * 2]));
  let expected = count;
  for await (const [key, value] of cache) {
    expected -= 1;
    if (key !== expected || value !== expected * 2) t.fail(`${key}: ${value}, expected ${expected}`);
  }
  t.is(expected, 0);
});

each('pages of large values are bounded by bytes', async (t, { open }) => {
  const cache = await open();
  for (let index = 0; index < 10; index += 1) await cache.set(index, Buffer.alloc(2 ** 20, index));
  const seen: unknown[] = [];
  for await (const [key, value] of cache) {
    t.is((value as Buffer).length, 2 ** 20);
    t.is((value as Buffer)[0], key as number);
    seen.push(key);
  }
  t.deepEqual(seen, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
});

each('leaving the loop early ends the iteration at the host', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(Array.from({ length: 9_000 }, (_, index): [number, number] => [index, index]));
  // More loops than the iterations that one connection may have open: they would fail if they were not ended.
  for (let round = 0; round < 600; round += 1) {
    for await (const [key] of cache) {
      if (key !== 8_999) t.fail();
      break;
    }
  }
  await t.throwsAsync(
    async () => {
      for await (const _ of cache) throw new Error('out of the body');
    },
    { message: 'out of the body' },
  );
  t.pass();
});

each('an iterator that is done stays done', async (t, { open }) => {
  const cache = await open();
  await cache.set('a', 1);
  const iterator = cache[Symbol.asyncIterator]();
  t.deepEqual(await iterator.next(), { done: false, value: ['a', 1] });
  t.deepEqual(await iterator.next(), { done: true, value: undefined });
  t.deepEqual(await iterator.next(), { done: true, value: undefined });
});

each('deleting and setting during a loop neither repeats entries nor breaks the loop', async (t, { open }) => {
  const cache = await open();
  const count = 9_000;
  await cache.mSet(Array.from({ length: count }, (_, index): [string, number] => [`k${index}`, index]));
  const seen = new Set<unknown>();
  for await (const [key] of cache) {
    t.false(seen.has(key), `${key} came twice`);
    seen.add(key);
    if (seen.size === 10) {
      await cache.mDelete(Array.from({ length: 1_000 }, (_, index) => `k${index}`));
      await cache.set('new', true);
      await cache.get('k4500');
    }
  }
  t.false(seen.has('k0'), 'deleted before its page was read');
  t.true(seen.has('k1000') && seen.has('k4500'));
  t.is(seen.size, count - 1_000);
});

each('several loops over one cache do not disturb each other', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(Array.from({ length: 5_000 }, (_, index): [number, number] => [index, index]));
  const count = async () => {
    let entries = 0;
    for await (const _ of cache) entries += 1;
    return entries;
  };
  t.deepEqual(await Promise.all([count(), count(), count()]), [5_000, 5_000, 5_000]);
});

each('scan goes through a part of the keys, in pages of the size that is asked for', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(Array.from({ length: 50 }, (_, index) => [`${index % 2 === 0 ? 'even' : 'odd'}:${index}`, index]));
  const seen: unknown[] = [];
  for await (const [key, value] of cache.scan({ prefix: 'odd:', page: 4 })) seen.push([key, value]);
  t.deepEqual(seen, await cache.entries({ prefix: 'odd:' }));
  t.is(seen.length, 25);
  const all: unknown[] = [];
  for await (const entry of cache.scan({ page: 1e9 })) all.push(entry);
  t.deepEqual(all, await cache.entries());
  for (const options of [{ page: 0 }, { page: 1.5 }, { pages: 5 }] as never[]) {
    await failsWith(t, cache.scan(options).next(), 'ERR_CC_INVALID_OPTION');
  }
  await failsWith(t, cache.scan({ prefix: '' }).next(), 'ERR_CC_INVALID_ARGUMENT');
});
