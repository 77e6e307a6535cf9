import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

each('loading a dump restores order, remaining times and sizes', async (t, { open }) => {
  const [from, to] = [await open(), await open()];
  await from.mSet([
    ['a', { n: 1 }],
    [2, 'two', { ttl: 600_000 }],
    ['c', 3n, { size: 9 }],
  ]);
  await from.get('a');
  const dump = await from.dump();
  t.is(await to.load(dump), 3);
  t.deepEqual(await to.entries(), [
    ['a', { n: 1 }],
    ['c', 3n],
    [2, 'two'],
  ]);
  const remaining = await to.getRemainingTTL(2);
  t.true(remaining > 500_000 && remaining <= 600_000, String(remaining));
  t.is(await to.getRemainingTTL('a'), Infinity);
  t.is((await to.info('c'))?.size, 9);
});

each('a dump survives structured clone and, without binary values, JSON', async (t, { open }) => {
  const [from, cloned, parsed] = [await open(), await open(), await open()];
  await from.mSet([
    ['a', { n: [1, 'two', null] }],
    ['b', 'text', { ttl: 600_000 }],
    [3, 4.5],
  ]);
  const dump = await from.dump();
  t.is(await cloned.load(structuredClone(dump)), 3);
  t.is(await parsed.load(JSON.parse(JSON.stringify(dump))), 3);
  t.deepEqual(await cloned.entries(), await from.entries());
  t.deepEqual(await parsed.entries(), await from.entries());
  t.true((await parsed.getRemainingTTL('b')) <= 600_000);
  t.is(await parsed.getRemainingTTL('a'), Infinity, 'no end survives JSON, which has no Infinity');
});

each('the dump of an empty cache is empty', async (t, { open }) => {
  const cache = await open();
  const dump = await cache.dump();
  t.is(await cache.load(dump), 0);
  t.is(await cache.load([]), 0);
});

each('stale entries are not dumped', async (t, { open }) => {
  const [from, to] = [await open(), await open()];
  await from.set('stale', 1, { ttl: 5 });
  await from.set('fresh', 2);
  await until('expiry', async () => (await from.getRemainingTTL('stale')) === 0);
  await to.load(await from.dump());
  t.deepEqual(await to.keys(), ['fresh']);
});

each('the most recently used entries survive when not all fit', async (t, { open }) => {
  const [from, to] = [await open(), await open({ max: 2 })];
  await from.mSet([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
  await to.load(await from.dump());
  t.deepEqual(await to.keys(), ['c', 'b']);
});

each('thousands of entries are dumped and loaded', async (t, { open }) => {
  const [from, to] = [await open(), await open()];
  await from.mSet(Array.from({ length: 20_000 }, (_, index): [number, string] => [index, 'x'.repeat(300)]));
  t.is(await to.load(await from.dump()), 20_000);
  t.deepEqual(await to.keys(), await from.keys());
});

each('an invalid dump is refused and nothing is stored', async (t, { open }) => {
  const cache = await open();
  for (const bad of ['dump', 5, {}, [5], ['ab'], [[]], [{}]]) {
    const error = await failsWith(t, () => cache.load(bad as never), 'ERR_CC_INVALID_ARGUMENT');
    t.true(error instanceof TypeError);
  }
  t.is(await cache.size(), 0);
});
