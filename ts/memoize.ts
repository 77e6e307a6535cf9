/** A function with a cache around it. */

import { codedError } from './errors.js';
import type { FetcherContext } from './operations/fetch.js';
import type { FetchOptions } from './options/calls.js';

/** The part of a cache that {@link memoize} needs; views made by `wrap` have it too. */
export interface FetchingCache<K extends string | number, V> {
  fetch(
    key: K,
    fetcher: (key: K, context: FetcherContext) => V | Promise<V>,
    options?: FetchOptions | undefined,
  ): Promise<V>;
  delete(key: K): Promise<boolean>;
}

/** A memoized function, with the arguments and the `this` of the original one. */
export interface Memoized<A extends unknown[], R, T = unknown> {
  (this: T, ...args: A): Promise<R>;
  /** Calls the function again and caches what it returns. One that uses `this` is called as `refresh.call(target, …)`. */
  refresh(this: T, ...args: A): Promise<R>;
  /** Removes the cached result for these arguments. Resolves whether there was one. */
  forget(this: T, ...args: A): Promise<boolean>;
}

/**
 * Wraps a function with `cache.fetch`: for each key it runs once in the cluster. Both functions get the `this` of the
 * call.
 *
 * @param cache - where results are kept; its values have the type of the results
 * @param fn - the function; errors and `undefined` are not cached
 * @param keyFn - the cache key for its arguments
 * @param options - as for `cache.fetch`
 * @example
 * ```js
 * import { ClusteredCache, memoize } from 'clustered-cache';
 *
 * const cache = new ClusteredCache({ namespace: 'squares' });
 * const square = memoize(cache, async (n) => n * n, (n) => `square:${n}`, { ttl: 60_000 });
 * await square(12); // 144, computed once in the cluster
 * ```
 */
export function memoize<K extends string | number, A extends unknown[], R extends V, V, T>(
  cache: FetchingCache<K, V>,
  fn: (this: T, ...args: A) => R | Promise<R>,
  keyFn: (this: T, ...args: A) => K,
  options?: Omit<FetchOptions, 'forceRefresh' | 'signal'> | undefined,
): Memoized<A, R, T> {
  for (const [name, value] of Object.entries({ 'cache.fetch': cache?.fetch, fn, keyFn })) {
    if (typeof value !== 'function') throw codedError('ERR_CC_INVALID_ARGUMENT', `\`${name}\` must be a function`);
  }
  // Called as its method, `refresh` has the memoized function for its `this`, which is not what `fn` means by it.
  const own = (target: T) => (target === (memoized as unknown) ? (undefined as T) : target);
  const call = async (target: T, args: A, more: FetchOptions) => {
    const load = () => fn.apply(target, args) as V | Promise<V>;
    return (await cache.fetch(keyFn.apply(target, args), load, { ...options, ...more })) as R;
  };
  const memoized: Memoized<A, R, T> = Object.assign(
    function (this: T, ...args: A) {
      return call(this, args, {});
    },
    {
      refresh(this: T, ...args: A) {
        return call(own(this), args, { forceRefresh: true });
      },
      async forget(this: T, ...args: A) {
        return await cache.delete(keyFn.apply(own(this), args));
      },
    },
  );
  return memoized;
}
