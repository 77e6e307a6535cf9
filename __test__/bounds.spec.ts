import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

each('max evicts the least recently used entry', async (t, { open }) => {
  const cache = await open({ max: 3 });
  await cache.mSet([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
  await cache.get('a');
  await cache.set('d', 4);
  t.deepEqual(await cache.keys(), ['d', 'a', 'c']);
  await cache.set('c', 5);
  await cache.set('e', 6);
  t.deepEqual(await cache.keys(), ['e', 'c', 'd']);
  t.is((await cache.stats()).evictions, 2);
});

each('max 1 keeps only the last entry', async (t, { open }) => {
  const cache = await open({ max: 1 });
  t.is(
    await cache.mSet([
      ['a', 1],
      ['b', 2],
    ]),
    2,
  );
  t.deepEqual(await cache.entries(), [['b', 2]]);
});

each('maxSize bounds the bytes even when entries are given no size', async (t, { open }) => {
  const cache = await open({ maxSize: 10_000 });
  for (let index = 0; index < 50; index += 1) {
    t.is(await cache.set(`key ${index}`, 'x'.repeat(900)), true);
    t.true((await cache.calculatedSize()) <= 10_000);
  }
  const size = await cache.size();
  t.true(size >= 9 && size <= 11, String(size));
  t.is((await cache.keys())[0], 'key 49');
});

each('an explicit size counts instead of the bytes', async (t, { open }) => {
  const cache = await open({ maxSize: 10 });
  await cache.set('a', 'x'.repeat(500), { size: 4 });
  await cache.set('b', 'y', { size: 5 });
  t.is(await cache.calculatedSize(), 9);
  t.is(await cache.set('c', 'z', { size: 6 }), true);
  t.deepEqual(await cache.keys(), ['c']);
  t.is(await cache.calculatedSize(), 6);
});

each('a large entry evicts as many entries as it needs', async (t, { open }) => {
  const cache = await open({ maxSize: 10 });
  await cache.mSet(
    Array.from({ length: 10 }, (_, index): [number, number] => [index, index]),
    { size: 1 },
  );
  await cache.set('large', 1, { size: 7 });
  t.deepEqual(await cache.keys(), ['large', 9, 8, 7]);
});

each('a value over maxEntrySize is not stored, and the older value is removed', async (t, { open }) => {
  const cache = await open({ maxEntrySize: 1_000 });
  t.is(await cache.set('key', 'small'), true);
  await cache.set('bystander', 1);
  t.is(await cache.set('key', 'x'.repeat(1_001)), false);
  t.is(await cache.get('key'), undefined);
  t.is(await cache.get('bystander'), 1, 'nothing is evicted for what cannot be stored');
  t.is(await cache.setIfAbsent('other', 'x'.repeat(1_001)), false);
  t.is((await cache.stats()).refused, 2);
});

each('maxSize bounds each entry when maxEntrySize is omitted', async (t, { open }) => {
  const cache = await open({ maxSize: 100 });
  t.is(await cache.set('key', 'x'.repeat(101)), false);
  t.is(await cache.set('key', 1, { size: 101 }), false);
  t.is(await cache.set('key', 1, { size: 100 }), true);
});

each('no entry exceeds 16 MiB, whatever the options', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.set('key', Buffer.alloc(16 * 2 ** 20 - 1_024)), true);
  t.is(await cache.set('key', Buffer.alloc(16 * 2 ** 20)), false);
  t.is(await cache.has('key'), false);
  t.is(await cache.set('key', Buffer.alloc(64 * 2 ** 20), { size: 1 }), false);
  t.is(await cache.set('key', 'still alive'), true);
});

each('a value over 16 MiB is refused and counted, however large the bounds are', async (t, { open }) => {
  const cache = await open({ maxSize: 14 * 2 ** 30, maxEntrySize: Number.MAX_SAFE_INTEGER });
  const large = Buffer.alloc(16 * 2 ** 20 + 1);
  await cache.set('present', 1);
  t.is(await cache.setIfAbsent('present', large), false);
  t.is((await cache.stats()).refused, 0, 'refused because there is a value');
  t.is(await cache.setIfAbsent('absent', large), false);
  t.is(await cache.set('present', large, { ttl: 5, size: 1 }), false);
  t.is(
    await cache.mSet([
      ['many', large],
      ['many', 'the later one wins'],
      ['others', 'there before'],
      ['others', large],
    ]),
    2,
  );
  t.deepEqual(await cache.entries(), [['many', 'the later one wins']]);
  const { refused, sets, deletes } = await cache.stats();
  t.deepEqual({ refused, sets, deletes }, { refused: 4, sets: 3, deletes: 0 });
});

each('sizes that are not positive integers are refused', async (t, { open }) => {
  const cache = await open();
  for (const size of [0, -1, 1.5, NaN, Infinity, '1', null]) {
    await failsWith(t, () => cache.set('key', 1, { size: size as never }), 'ERR_CC_INVALID_OPTION', /size/);
  }
  t.is(await cache.has('key'), false);
});
