// lru-cache in each process by itself: nothing is shared, nothing copied. The floor, not a rival.

import { LRUCache } from 'lru-cache';

export const title = 'lru-cache';
export const what = 'in each process by itself; shares nothing';
export const inProcess = true;
export const sync = true;
export const sharesNothing = true;

export async function connect(_, { entries = 100_000 }) {
  const cache = new LRUCache({ max: entries });
  const any = {
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value),
    mGet: (keys) => keys.map((key) => cache.get(key)),
  };
  return {
    object: any,
    text: any,
    bytes: any,
    incr: (key) => {
      const value = (cache.get(key) ?? 0) + 1;
      cache.set(key, value);
      return value;
    },
    list: (answer) => answer,
  };
}
