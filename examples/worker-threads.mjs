// Threads of one process share its cache without a socket between them.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isMainThread, threadId, Worker } from 'node:worker_threads';
import { ClusteredCache } from 'clustered-cache';

/** @type {ClusteredCache<string, number>} */
const primes = new ClusteredCache({ namespace: 'primes', max: 1_000 });

/** The largest prime up to `limit`, by trial division: slow on purpose. */
function largestPrime(limit) {
  for (let candidate = limit; ; candidate -= 1) {
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor !== 0) divisor += 1;
    if (divisor * divisor > candidate) return candidate;
  }
}

if (isMainThread) {
  const threads = Array.from({ length: 4 }, () => new Worker(new URL(import.meta.url)));
  await Promise.all(threads.map((thread) => once(thread, 'exit')));

  // Four threads asked for ten numbers each; every number was computed once.
  const computed = await primes.entries({ prefix: 'computed:' });
  assert.equal(computed.length, 10);
  for (const [, times] of computed) assert.equal(times, 1);
  assert.equal(await primes.get('1000000'), 999_983);
  console.log('10 primes, each computed once by one of 4 threads');
  await primes.close();
} else {
  for (let limit = 1_000_000; limit < 11_000_000; limit += 1_000_000) {
    const prime = await primes.fetch(String(limit), async () => {
      await primes.incr(`computed:${limit}`);
      return largestPrime(limit);
    });
    assert.ok(prime <= limit, `thread ${threadId} got ${prime}`);
  }
  await primes.close();
}
