// What every contender must do right before it is timed. Each check runs in a worker and throws.

import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { sampleKey, samples, shapes } from './values.mjs';

/** Everything that another worker stored comes back equal, in order and of the same type. */
export async function assertRead(cache) {
  for (const [shape, list] of Object.entries(samples)) {
    for (const [index, value] of list.entries()) {
      deepStrictEqual(await cache[shape].get(sampleKey(shape, index)), value);
    }
  }
  const { key, value } = shapes.object;
  const indexes = Array.from({ length: 100 }, (_, index) => 99 - index);
  const keys = indexes.map(key);
  const answer = await cache.object.mGet(keys);
  deepStrictEqual(cache.list(answer, keys), indexes.map(value));
}

/** Counts `times` times, 64 at once; resolves to the numbers seen, which no other worker may see too. */
export async function assertCounted(cache, { key, times }) {
  const seen = [];
  const lane = async (share) => {
    for (let index = 0; index < share; index++) seen.push(await cache.incr(key));
  };
  await Promise.all(Array.from({ length: 64 }, () => lane(times / 64)));
  strictEqual(new Set(seen).size, times, 'two calls of incr answered the same number');
  return seen;
}
