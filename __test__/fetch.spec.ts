import { getEventListeners } from 'node:events';
import test from 'ava';
import type { RemoteError } from './helpers/agents.ts';
import { failsWith } from './helpers/errors.ts';
import { type AnyCache, rolesOf } from './helpers/roles.ts';
import { deferred, until, within } from './helpers/wait.ts';

const each = rolesOf(test);

/** Waits until `count` fetches wait for another caller's load. */
const waiting = (cache: AnyCache, count: number) =>
  until(`${count} waiters`, async () => (await cache.stats()).fetches.waits >= count);
const leading = (cache: AnyCache, count = 1) =>
  until(`${count} leaders`, async () => (await cache.stats()).fetches.leads >= count);

each('a miss is loaded and stored, a hit is not loaded', async (t, { open }) => {
  const cache = await open();
  let loads = 0;
  const fetcher = async (key: string | number, { signal }: { signal: AbortSignal }) => {
    loads += 1;
    t.is(key, 'key');
    t.true(signal instanceof AbortSignal);
    t.false(signal.aborted);
    return { loaded: loads };
  };
  t.deepEqual(await cache.fetch('key', fetcher), { loaded: 1 });
  t.deepEqual(await cache.fetch('key', fetcher), { loaded: 1 });
  t.deepEqual(await cache.get('key'), { loaded: 1 });
  t.is(loads, 1);
});

each('a fetcher may be synchronous', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.fetch('key', () => 'now'), 'now');
  const failure = new Error('at once');
  const error = await t.throwsAsync(
    cache.fetch('other', () => {
      throw failure;
    }),
  );
  t.is(error, failure);
});

each('concurrent callers share one load', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<string>();
  let loads = 0;
  const answers = Array.from({ length: 50 }, () =>
    cache.fetch('key', () => {
      loads += 1;
      return gate.promise;
    }),
  );
  await waiting(cache, 49);
  gate.resolve('value');
  t.deepEqual(new Set(await Promise.all(answers)), new Set(['value']));
  t.is(loads, 1);
});

each('each caller gets a copy of its own', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<{ list: number[] }>();
  const answers = [1, 2, 3].map(() => cache.fetch('key', () => gate.promise) as Promise<{ list: number[] }>);
  await waiting(cache, 2);
  gate.resolve({ list: [1] });
  const [first, second, third] = await Promise.all(answers);
  first!.list.push(2);
  second!.list.push(3);
  t.deepEqual(third, { list: [1] });
  t.deepEqual(await cache.get('key'), { list: [1] });
});

each('other keys are loaded at the same time', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<number>();
  const slow = cache.fetch('slow', () => gate.promise);
  t.is(await cache.fetch('quick', () => 1), 1);
  t.is(await cache.fetch('outer', () => cache.fetch('inner', () => 2)), 2, 'a fetcher may fetch');
  gate.resolve(3);
  t.is(await slow, 3);
});

each('ttl and size of the call apply to the stored value', async (t, { open }) => {
  const cache = await open();
  await cache.fetch('key', () => 1, { ttl: 600_000, size: 9 });
  const info = await cache.info('key');
  t.is(info?.size, 9);
  t.true(info!.remainingTTL <= 600_000);
});

each('a waiter in another process gets the value loaded in this process', async (t, { open, peer, reach }) => {
  const cache = await open();
  const other = await peer();
  const gate = deferred<unknown>();
  const mine = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const theirs = other.run(
    ({ cache }, options) => cache(options).fetch('key', () => 'must not be loaded'),
    await reach(cache),
  );
  await waiting(cache, 1);
  gate.resolve({ from: 'here', big: 10n });
  t.deepEqual(await theirs, { from: 'here', big: 10n });
  t.deepEqual(await mine, { from: 'here', big: 10n });
});

