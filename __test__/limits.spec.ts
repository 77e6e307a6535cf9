import test from 'ava';
import { ClusteredCache } from '../index.js';
import { Agents } from './helpers/agents.ts';
import { failsWith } from './helpers/errors.ts';
import { unique } from './helpers/names.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

/** These tests check that every call is answered, not how soon. */
const PATIENT = { timeout: 40_000, failsafe: 'reject' } as const;

each('more open iterations than allowed are refused, and ending one makes room', async (t, { open }) => {
  const cache = await open(PATIENT);
  await cache.mSet(Array.from({ length: 9_000 }, (_, index): [number, number] => [index, index]));
  const iterators: AsyncIterator<unknown>[] = [];
  const error = await failsWith(
    t,
    async () => {
      for (;;) {
        const iterator = cache[Symbol.asyncIterator]();
        await iterator.next();
        iterators.push(iterator);
        if (iterators.length > 1_000) return;
      }
    },
    'ERR_CC_LIMIT',
    /256/,
  );
  t.true(error instanceof Error);
  t.is(iterators.length, 256);
  await iterators.pop()!.return!();
  const another = cache[Symbol.asyncIterator]();
  t.false((await another.next()).done);
  await Promise.all([another, ...iterators].map((iterator) => iterator.return!()));
});

each('thousands of calls in flight are all answered', async (t, { open }) => {
  const cache = await open(PATIENT);
  const value = 'x'.repeat(1_000);
  const stored = await Promise.all(Array.from({ length: 20_000 }, (_, index) => cache.set(index, value)));
  t.true(stored.every(Boolean));
  const found = await Promise.all(Array.from({ length: 20_000 }, (_, index) => cache.get(index)));
  t.true(found.every((one) => one === value));
});

each('megabytes in flight in both directions are all answered', async (t, { open }) => {
  const cache = await open(PATIENT);
  const values = Array.from({ length: 40 }, (_, index) => Buffer.alloc(2 ** 20, index));
  await Promise.all(values.map((value, index) => cache.set(index, value)));
  const found = await Promise.all(values.flatMap((_, index) => [cache.get(index), cache.get(index)]));
  t.true(found.every((value, index) => values[Math.floor(index / 2)]!.equals(value as Buffer)));
});

each('a thousand namespaces can be open at once', async (t, { open }) => {
  const prefix = unique();
  const caches = await Promise.all(
    Array.from({ length: 1_000 }, (_, index) => open({ ...PATIENT, namespace: `${prefix} ${index}` })),
  );
  await Promise.all(caches.map((cache, index) => cache.set('key', index)));
  const found = await Promise.all(caches.map((cache) => cache.get('key')));
  t.deepEqual(
    found,
    caches.map((_, index) => index),
  );
});

test('calls to a host that reads nothing fill a bounded backlog, then they are refused', async (t) => {
  const agents = await Agents.start();
  t.teardown(() => agents.close());
  const host = await agents.spawn();
  const endpoint = await host.run(async ({ cc, state }) => {
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint;
  });
  const cache = new ClusteredCache<number, Buffer>({
    namespace: unique(),
    endpoint,
    timeout: 60_000,
    maxSize: 10 * 2 ** 20,
  });
  await cache.ready;
  await host.freeze();
  const value = Buffer.alloc(8 * 2 ** 20);
  const outcomes: Promise<unknown>[] = [];
  const refused = await failsWith(
    t,
    async () => {
      while (outcomes.length < 60) {
        const outcome = cache.set(outcomes.length, value);
        // Refused calls fail before anything is sent; accepted ones stay pending while the host is stopped.
        await Promise.race([outcome, new Promise((resolve) => setImmediate(resolve))]);
        outcomes.push(outcome);
      }
    },
    'ERR_CC_LIMIT',
  );
  t.true(refused instanceof Error);
  t.true(outcomes.length >= 30, `${outcomes.length} were taken`);
  host.resume();
  t.true((await Promise.all(outcomes)).every(Boolean), 'what was taken is carried out');
  await cache.close();
});
