import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { TRANSPORT } from './helpers/transport.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

each('a value that was set is read back until it is deleted', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.get('key'), undefined);
  t.is(await cache.set('key', 'value'), true);
  t.is(await cache.get('key'), 'value');
  t.is(await cache.delete('key'), true);
  t.is(await cache.get('key'), undefined);
  t.is(await cache.delete('key'), false);
});

each('the last value set wins', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 'first');
  await cache.set('key', { second: true });
  t.deepEqual(await cache.get('key'), { second: true });
  t.is(await cache.size(), 1);
});

each('a write that is not awaited is visible to later reads of the same process', async (t, { open }) => {
  const cache = await open();
  void cache.set('key', 1);
  void cache.set('key', 2);
  const two = cache.get('key');
  void cache.delete('key');
  const none = cache.get('key');
  t.is(await two, 2);
  t.is(await none, undefined);
});

each('has and peek find an entry without counting as a use', async (t, { open }) => {
  const cache = await open({ max: 2 });
  t.is(await cache.has('a'), false);
  t.is(await cache.peek('a'), undefined);
  await cache.set('a', 1);
  await cache.set('b', 2);
  t.is(await cache.has('a'), true);
  t.is(await cache.peek('a'), 1);
  await cache.set('c', 3);
  t.is(await cache.has('a'), false, 'it stayed the least recently used');
});

each('get counts as a use', async (t, { open }) => {
  const cache = await open({ max: 2 });
  await cache.set('a', 1);
  await cache.set('b', 2);
  await cache.get('a');
  await cache.set('c', 3);
  t.is(await cache.has('a'), true);
  t.is(await cache.has('b'), false);
});

each('getAndDelete returns the value to exactly one caller', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', [1, 2, 3]);
  const answers = await Promise.all(Array.from({ length: 20 }, () => cache.getAndDelete('key')));
  t.deepEqual(
    answers.filter((answer) => answer !== undefined),
    [[1, 2, 3]],
  );
  t.is(await cache.has('key'), false);
});

each('setIfAbsent succeeds for exactly one caller', async (t, { open }) => {
  const cache = await open();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => cache.setIfAbsent('key', index)));
  t.deepEqual(answers.filter(Boolean), [true]);
  t.is(await cache.get('key'), answers.indexOf(true));
});

each('setIfAbsent takes a ttl and succeeds again after it has expired', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.setIfAbsent('key', 1, { ttl: 60_000 }), true);
  const remaining = await cache.getRemainingTTL('key');
  t.true(remaining > 0 && remaining <= 60_000, String(remaining));
  await cache.touch('key', { ttl: 1 });
  while (!(await cache.setIfAbsent('key', 2))) t.is((await cache.peek('key')) ?? 1, 1);
  t.is(await cache.get('key'), 2);
});

each('clear removes all entries and resolves to their number', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.clear(), 0);
  await cache.mSet([
    ['a', 1],
    ['b', 2],
    [3, 'three'],
  ]);
  t.is(await cache.clear(), 3);
  t.is(await cache.size(), 0);
  t.is(await cache.calculatedSize(), 0);
});

each('clear with a prefix removes the string keys that begin with it', async (t, { open }) => {
  const cache = await open();
  await cache.mSet([
    ['user:1', 1],
    ['user:2', 2],
    ['users', 3],
    ['order:1', 4],
    [1, 5],
    ['üser:1', 6],
  ]);
  t.is(await cache.clear({ prefix: 'user:' }), 2);
  t.is(await cache.clear({ prefix: 'ü' }), 1);
  t.is(await cache.clear({ prefix: 'absent' }), 0);
  t.deepEqual(await cache.keys(), [1, 'order:1', 'users']);
});

each('a prefix that is empty or undefined is refused where it would mean all entries', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1);
  await failsWith(t, cache.clear({ prefix: undefined }), 'ERR_CC_INVALID_ARGUMENT');
  for (const method of ['clear', 'keys', 'values', 'entries'] as const) {
    await failsWith(t, cache[method]({ prefix: '' }), 'ERR_CC_INVALID_ARGUMENT');
  }
  t.deepEqual(await cache.keys({ prefix: undefined }), ['key'], 'elsewhere it is left out');
});

each('an instance exposes its namespace, role and transport', async (t, { open, role }) => {
  const cache = await open({ namespace: `told-${role}` });
  t.is(cache.namespace, `told-${role}`);
  t.is(cache.role, role);
  t.is(cache.transport, role === 'host' ? 'direct' : TRANSPORT);
  t.is(await cache.ready, await cache.ready, 'ready may be awaited again');
});

each('size counts entries and calculatedSize the bytes they take', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 'x'.repeat(1000));
  t.is(await cache.size(), 1);
  const bytes = await cache.calculatedSize();
  t.true(bytes > 1000 && bytes < 1100, String(bytes));
  await cache.set('key', 'x');
  t.true((await cache.calculatedSize()) < bytes);
});

each('info reports remaining time, size and age', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.info('key'), undefined);
  const before = Date.now();
  await cache.set('key', 'value', { ttl: 60_000, size: 7 });
  const info = await cache.info('key');
  t.is(info?.size, 7);
  t.true(info !== undefined && info.remainingTTL > 50_000 && info.remainingTTL <= 60_000);
  t.true(info?.created !== undefined && Math.abs(info.created - before) < 10_000);
  await cache.set('forever', 1);
  t.is((await cache.info('forever'))?.remainingTTL, Infinity);
});

each('all instances of one namespace share one cache', async (t, { open }) => {
  const first = await open({ namespace: 'shared-by-instances' });
  const second = await open({ namespace: 'shared-by-instances' });
  await first.set('key', 'from the first');
  t.is(await second.get('key'), 'from the first');
  await first.close();
  t.is(await second.get('key'), 'from the first', 'closing one leaves the other');
});

test('host: the synchronous methods answer like the asynchronous ones', async (t) => {
  const { ClusteredCache } = await import('../index.js');
  const cache = new ClusteredCache<string, any>({ namespace: 'sync-family' });
  t.is(cache.getSync('key'), undefined);
  t.is(cache.setSync('key', { a: 1 }), true);
  t.deepEqual(cache.getSync('key'), { a: 1 });
  t.deepEqual(cache.peekSync('key'), { a: 1 });
  t.is(cache.hasSync('key'), true);
  t.deepEqual(await cache.get('key'), { a: 1 });
  t.is(cache.incrSync('counter', 2), 2);
  t.is(await cache.incr('counter'), 3);
  t.is(cache.deleteSync('key'), true);
  t.is(cache.hasSync('key'), false);
  await cache.close();
});

each('set with ifPresent stores only over a fresh entry', async (t, { open }) => {
  const cache = await open({ allowStale: true });
  t.is(await cache.set('key', 1, { ifPresent: true }), false);
  t.is(await cache.has('key'), false);
  await cache.set('key', 1, { ttl: 5 });
  await until('expiry', async () => (await cache.getRemainingTTL('key')) === 0);
  t.is(await cache.set('key', 2, { ifPresent: true }), false, 'what has expired counts as absent');
  await cache.set('key', 3);
  t.is(await cache.set('key', 4, { ifPresent: true, ttl: 60_000 }), true);
  t.is(await cache.get('key'), 4);
  t.is(await cache.getAndSet('key', 5, { ifPresent: true }), 4);
  t.is(await cache.getAndSet('other', 5, { ifPresent: true }), undefined);
  t.is(await cache.has('other'), false);
});