each('a waiter in this process gets the value loaded in another process', async (t, { open, peer, reach }) => {
  const cache = await open();
  const other = await peer();
  const options = await reach(cache);
  const theirs = other.run(({ cache, state }, options) => {
    return cache(options).fetch('key', () => new Promise((resolve) => (state.resolve = resolve)));
  }, options);
  await until('the load', () => other.run(({ state }) => typeof state.resolve === 'function'));
  const mine = Promise.all([1, 2, 3].map(() => cache.fetch('key', () => t.fail('loaded twice'))));
  await waiting(cache, 3);
  await other.run(({ state }) => state.resolve('theirs'));
  t.deepEqual(await mine, ['theirs', 'theirs', 'theirs']);
  t.is(await theirs, 'theirs');
});

each('each key is loaded once, however many processes fetch it', async (t, { open, peer, reach }) => {
  const cache = await open();
  const other = await peer();
  const load = async ({ cache }: any, options: object) => {
    const target = cache(options);
    await Promise.all(
      Array.from({ length: 300 }, (_, index) =>
        target.fetch(`k${index % 30}`, async (key: string) => {
          await target.incr('loads');
          return `value of ${key}`;
        }),
      ),
    );
  };
  const options = await reach(cache);
  await Promise.all([other.run(load, options), load({ cache: () => cache }, options)]);
  t.is(await cache.get('loads'), 30);
  t.is(await cache.get('k7'), 'value of k7');
});

each('a leader that is killed passes the load to the next waiter at once', async (t, { open, stranger, reach }) => {
  const cache = await open();
  const other = await stranger();
  other
    .run(({ cache }, options) => cache(options).fetch('key', () => new Promise(() => {})), await reach(cache))
    .catch(() => {});
  await leading(cache);
  let loads = 0;
  const fetcher = () => {
    loads += 1;
    return 'taken over';
  };
  const mine = Promise.all([cache.fetch('key', fetcher), cache.fetch('key', fetcher)]);
  await waiting(cache, 2);
  t.is(loads, 0);
  await other.kill();
  t.deepEqual(await within(mine, 'takeover'), ['taken over', 'taken over']);
  t.is(loads, 1);
  t.is((await cache.stats()).fetches.takeovers, 1);
});

each('a fetcher that throws rejects for every caller, and nothing is cached', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<never>();
  const failure = Object.assign(new RangeError('no such record', { cause: new Error('disk') }), { code: 'E_RECORD' });
  const leader = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const waiter = cache.fetch('key', () => t.fail());
  await waiting(cache, 1);
  gate.reject(failure);
  t.is(await t.throwsAsync(leader), failure, 'the leader gets the very error');
  const error = (await t.throwsAsync(waiter)) as typeof failure;
  t.is(error.name, 'RangeError');
  t.is(error.message, 'no such record');
  t.is(error.code, 'E_RECORD');
  t.is(error.stack, failure.stack);
  t.is((error.cause as Error).message, 'disk');
  t.is(await cache.has('key'), false);
  t.is(await cache.fetch('key', () => 'second try'), 'second try');
});

each(
  'an error crosses processes with name, message, code, stack and the cause chain',
  async (t, { open, peer, reach }) => {
    const cache = await open();
    const other = await peer();
    const theirs = other.run(
      ({ cache, state }, options) =>
        cache(options).fetch('key', () => new Promise((_, reject) => (state.reject = reject))),
      await reach(cache),
    );
    await until('the load', () => other.run(({ state }) => typeof state.reject === 'function'));
    const mine = cache.fetch('key', () => t.fail());
    await waiting(cache, 1);
    const stack = await other.run(({ state }) => {
      class LoadError extends Error {
        override name = 'LoadError';
        code = 'E_LOAD';
      }
      const inner = Object.assign(new TypeError('inner'), { code: 'E_INNER' });
      const error = new LoadError('outer', { cause: new Error('middle', { cause: inner }) });
      state.error = error;
      state.reject(error);
      return error.stack;
    });
    const error: any = await t.throwsAsync(mine);
    t.true(error instanceof Error);
    t.deepEqual([error.name, error.message, error.code], ['LoadError', 'outer', 'E_LOAD']);
    t.is(error.stack, stack);
    t.is(error.cause.message, 'middle');
    t.true(error.cause.cause instanceof TypeError);
    t.is(error.cause.cause.code, 'E_INNER');
    const remote = (await t.throwsAsync(theirs)) as RemoteError;
    t.true(remote.classes.includes('LoadError'), 'the leader has the very error');
  },
);

