// What the contenders that are this package have in common.

const OPTIONS = { maxSize: 1024 ** 3, failsafe: 'reject', timeout: 30_000 };

/** The namespace that is there from the beginning, and options of the host and of all clients alike. */
const optionsOf = (space) => ({ ...OPTIONS, namespace: space });

/** In the primary. */
export function host({ bootstrap }) {
  bootstrap(optionsOf('bench'));
}

/** In the primary: what stores a value at once. */
export function writer(ClusteredCache) {
  const cache = new ClusteredCache(optionsOf('bench'));
  return (key, value) => cache.setSync(key, value);
}

/**
 * In a worker.
 *
 * @param transport - how this worker must be reading, so that nothing else is timed by mistake
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
