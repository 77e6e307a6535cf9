import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);

each('incr and decr start at 0 and resolve to the new number', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.incr('n'), 1);
  t.is(await cache.incr('n', 10), 11);
  t.is(await cache.decr('n'), 10);
  t.is(await cache.decr('n', 15), -5);
  t.is(await cache.get('n'), -5);
  t.is(await cache.incr('n', -1), -6);
  t.is(await cache.incr('fraction', 0.25), 0.25);
  t.is(await cache.incr('zero', 0), 0);
});

each('incr adds to a number that was stored with set', async (t, { open }) => {
  const cache = await open();
  await cache.set('n', 41.5);
  t.is(await cache.incr('n', 0.5), 42);
});

each('concurrent increments all count', async (t, { open }) => {
  const cache = await open();
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => cache.incr('n')));
  t.deepEqual(
    answers,
    Array.from({ length: 1_000 }, (_, index) => index + 1),
  );
});

each('ttl applies only when the counter is created, so the window is not extended', async (t, { open }) => {
  const cache = await open();
  await cache.incr('n', 1, { ttl: 600_000 });
  await until('some age', async () => (await cache.getRemainingTTL('n')) < 600_000 - 10);
  const before = await cache.getRemainingTTL('n');
  await cache.incr('n', 1, { ttl: 900_000 });
  t.true((await cache.getRemainingTTL('n')) <= before);
  await cache.decr('n');
  t.true((await cache.getRemainingTTL('n')) <= before);
});

each('an expired counter starts again at 0', async (t, { open }) => {
  const cache = await open();
  await cache.incr('n', 5, { ttl: 5 });
  await until('a new window', async () => (await cache.count('n', 1, { ttl: 600_000 })).created);
  t.is(await cache.get('n'), 1);
});

each("the namespace's ttl applies to counters too", async (t, { open }) => {
  const cache = await open({ ttl: 600_000 });
  await cache.incr('n');
  t.true((await cache.getRemainingTTL('n')) <= 600_000);
});

each('count resolves to the value, the remaining time and whether it created the counter', async (t, { open }) => {
  const cache = await open();
  const first = await cache.count('n', 3, { ttl: 600_000 });
  t.is(first.value, 3);
  t.is(first.created, true);
  t.true(first.remainingTTL > 500_000 && first.remainingTTL <= 600_000);
  const second = await cache.count('n');
  t.is(second.value, 4);
  t.is(second.created, false);
  t.true(second.remainingTTL <= first.remainingTTL);
  t.is((await cache.count('forever')).remainingTTL, Infinity);
});

each('min and max clamp the result', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.decr('n', 5, { min: 0 }), 0);
  t.is(await cache.incr('n', 50, { max: 10 }), 10);
  t.is(await cache.incr('n', 1, { max: 10 }), 10);
  t.is(await cache.decr('n', 3, { min: 0, max: 10 }), 7);
  t.is((await cache.count('n', -100, { min: 1 })).value, 1);
});

each('counting on a value that is not a number fails and leaves the value unchanged', async (t, { open }) => {
  const cache = await open();
  for (const value of ['5', { n: 5 }, true, 5n, new Date(5)]) {
    await cache.set('key', value);
    const error = await failsWith(t, cache.incr('key'), 'ERR_CC_NOT_A_NUMBER');
    t.true(error instanceof TypeError);
    await failsWith(t, cache.count('key'), 'ERR_CC_NOT_A_NUMBER');
    t.deepEqual(await cache.get('key'), value);
  }
});

each('a result that is not finite is refused and leaves the value unchanged', async (t, { open }) => {
  const cache = await open();
  await cache.set('n', Number.MAX_VALUE);
  const error = await failsWith(t, cache.incr('n', Number.MAX_VALUE), 'ERR_CC_OUT_OF_RANGE');
  t.true(error instanceof RangeError);
  t.is(await cache.get('n'), Number.MAX_VALUE);
  await cache.set('n', NaN);
  await failsWith(t, cache.incr('n'), 'ERR_CC_OUT_OF_RANGE');
  t.is(await cache.get('n'), NaN);
});

each('amounts and bounds that are not finite numbers are refused', async (t, { open }) => {
  const cache = await open();
  for (const amount of [NaN, Infinity, '1', null, {}, 1n]) {
    await failsWith(t, () => cache.incr('n', amount as never), 'ERR_CC_INVALID_ARGUMENT');
    await failsWith(t, () => cache.decr('n', amount as never), 'ERR_CC_INVALID_ARGUMENT');
    await failsWith(t, () => cache.count('n', amount as never), 'ERR_CC_INVALID_ARGUMENT');
  }
  await failsWith(t, () => cache.incr('n', 1, { min: NaN }), 'ERR_CC_INVALID_OPTION', /min/);
  await failsWith(t, () => cache.incr('n', 1, { max: '9' as never }), 'ERR_CC_INVALID_OPTION', /max/);
  await failsWith(t, () => cache.incr('n', 1, { min: 5, max: 4 }), 'ERR_CC_INVALID_OPTION', /min/);
  t.is(await cache.has('n'), false);
});

each('counters are entries and count towards the bounds', async (t, { open }) => {
  const cache = await open({ max: 2 });
  await cache.incr('a');
  await cache.incr('b');
  await cache.incr('a');
  await cache.incr('c');
  t.deepEqual(await cache.keys(), ['c', 'a']);
});

each('a counter that was to be there is not created', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.incr('n', 1, { ifPresent: true }), undefined);
  t.is(await cache.decr('n', 1, { ifPresent: true }), undefined);
  t.is(await cache.count('n', 1, { ifPresent: true }), undefined);
  t.is(await cache.has('n'), false);
  await cache.incr('n');
  t.is(await cache.incr('n', 4, { ifPresent: true }), 5);
  t.deepEqual(await cache.count('n', 1, { ifPresent: true }), { value: 6, remainingTTL: Infinity, created: false });
  t.is(await cache.incr('other', 1, { ifPresent: false }), 1);
});

each("a window is judged by the caller's clock where the caller gives it", async (t, { open }) => {
  const cache = await open();
  const at = (now: number) => cache.count('n', 1, { ttl: 60_000, now });
  const noon = Date.UTC(2030, 0, 1, 12);
  t.deepEqual(await at(noon), { value: 1, remainingTTL: 60_000, created: true });
  t.deepEqual(await at(noon + 59_999), { value: 2, remainingTTL: 1, created: false });
  t.deepEqual(await at(noon + 60_000), { value: 1, remainingTTL: 60_000, created: true });
  t.deepEqual(await at(noon), { value: 2, remainingTTL: 60_000, created: false }, 'a clock that was put back');
  t.is((await cache.info('n'))?.created, noon + 60_000);
});

each('an addition that a number cannot hold is refused, and the counter stays', async (t, { open }) => {
  const cache = await open();
  await cache.set('n', 2 ** 53);
  for (const method of ['incr', 'decr', 'count'] as const) {
    await failsWith(t, cache[method]('n', method === 'decr' ? -1 : 1), 'ERR_CC_OUT_OF_RANGE', /does not change/);
  }
  t.is(await cache.get('n'), 2 ** 53);
});