each('a fetcher may throw a value that is not an error', async (t, { open }) => {
  const cache = await open();
  for (const thrown of ['text', 5, null, undefined, { reason: 'object' }]) {
    const gate = deferred<never>();
    const leader = cache
      .fetch('key', () => gate.promise)
      .then(
        () => t.fail(),
        (error: unknown) => error,
      );
    const { waits } = (await cache.stats()).fetches;
    const waiter = cache
      .fetch('key', () => t.fail())
      .then(
        () => t.fail(),
        (error: unknown) => error,
      );
    await waiting(cache, waits + 1);
    gate.reject(thrown);
    t.is(await leader, thrown);
    const answer: any = await waiter;
    t.true(answer instanceof Error || typeof answer === typeof thrown, String(answer));
  }
});

each('an error that cannot be copied still reaches the waiters', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<never>();
  const leader = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const waiter = cache.fetch('key', () => t.fail());
  await waiting(cache, 1);
  const cyclic: any = Object.assign(new Error('with extras'), { request: () => {}, code: 'E_X' });
  cyclic.cause = cyclic;
  gate.reject(cyclic);
  t.is(await t.throwsAsync(leader), cyclic);
  const error: any = await t.throwsAsync(waiter);
  t.deepEqual([error.message, error.code], ['with extras', 'E_X']);
});

each('a leader that overruns its lease loses it to the next waiter', async (t, { open }) => {
  const cache = await open();
  const late = deferred<string>();
  // Called in one turn, so that the second waits long before the lease of the first expires.
  const leader = cache.fetch('key', () => late.promise, { lease: 100 });
  const waiter = cache.fetch('key', () => 'in time');
  t.is(await within(waiter, 'takeover'), 'in time');
  late.resolve('too late');
  t.is(await leader, 'too late', 'the late leader gets what it loaded');
  t.is(await cache.get('key'), 'in time', 'but it is not stored');
  t.is((await cache.stats()).fetches.takeovers, 1);
});

each('forceRefresh loads even if there is a value', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 'old');
  t.is(await cache.fetch('key', () => 'new', { forceRefresh: true }), 'new');
  t.is(await cache.get('key'), 'new');
});

each('later callers without forceRefresh read the old value or join the load', async (t, { open }) => {
  const cache = await open();
  const [first, second] = [deferred<string>(), deferred<string>()];
  const older = cache.fetch('key', () => first.promise);
  await leading(cache, 1);
  const forced = cache.fetch('key', () => second.promise, { forceRefresh: true });
  await leading(cache, 2);
  const joining = cache.fetch('key', () => t.fail());
  await waiting(cache, 1);
  second.resolve('fresh');
  t.is(await joining, 'fresh');
  t.is(await forced, 'fresh');
  first.resolve('stale');
  t.is(await older, 'stale');
  t.is(await cache.get('key'), 'fresh', 'an older load does not overwrite a forced one');
});

each('undefined is returned to every caller and not stored', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<undefined>();
  const leader = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const waiter = cache.fetch('key', () => t.fail());
  await waiting(cache, 1);
  gate.resolve(undefined);
  t.deepEqual([await leader, await waiter], [undefined, undefined]);
  t.is(await cache.has('key'), false);
});

