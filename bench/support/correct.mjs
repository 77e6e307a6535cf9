// Checks that every contender must pass before it is timed. Each check runs in a worker and throws.

import { deepStrictEqual, strictEqual } from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { object, sampleKey, samples, sets, text } from './values.mjs';

/** The entries of a set that are checked: all entries of a small set. */
const LOOKED_AT = 100;

/** Every value stored by another worker is returned equal, in order and with the same type. */
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

/** Entries from the first to the last of a set are as they were stored. */
export async function assertSet(cache, { kind, count, key, value, isMissing }) {
  const step = Math.max(1, Math.floor(count / LOOKED_AT));
  for (let index = 0; index < count; index += step) {
    await assertEntry(cache[kind], key(index), isMissing ? undefined : value(index));
  }
}

const changing = (turn) => ({ object: { ...object(turn), turn }, text: text(turn) });

/** Stores different values under the same keys in each turn. */
export async function change(cache, turn) {
  for (const [kind, value] of Object.entries(changing(turn))) await cache[kind].set(`changing:${kind}`, value);
}

/**
 * Reads return the values stored in this turn, whatever was read before.
 *
 * @param later - turns of the event loop that may pass until they do
 */
export async function assertChanged(cache, { turn, later = 0 }) {
  for (const [kind, value] of Object.entries(changing(turn))) {
    for (let left = later; left > 0 && !isDeepStrictEqual(await cache[kind].get(`changing:${kind}`), value); left--) {
      await setImmediate();
    }
    await assertEntry(cache[kind], `changing:${kind}`, value);
  }
}

/** Twice with each way of reading: a near cache answers the second time. */
async function assertEntry({ get, getSync }, key, value) {
  for (let time = 0; time < 2; time++) {
    // Some contenders return `null` for a miss.
    deepStrictEqual((await get(key)) ?? undefined, value);
    if (getSync) deepStrictEqual(getSync(key), value);
  }
}

/** Counts `times` times, 64 at once; resolves to the numbers seen, none of which another worker may see. */
export async function assertCounted(cache, { key, times }) {
  const seen = [];
  const lane = async (share) => {
    for (let index = 0; index < share; index++) seen.push(await cache.incr(key));
  };
  await Promise.all(Array.from({ length: 64 }, () => lane(times / 64)));
  strictEqual(new Set(seen).size, times, 'two calls of incr answered the same number');
  return seen;
}
