// The workloads that are timed with many operations in flight: an operation on a set of entries.

import { keysOf, sets } from './values.mjs';

const MANY = 100;
const COUNTERS = 100;

export const WORKLOADS = {
  'get-object': { title: 'get, objects of 250 B', operation: 'get', set: 'object' },
  'set-object': { title: 'set, objects of 250 B', operation: 'set', set: 'object' },
  incr: { title: 'incr', operation: 'incr' },
  'mget-object': { title: `mGet of ${MANY} objects of 250 B`, operation: 'mGet', set: 'object', isLong: true },
  'mget-text': { title: `mGet of ${MANY} strings of 1 KiB`, operation: 'mGet', set: 'text', isLong: true },
  'get-text': { title: 'get, strings of 1 KiB', operation: 'get', set: 'text' },
  'set-text': { title: 'set, strings of 1 KiB', operation: 'set', set: 'text' },
  'get-bytes': { title: 'get, buffers of 100 KiB', operation: 'get', set: 'bytes', isLong: true },
  'set-bytes': { title: 'set, buffers of 100 KiB', operation: 'set', set: 'bytes', isLong: true },
};

/** The writes beside readers of the set `hot`: to the entries they read, or to the same number of other entries. */
const WRITING = { same: '', other: 'other:' };

/** The keys and values of a writer. Each key keeps its own value, so that readers always find the right one. */
export function writingOf(workload) {
  const { key, value, count } = sets.hot;
  const indexes = Array.from({ length: count }, (_, index) => index);
  return { keys: indexes.map((index) => WRITING[workload] + key(index)), values: indexes.map(value) };
}

/** The function that runs a workload's operation for the turn `index`. Keys and values are created in advance. */
export function operationOf(workload, cache) {
  if (workload in WRITING) {
    const { keys, values } = writingOf(workload);
    return (index) => cache.text.set(keys[index % keys.length], values[index % keys.length]);
  }
  const { operation, set } = WORKLOADS[workload];
  if (operation === 'incr') {
    const counters = Array.from({ length: COUNTERS }, (_, index) => `counter:${index}`);
    return (index) => cache.incr(counters[index % COUNTERS]);
  }
  const { kind, count, value } = sets[set];
  const keys = keysOf(sets[set]);
  const of = cache[kind];
  if (operation === 'get') return (index) => of.get(keys[index % count]);
  if (operation === 'mGet') {
    const lists = Array.from({ length: count / MANY }, (_, index) => keys.slice(index * MANY, (index + 1) * MANY));
    return (index) => of.mGet(lists[index % lists.length]);
  }
  const values = Array.from({ length: Math.min(count, 100) }, (_, index) => value(index));
  // Each key keeps its own value, so that later reads match what the check expects.
  return (index) => of.set(keys[index % values.length], values[index % values.length]);
}
