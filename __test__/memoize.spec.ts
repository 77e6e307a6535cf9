import test from 'ava';
import { memoize } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { deferred } from './helpers/wait.ts';

const each = rolesOf(test);

const keyOf = (a: number, b: string) => `${a}:${b}`;

each('a memoized function runs once for each key', async (t, { open }) => {
  const cache = await open();
  const calls: [number, string][] = [];
  const join = memoize(
    cache,
    async (a: number, b: string) => {
      calls.push([a, b]);
      return { joined: `${a}${b}` };
    },
    keyOf,
  );
  t.deepEqual(await join(1, 'x'), { joined: '1x' });
  t.deepEqual(await join(1, 'x'), { joined: '1x' });
  t.deepEqual(await join(2, 'x'), { joined: '2x' });
  t.deepEqual(calls, [
    [1, 'x'],
    [2, 'x'],
  ]);
  t.deepEqual(await cache.get('1:x'), { joined: '1x' });
});

each('concurrent calls share one run', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<number>();
  let runs = 0;
  const slow = memoize(
    cache,
    () => {
      runs += 1;
      return gate.promise;
    },
    () => 'slow',
  );
  const answers = [slow(), slow(), slow()];
  gate.resolve(7);
  t.deepEqual(await Promise.all(answers), [7, 7, 7]);
  t.is(runs, 1);
});

each('refresh runs the function again, forget removes the value', async (t, { open }) => {
  const cache = await open();
  let runs = 0;
  const next = memoize(
    cache,
    (_name: string) => (runs += 1),
    (name) => name,
  );
  t.is(await next('a'), 1);
  t.is(await next.refresh('a'), 2);
  t.is(await next('a'), 2);
  t.is(await next.forget('a'), true);
  t.is(await next.forget('a'), false);
  t.is(await next('a'), 3);
});

each('options are those of fetch', async (t, { open }) => {
  const cache = await open();
  const value = memoize(
    cache,
    () => 1,
    () => 'key',
    { ttl: 600_000, size: 3 },
  );
  await value();
  const info = await cache.info('key');
  t.is(info?.size, 3);
  t.true(info!.remainingTTL <= 600_000);
});

each('an error of the function is not cached', async (t, { open }) => {
  const cache = await open();
  const failure = new Error('first time');
  let runs = 0;
  const flaky = memoize(
    cache,
    () => {
      runs += 1;
      if (runs === 1) throw failure;
      return runs;
    },
    () => 'key',
  );
  t.is(await t.throwsAsync(flaky()), failure);
  t.is(await flaky(), 2);
});

each('an error of keyFn or an invalid key rejects without running the function', async (t, { open }) => {
  const cache = await open();
  const failure = new Error('no key');
  const keyless = memoize(
    cache,
    () => t.fail(),
    () => {
      throw failure;
    },
  );
  t.is(await t.throwsAsync(async () => keyless()), failure);
  const badKey = memoize(
    cache,
    () => t.fail(),
    () => ({}) as never,
  );
  await failsWith(t, async () => badKey(), 'ERR_CC_INVALID_KEY');
});

each('arguments that are not functions or a cache are refused', async (t, { open }) => {
  const cache = await open();
  await failsWith(t, () => memoize(cache, 5 as never, () => 'key'), 'ERR_CC_INVALID_ARGUMENT');
  await failsWith(t, () => memoize(cache, () => 1, 'key' as never), 'ERR_CC_INVALID_ARGUMENT');
  await failsWith(
    t,
    () =>
      memoize(
        {} as never,
        () => 1,
        () => 'key',
      ),
    'ERR_CC_INVALID_ARGUMENT',
  );
});

each('the function and the key function get the `this` of the call', async (t, { open }) => {
  const cache = await open();
  class Repository {
    constructor(readonly prefix: string) {}

    find = memoize(
      cache,
      function (this: Repository, id: number) {
        return `${this.prefix}${id}`;
      },
      function (id) {
        return `${this.prefix}:${id}`;
      },
    );
  }
  const one = new Repository('one');
  t.is(await one.find(1), 'one1');
  t.is(await cache.get('one:1'), 'one1');
  t.is(await one.find.refresh.call(one, 1), 'one1');
  t.is(await one.find.forget.call(one, 1), true);
});

each('without a `this` of their own, refresh and forget give none to the function', async (t, { open }) => {
  const cache = await open();
  const seen: unknown[] = [];
  const next = memoize(
    cache,
    function (this: unknown) {
      seen.push(this);
      return 1;
    },
    function (this: unknown) {
      seen.push(this);
      return 'key';
    },
  );
  await next.refresh();
  await next.forget();
  t.deepEqual(seen, [undefined, undefined, undefined]);
});
