// What is timed: an operation on a kind of value.

import { shapes } from './values.mjs';

const MANY = 100;
const COUNTERS = 100;

export const WORKLOADS = {
  'get-object': { title: 'get, objects of 250 B', operation: 'get', shape: 'object' },
  'set-object': { title: 'set, objects of 250 B', operation: 'set', shape: 'object' },
  incr: { title: 'incr', operation: 'incr' },
  'mget-object': { title: `mGet of ${MANY} objects of 250 B`, operation: 'mGet', shape: 'object' },
  'get-text': { title: 'get, strings of 1 KiB', operation: 'get', shape: 'text' },
  'set-text': { title: 'set, strings of 1 KiB', operation: 'set', shape: 'text' },
  'get-bytes': { title: 'get, buffers of 100 KiB', operation: 'get', shape: 'bytes' },
  'set-bytes': { title: 'set, buffers of 100 KiB', operation: 'set', shape: 'bytes' },
};

/** The function that does a workload's operation for the turn `index`. Keys and values are made before. */
export function operationOf(workload, cache) {
  const { operation, shape } = WORKLOADS[workload];
  if (operation === 'incr') {
    const counters = Array.from({ length: COUNTERS }, (_, index) => `counter:${index}`);
    return (index) => cache.incr(counters[index % COUNTERS]);
  }
  const { count, key, value } = shapes[shape];
  const keys = Array.from({ length: count }, (_, index) => key(index));
  const of = cache[shape];
  if (operation === 'get') return (index) => of.get(keys[index % count]);
  if (operation === 'mGet') {
    const lists = Array.from({ length: count / MANY }, (_, index) => keys.slice(index * MANY, (index + 1) * MANY));
    return (index) => of.mGet(lists[index % lists.length]);
  }
  const values = Array.from({ length: Math.min(count, 100) }, (_, index) => value(index));
  // Each key keeps its own value, so that reading it later still is what the check expects.
  return (index) => of.set(keys[index % values.length], values[index % values.length]);
}
