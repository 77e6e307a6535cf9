// Loads in processes that have no host.
import path from 'node:path';
import os from 'node:os';
import test, { type ExecutionContext } from 'ava';
import { ClusteredCache } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { unique } from './helpers/names.ts';
import { deferred } from './helpers/wait.ts';

/** Instances of one namespace whose host is never there. */
function withoutHost(t: ExecutionContext): () => ClusteredCache<string | number, any> {
  const endpoint = path.join(os.tmpdir(), unique('absent'));
  const namespace = unique();
  return () => {
    const cache = new ClusteredCache<string | number, any>({ endpoint, namespace, timeout: 50 });
    t.teardown(() => cache.close());
    return cache;
  };
}

test('without a host, callers that fetch one key in a process share one load', async (t) => {
  const open = withoutHost(t);
  const caches = [open(), open()];
  await t.throwsAsync(caches[0]!.ready);
  const gate = deferred<object>();
  let loads = 0;
  const load = () => {
    loads += 1;
    return gate.promise;
  };
  const callers = Array.from({ length: 10 }, (_, index) => caches[index % 2]!.fetch('key', load));
  const other = caches[0]!.fetch('other', load);
  const number = caches[0]!.fetch(1, load);
  const text = caches[0]!.fetch('1', load);
  await new Promise((resolve) => setImmediate(resolve));
  gate.resolve({ list: [1] });
  const values = await Promise.all(callers);
  for (const value of values) t.deepEqual(value, { list: [1] });
  t.is(new Set(values).size, 10, 'each has a value of its own');
  await Promise.all([other, number, text]);
  t.is(loads, 4);
  await caches[0]!.fetch('key', load);
  t.is(loads, 5, 'nothing is kept');
});

test('without a host, an error of the fetcher goes to all callers that share it', async (t) => {
  const cache = withoutHost(t)();
  await t.throwsAsync(cache.ready);
  const failure = new Error('no');
  const gate = deferred<never>();
  const callers = [1, 2, 3].map(() => cache.fetch('key', () => gate.promise));
  await new Promise((resolve) => setImmediate(resolve));
  gate.reject(failure);
  for (const outcome of await Promise.allSettled(callers)) t.is((outcome as PromiseRejectedResult).reason, failure);
});

test('without a host, a caller that is aborted leaves the load to the next one', async (t) => {
  const cache = withoutHost(t)();
  await t.throwsAsync(cache.ready);
  const controller = new AbortController();
  const begun = deferred<void>();
  const leader = cache.fetch(
    'key',
    () => {
      begun.resolve();
      return new Promise(() => {});
    },
    { signal: controller.signal },
  );
  await begun.promise;
  const waiter = cache.fetch('key', () => 'of the next');
  const leaving = new AbortController();
  const gone = cache.fetch('key', () => t.fail(), { signal: leaving.signal });
  await new Promise((resolve) => setImmediate(resolve));
  leaving.abort(new Error('left'));
  await t.throwsAsync(gone, { message: 'left' });
  controller.abort(new Error('aborted'));
  await t.throwsAsync(leader, { message: 'aborted' });
  t.is(await waiter, 'of the next');
});

test('without a host, a fetcher that fetches its own key gets an error', async (t) => {
  const cache = withoutHost(t)();
  await t.throwsAsync(cache.ready);
  const fetcher = async (): Promise<unknown> => cache.fetch('key', fetcher);
  await failsWith(t, () => cache.fetch('key', fetcher), 'ERR_CC_RECURSIVE_FETCH');
});
