// Fetchers that fetch their own key.
import test from 'ava';
import { memoize, wrap } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { deferred, until } from './helpers/wait.ts';

const each = rolesOf(test);

each('a fetcher that fetches its own key gets an error that names the key', async (t, { open }) => {
  const cache = await open();
  const fetcher = async (): Promise<unknown> => cache.fetch('key', fetcher);
  const error: any = await failsWith(t, () => cache.fetch('key', fetcher), 'ERR_CC_RECURSIVE_FETCH', /key "key"/);
  t.deepEqual([error.namespace, error.key, error.operation], [cache.namespace, 'key', 'fetch']);
  t.is(await cache.fetch('key', () => 'loaded'), 'loaded', 'the lease is free');
});

each('fetchers that wait for each other get an error', async (t, { open, options }) => {
  const cache = await open();
  const other = await open(options({ namespace: cache.namespace }));
  const a = async (): Promise<unknown> => cache.fetch('b', b);
  const b = async (): Promise<unknown> => {
    await new Promise((resolve) => setImmediate(resolve));
    return other.fetch('a', a);
  };
  await failsWith(t, () => cache.fetch('a', a), 'ERR_CC_RECURSIVE_FETCH', /key "a"/);
});

each('a memoized function that calls itself with the same arguments gets an error', async (t, { open }) => {
  const cache = await open();
  const same: (n: number) => Promise<number> = memoize(
    cache,
    async (n: number) => same(n),
    (n) => `n:${n}`,
  );
  await failsWith(t, () => same(1), 'ERR_CC_RECURSIVE_FETCH');
  const sum: (n: number) => Promise<number> = memoize(
    cache,
    async (n: number) => (n === 0 ? 0 : n + (await sum(n - 1))),
    (n) => `sum:${n}`,
  );
  t.is(await sum(10), 55, 'with other arguments it may');
});

each('a forced load, and a fetch through a view, are recognized', async (t, { open }) => {
  const cache = await open();
  const view = wrap(cache, { encode: (value: unknown) => value, decode: (value) => value });
  await cache.set('key', 1);
  const forced = () =>
    cache.fetch('key', () => view.fetch('key', () => 2, { forceRefresh: true }), { forceRefresh: true });
  await failsWith(t, forced, 'ERR_CC_RECURSIVE_FETCH');
});

each('a fetcher may fetch its own key in another namespace', async (t, { open }) => {
  const [one, two] = [await open(), await open()];
  t.is(await one.fetch('key', () => two.fetch('key', () => 'inner')), 'inner');
});

each('a caller that fetches while the load runs waits for it', async (t, { open }) => {
  const cache = await open();
  const gate = deferred<string>();
  const begun = deferred<void>();
  const leader = cache.fetch('key', () => {
    begun.resolve();
    return gate.promise;
  });
  await begun.promise;
  const waiter = cache.fetch('key', () => 'not called');
  await until('a waiter', async () => (await cache.stats()).fetches.waits >= 1);
  gate.resolve('loaded');
  t.deepEqual(await Promise.all([leader, waiter]), ['loaded', 'loaded']);
});

each('work that a fetcher has begun may fetch the key after the fetcher has settled', async (t, { open }) => {
  const cache = await open();
  const settled = deferred<void>();
  let later!: Promise<unknown>;
  await cache.fetch('key', () => {
    later = settled.promise.then(() => cache.fetch('key', () => 'again', { forceRefresh: true }));
    return 'first';
  });
  // Another fetcher runs meanwhile, so that contexts are looked at.
  const gate = deferred<string>();
  const other = cache.fetch('other', () => gate.promise);
  settled.resolve();
  t.is(await later, 'again');
  gate.resolve('other');
  t.is(await other, 'other');
});
