// lru-cache-for-clusters-as-promised: an lru-cache in the primary, accessed over the cluster's IPC channel. The channel
// uses JSON, so bytes are sent as base64. Its own timeout of 100 ms, after which a read resolves `undefined`, is
// raised, because here a lost answer must be an error.

import LRUCacheForClusters from 'lru-cache-for-clusters-as-promised';

const OPTIONS = { namespace: 'bench', max: 1_000_000, timeout: 30_000, failsafe: 'reject' };

export const title = 'cluster IPC';
export const what = 'lru-cache-for-clusters-as-promised';

export function host() {
  LRUCacheForClusters.init();
}

export async function connect() {
  const cache = await LRUCacheForClusters.getInstance(OPTIONS);
  const any = {
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value),
    mGet: (keys) => cache.mGet(keys),
  };
  return {
    object: any,
    text: any,
    bytes: {
      get: async (key) => Buffer.from(await cache.get(key), 'base64'),
      set: (key, value) => cache.set(key, value.toString('base64')),
    },
    incr: (key) => cache.incr(key),
    list: (answer, keys) => keys.map((key) => answer[key]),
  };
}