each('null is returned, and stored only with cacheNull', async (t, { open }) => {
  const plain = await open();
  t.is(await plain.fetch('key', () => null), null);
  t.is(await plain.has('key'), false);
  const negative = await open({ cacheNull: true });
  t.is(await negative.fetch('key', () => null), null);
  t.is(await negative.fetch('key', () => t.fail()), null);
});

each('a value over the limit is returned and not stored', async (t, { open }) => {
  const cache = await open({ maxEntrySize: 100 });
  const gate = deferred<string>();
  const leader = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const waiter = cache.fetch('key', () => t.fail());
  await waiting(cache, 1);
  gate.resolve('x'.repeat(500));
  t.deepEqual([await leader, await waiter], ['x'.repeat(500), 'x'.repeat(500)]);
  t.is(await cache.has('key'), false);
});

each('a value over 16 MiB reaches each caller that loads it, and no waiter hangs', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<Buffer>();
  const leader = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const waiter = cache.fetch('key', () => gate.promise);
  await waiting(cache, 1);
  gate.resolve(Buffer.alloc(20 * 2 ** 20, 7));
  for (const answer of await within(Promise.all([leader, waiter]), 'answers')) {
    t.is((answer as Buffer).length, 20 * 2 ** 20);
  }
  t.is(await cache.has('key'), false);
});

each('a value that cannot be copied rejects for every caller', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<unknown>();
  const leader = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const waiter = cache.fetch('key', () => t.fail());
  await waiting(cache, 1);
  gate.resolve(() => {});
  await failsWith(t, leader, 'ERR_CC_DATA_CLONE');
  await failsWith(t, waiter, 'ERR_CC_DATA_CLONE');
  t.is(await cache.fetch('key', () => 'fine'), 'fine');
});

each('a load does not overwrite a key that was set or deleted during the load', async (t, { open }) => {
  const cache = await open();
  const writes: [string, () => Promise<unknown>, unknown][] = [
    ['delete', () => cache.delete('key'), undefined],
    ['clear', () => cache.clear(), undefined],
    ['getAndDelete', () => cache.getAndDelete('key'), undefined],
    ['getAndSet', () => cache.getAndSet('key', 'swapped'), 'swapped'],
    ['set', () => cache.set('key', 'set meanwhile'), 'set meanwhile'],
    ['incr', () => cache.incr('key', 5), 5],
    ['mSet', () => cache.mSet([['key', 'many']]), 'many'],
  ];
  for (const [name, write, left] of writes) {
    await cache.delete('key');
    const gate = deferred<string>();
    const { leads } = (await cache.stats()).fetches;
    const leader = cache.fetch('key', () => gate.promise);
    await leading(cache, leads + 1);
    await write();
    gate.resolve('loaded from before');
    t.is(await leader, 'loaded from before', name);
    t.is(await cache.get('key'), left, name);
  }
});

each('a caller after a delete does not join the load from before it', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<string>();
  const before = cache.fetch('key', () => gate.promise);
  await leading(cache);
  await cache.delete('key');
  t.is(await cache.fetch('key', () => 'after'), 'after');
  gate.resolve('before');
  t.is(await before, 'before');
  t.is(await cache.get('key'), 'after');
});

each('an already aborted signal rejects and loads nothing', async (t, { open }) => {
  const cache = await open();
  const reason = new Error('never mind');
  const error = await t.throwsAsync(cache.fetch('key', () => t.fail(), { signal: AbortSignal.abort(reason) }));
  t.is(error, reason);
});

each('aborting one waiter rejects only that waiter', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<string>();
  const leader = cache.fetch('key', () => gate.promise);
  await leading(cache);
  const controller = new AbortController();
  const [patient, aborted] = [
    cache.fetch('key', () => t.fail()),
    cache.fetch('key', () => t.fail(), { signal: controller.signal }),
  ];
  await waiting(cache, 2);
  const reason = new Error('no longer wanted');
  controller.abort(reason);
  t.is(await t.throwsAsync(aborted), reason);
  gate.resolve('value');
  t.deepEqual([await leader, await patient], ['value', 'value']);
});

