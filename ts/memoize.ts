/** A function with a cache around it. */

import type { ClusteredCache } from './cache.js';
import { codedError } from './errors.js';
import type { FetchOptions } from './options/calls.js';

/** The part of a cache that {@link memoize} needs; views made by `wrap` have it too. */
export type FetchingCache<K extends string | number, V> = Pick<ClusteredCache<K, V>, 'fetch' | 'delete'>;

/** A memoized function. */
export interface Memoized<A extends unknown[], R> {
  (...args: A): Promise<R>;
  /** Calls the function again and caches what it returns. */
  refresh(...args: A): Promise<R>;
  /** Removes the cached result for these arguments. Resolves whether there was one. */
  forget(...args: A): Promise<boolean>;
}

/**
 * Wraps a function with `cache.fetch`: for each key it runs once in the cluster.
 *
 * @param cache - where results are kept
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
export function memoize<K extends string | number, A extends unknown[], R>(
  cache: FetchingCache<K, NoInfer<R>> | FetchingCache<K, unknown>,
  fn: (...args: A) => R | Promise<R>,
  keyFn: (...args: A) => K,
  options?: Omit<FetchOptions, 'forceRefresh' | 'signal'>,
): Memoized<A, R> {
  for (const [name, value] of Object.entries({ 'cache.fetch': cache?.fetch, fn, keyFn })) {
    if (typeof value !== 'function') throw codedError('ERR_CC_INVALID_ARGUMENT', `\`${name}\` must be a function`);
  }
  const target = cache as FetchingCache<K, R>;
  const call = async (args: A, more: FetchOptions) =>
    (await target.fetch(keyFn(...args), () => fn(...args), { ...options, ...more })) as R;
  return Object.assign((...args: A) => call(args, {}), {
    refresh: (...args: A) => call(args, { forceRefresh: true }),
    forget: async (...args: A) => await target.delete(keyFn(...args)),
  });
}
