// A slow function, run once in the whole cluster for each set of arguments.

import assert from 'node:assert/strict';
import { ClusteredCache, memoize } from 'clustered-cache';

const cache = new ClusteredCache({ namespace: 'exchange-rates' });

let requests = 0;
async function rate(from, to) {
  requests += 1;
  return { from, to, rate: from === to ? 1 : 1.0842, request: requests };
}

const cachedRate = memoize(cache, rate, (from, to) => `${from}/${to}`, { ttl: 60_000 });

// Asked a hundred times at once, and again: the function ran once.
const answers = await Promise.all(Array.from({ length: 100 }, () => cachedRate('EUR', 'USD')));
assert.equal(requests, 1);
assert.deepEqual(answers[99], { from: 'EUR', to: 'USD', rate: 1.0842, request: 1 });
assert.deepEqual(await cachedRate('EUR', 'USD'), answers[0]);
assert.equal(requests, 1);

// Runs the function again, for all callers.
assert.equal((await cachedRate.refresh('EUR', 'USD')).request, 2);
assert.equal((await cachedRate('EUR', 'USD')).request, 2);

// Removes the value: the next caller runs the function.
await cachedRate.forget('EUR', 'USD');
assert.equal((await cachedRate('EUR', 'USD')).request, 3);

// An error reaches every caller and is not cached.
const failing = memoize(
  cache,
  async () => assert.fail('no connection'),
  () => 'failing',
);
await assert.rejects(failing(), /no connection/);
assert.equal(await cache.has('failing'), false);

console.log(`102 answers and ${requests} requests`);
await cache.close();