each('aborting the leader aborts its fetcher and passes the load on', async (t, { open }) => {
  const cache = await open();
  const controller = new AbortController();
  const seen = deferred<unknown>();
  const leader = cache.fetch(
    'key',
    (_key, { signal }) => new Promise(() => signal.addEventListener('abort', () => seen.resolve(signal.reason))),
    { signal: controller.signal },
  );
  await leading(cache);
  const waiter = cache.fetch('key', () => 'from the waiter');
  await waiting(cache, 1);
  const reason = new Error('the user left');
  controller.abort(reason);
  t.is(await t.throwsAsync(leader), reason);
  t.is(await within(seen.promise, 'abort in the fetcher'), reason);
  t.is(await within(waiter, 'takeover'), 'from the waiter');
});

each('one signal can abort many fetches, without a warning of a leak', async (t, { open }) => {
  const cache = await open();
  const controller = new AbortController();
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => void warnings.push(warning);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  const fetches = Array.from({ length: 30 }, (_, key) =>
    cache.fetch(key, () => new Promise(() => {}), { signal: controller.signal }),
  );
  t.is(getEventListeners(controller.signal, 'abort').length, 1);
  const reason = new Error('enough');
  controller.abort(reason);
  const ends = await Promise.allSettled(fetches);
  t.true(ends.every((end) => end.status === 'rejected' && end.reason === reason));
  await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(
    warnings.filter(({ name }) => name === 'MaxListenersExceededWarning'),
    [],
  );
});

each('a signal has no listeners after the fetch has ended', async (t, { open }) => {
  const cache = await open();
  const controller = new AbortController();
  for (let round = 0; round < 20; round += 1) {
    await cache.fetch(round % 10, () => round, { signal: controller.signal });
  }
  t.is(getEventListeners(controller.signal, 'abort').length, 0);
  controller.abort();
});

each('an expired value is loaded again', async (t, { open }) => {
  const cache = await open();
  let loads = 0;
  await cache.fetch('key', () => (loads += 1), { ttl: 5 });
  await until('a second load', async () => (await cache.fetch('key', () => (loads += 1), { ttl: 5 })) === 2);
  t.is(loads, 2);
});

each.serial('a load may take longer than the timeout of operations', async (t, { open }) => {
  const cache = await open({ timeout: 500 });
  const gate = deferred<string>();
  const leader = cache.fetch('key', () => gate.promise);
  const waiter = cache.fetch('key', () => t.fail());
  await waiting(cache, 1);
  const start = performance.now();
  // Meanwhile other operations continue, well beyond the time after which the wait might have been abandoned.
  await until('the timeout and more', async () => (await cache.set('other', 1)) && performance.now() - start > 1_200);
  gate.resolve('slow');
  t.deepEqual([await leader, await waiter], ['slow', 'slow']);
});

each('the numbers of stats add up', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<number>();
  const answers = [cache.fetch('key', () => gate.promise), cache.fetch('key', () => 0), cache.fetch('key', () => 0)];
  await waiting(cache, 2);
  gate.resolve(1);
  await Promise.all(answers);
  await cache.fetch('key', () => 0);
  const { fetches, hits, misses } = await cache.stats();
  t.deepEqual(fetches, { leads: 1, waits: 2, takeovers: 0 });
  t.deepEqual({ hits, misses }, { hits: 1, misses: 1 }, 'a wait is neither');
});

each('callers that wait for a load load for themselves when the namespace is destroyed', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<string>();
  const led = cache.fetch('key', () => gate.promise);
  const waits = cache.fetch('key', () => 'own');
  await waiting(cache, 1);
  await cache.destroy();
  t.is(await within(waits, 'the own value'), 'own');
  gate.resolve('led');
  t.is(await within(led, 'the value of the leader'), 'led');
  t.false(await cache.has('key'));
});
