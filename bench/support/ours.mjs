// Code shared by the contenders that use this package.

const OPTIONS = { maxSize: 1024 ** 3, failsafe: 'reject', timeout: 30_000 };

/** The namespace that exists from the beginning, and the options of the host and all clients. */
const optionsOf = (space) => ({ ...OPTIONS, namespace: space });

/** In the primary. */
export function host({ bootstrap }) {
  bootstrap(optionsOf('bench'));
}

/** In the primary: stores a value synchronously. */
export function writer(ClusteredCache) {
  const cache = new ClusteredCache(optionsOf('bench'));
  return (key, value) => cache.setSync(key, value);
}

/**
 * In a worker.
 *
 * @param transport - the transport that this worker must use, so that no other is timed by mistake
 * @param more - further options of the cache
 */
export async function connect(ClusteredCache, { space, transport, ...more }) {
  const cache = await ClusteredCache.getInstance({ ...optionsOf(space), ...more });
  if (transport && cache.transport !== transport) {
    throw new Error(`reads should go by way of '${transport}', but go by way of '${cache.transport}'`);
  }
  const any = {
    get: (key) => cache.get(key),
    getSync: transport === 'shared' ? (key) => cache.getSync(key) : undefined,
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
