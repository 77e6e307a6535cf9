// What every contender must do right before it is timed. Each check runs in a worker and throws.

import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { object, sampleKey, samples, sets, text } from './values.mjs';

/** Entries of a set that are looked at: all of a small one. */
const LOOKED_AT = 100;

/** Everything that another worker stored comes back equal, in order and of the same type. */
export async function assertRead(cache) {
  for (const [kind, list] of Object.entries(samples)) {
    for (const [index, value] of list.entries()) await assertEntry(cache[kind], sampleKey(kind, index), value);
  }
  for (const { kind, key, value } of [sets.object, sets.text]) {
    const indexes = Array.from({ length: 100 }, (_, index) => 99 - index);
    const keys = indexes.map(key);
    const answer = await cache[kind].mGet(keys);
    deepStrictEqual(cache.list(answer, keys), indexes.map(value));
  }
}

/** Entries from the first to the last of a set are what was stored. */
export async function assertSet(cache, { kind, count, key, value, isMissing }) {
  const step = Math.max(1, Math.floor(count / LOOKED_AT));
  for (let index = 0; index < count; index += step) {
    await assertEntry(cache[kind], key(index), isMissing ? undefined : value(index));
  }
}

const changing = (turn) => ({ object: { ...object(turn), turn }, text: text(turn) });

/** Stores something else each turn under the same keys. */
export async function change(cache, turn) {
  for (const [kind, value] of Object.entries(changing(turn))) await cache[kind].set(`changing:${kind}`, value);
}

/**
 * What was stored in this turn is what is read, whatever was read before.
 *
 * @param later - turns of the event loop that may pass until it is
 */
export async function assertChanged(cache, { turn, later = 0 }) {
  for (const [kind, value] of Object.entries(changing(turn))) {
    for (let left = later; left > 0 && !isDeepStrictEqual(await cache[kind].get(`changing:${kind}`), value); left--) {
      await setImmediate();
    }
    await assertEntry(cache[kind], `changing:${kind}`, value);
  }
}

/** Twice by each way: a near cache answers the second time. */
async function assertEntry({ get, getSync }, key, value) {
  for (let time = 0; time < 2; time++) {
    // What is not there is `null` to some.
    deepStrictEqual((await get(key)) ?? undefined, value);
    if (getSync) deepStrictEqual(getSync(key), value);
  }
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
