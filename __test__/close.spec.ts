import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { deferred, until, within } from './helpers/wait.ts';

const each = rolesOf(test);

each('closing twice is fine', async (t, { open }) => {
  const cache = await open();
  await cache.close();
  await t.notThrowsAsync(cache.close());
  await t.notThrowsAsync(Promise.all([cache.close(), cache.close()]));
});

each('every method rejects after close', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', 1);
  await cache.close();
  const calls: (() => unknown)[] = [
    () => cache.get('key'),
    () => cache.set('key', 1),
    () => cache.setIfAbsent('key', 1),
    () => cache.delete('key'),
    () => cache.has('key'),
    () => cache.peek('key'),
    () => cache.clear(),
    () => cache.mGet(['key']),
    () => cache.mSet([['key', 1]]),
    () => cache.mHas(['key']),
    () => cache.mDelete(['key']),
    () => cache.getAndDelete('key'),
    () => cache.getAndSet('key', 1),
    () => cache.keys(),
    () => cache.values(),
    () => cache.entries(),
    () => cache[Symbol.asyncIterator]().next(),
    () => cache.size(),
    () => cache.calculatedSize(),
    () => cache.incr('key'),
    () => cache.decr('key'),
    () => cache.count('key'),
    () => cache.info('key'),
    () => cache.getRemainingTTL('key'),
    () => cache.touch('key'),
    () => cache.purgeStale(),
    () => cache.dump(),
    () => cache.load([]),
    () => cache.fetch('key', () => t.fail()),
    () => cache.healthCheck(),
    () => cache.stats(),
    () => cache.destroy(),
    () => cache.max(),
    () => cache.ttl(5),
    () => cache.getSync('key'),
    () => cache.peekSync('key'),
    () => cache.hasSync('key'),
    () => cache.setSync('key', 1),
  ];
  for (const call of calls) {
    const error = await failsWith(t, call, 'ERR_CC_CLOSED');
    t.regex(error.message, /closed/, call.toString());
  }
});

each('closing one instance does not affect other instances or the data', async (t, { open }) => {
  const first = await open();
  const second = await open({ namespace: first.namespace });
  await first.set('key', 1);
  await first.close();
  t.is(await second.get('key'), 1);
  const third = await open({ namespace: first.namespace });
  t.is(await third.get('key'), 1);
});

each('a cache may be closed and opened again many times', async (t, { open }) => {
  const { namespace } = await open();
  for (let round = 1; round <= 50; round += 1) {
    const cache = await open({ namespace });
    t.is(await cache.incr('n'), round);
    await cache.close();
  }
});

each('calls in flight when the cache is closed are settled', async (t, { open }) => {
  const cache = await open();
  const calls = Array.from({ length: 100 }, (_, index) => cache.set(index, index));
  const closed = cache.close();
  const outcomes = await within(Promise.allSettled(calls), 'outcomes');
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') t.is((outcome.reason as { code?: string }).code, 'ERR_CC_CLOSED');
    else t.is(outcome.value, true);
  }
  await closed;
});

each(
  'closing an instance right after a fetch gives its lease up, and the caller gets its value',
  async (t, { open }) => {
    const cache = await open();
    const other = await open({ namespace: cache.namespace });
    const own = cache.fetch('key', () => 'own');
    await cache.close();
    t.is(await within(own, 'the own value'), 'own');
    t.is(
      await within(
        other.fetch('other', () => 'next'),
        'another load',
      ),
      'next',
    );
    t.true(
      ['own', 'next'].includes(
        (await within(
          other.fetch('key', () => 'next'),
          'a value',
        )) as string,
      ),
    );
  },
);

each('closing an instance whose fetch is aborted gives its lease up', async (t, { open }) => {
  const cache = await open();
  const other = await open({ namespace: cache.namespace });
  const abort = new AbortController();
  const own = cache.fetch('key', () => new Promise<string>(() => {}), { signal: abort.signal });
  abort.abort();
  await Promise.all([t.throwsAsync(own, { any: true }), cache.close()]);
  t.is(
    await within(
      other.fetch('key', () => 'next'),
      'a value',
    ),
    'next',
  );
});

each('an instance that is closed while it waits loads for itself, and is given no lease', async (t, { open }) => {
  const leader = await open();
  const waiter = await open({ namespace: leader.namespace });
  const abort = new AbortController();
  const led = leader.fetch('key', () => new Promise<string>(() => {}), { signal: abort.signal });
  const waits = waiter.fetch('key', () => 'taken over');
  await until('a waiter', async () => (await leader.stats()).fetches.waits >= 1);
  await waiter.close();
  t.is(await within(waits, 'the own value'), 'taken over');
  abort.abort();
  await t.throwsAsync(led, { any: true });
  t.is(
    await within(
      leader.fetch('key', () => 'next'),
      'a value',
    ),
    'next',
  );
});

each('closing an instance that is loading passes the load on to the next waiter', async (t, { open }) => {
  const leader = await open();
  const waiter = await open({ namespace: leader.namespace });
  const gate = deferred<string>();
  const started = deferred();
  const loading = leader.fetch('key', () => {
    started.resolve();
    return gate.promise;
  });
  loading.catch(() => {});
  await started.promise;
  const waiting = waiter.fetch('key', () => 'from the waiter');
  await leader.close();
  gate.resolve('from the leader');
  const answer = await within(waiting, 'an answer');
  t.true(['from the waiter', 'from the leader'].includes(answer as string), String(answer));
});

each('closing during an iteration ends the iteration with an error', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(Array.from({ length: 10_000 }, (_, index): [number, number] => [index, index]));
  await failsWith(
    t,
    async () => {
      for await (const _ of cache) await cache.close();
    },
    'ERR_CC_CLOSED',
  );
});
