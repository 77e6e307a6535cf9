// This package: the primary hosts the data in Rust, workers reach it over a private socket.

import { ClusteredCache } from '../../index.mjs';

const OPTIONS = { namespace: 'bench', maxSize: 1024 ** 3, failsafe: 'reject', timeout: 30_000 };

export const title = 'clustered-cache';
export const what = 'data in the primary, a private socket';

export function host() {
  ClusteredCache.bootstrap(OPTIONS);
}

export async function connect() {
  const cache = await ClusteredCache.getInstance(OPTIONS);
  const any = {
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value),
    mGet: (keys) => cache.mGet(keys),
  };
  return {
    object: any,
    text: any,
    bytes: any,
    incr: (key) => cache.incr(key),
    list: (answer) => [...answer.values()],
  };
}
