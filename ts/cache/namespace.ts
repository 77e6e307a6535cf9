/** Methods on a namespace as a whole. */

import type { CacheStats } from '../operations/answers.js';
import {
  ALLOW_STALE,
  CALCULATED_SIZE,
  CLEAR,
  DESTROY,
  MAX,
  MAX_SIZE,
  PING,
  PURGE_STALE,
  SIZE,
  STATS,
  TTL,
} from '../operations/namespace.js';
import { step, type Steps } from '../operations/operation.js';
import { ScanMethods } from './scans.js';

export abstract class NamespaceMethods<K extends string | number, V> extends ScanMethods<K, V> {
  /**
   * Removes all entries, or those whose string keys begin with `prefix`. Resolves how many.
   *
   * @throws `ERR_CC_INVALID_ARGUMENT` for a `prefix` that is empty or `undefined`: it would remove all entries.
   *
   * @example
   * ```js
   * await cache.clear({ prefix: 'user:' });
   * ```
   */
  clear(options?: { prefix?: string }): Promise<number> {
    return this.call(CLEAR, options);
  }

  /**
   * How many entries there are.
   *
   * @example
   * ```js
   * await cache.size();
   * ```
   */
  size(): Promise<number> {
    return this.call(SIZE);
  }

  /**
   * The size of all entries: bytes of keys and values, or units of `size` where entries were given one.
   *
   * @example
   * ```js
   * await cache.calculatedSize();
   * ```
   */
  calculatedSize(): Promise<number> {
    return this.call(CALCULATED_SIZE);
  }

  /**
   * Removes stale entries. Resolves whether there were any.
   *
   * @example
   * ```js
   * await cache.purgeStale();
   * ```
   */
  purgeStale(): Promise<boolean> {
    return this.call(PURGE_STALE);
  }

  /**
   * Resolves `true` when the host answers for this namespace; rejects otherwise, whatever `failsafe` says.
   *
   * @example
   * ```js
   * app.get('/health', () => cache.healthCheck());
   * ```
   */
  healthCheck(): Promise<boolean> {
    return this.call(PING);
  }

  /**
   * Counters of the namespace, over all processes.
   *
   * @example
   * ```js
   * const { hits, misses } = await cache.stats();
   * ```
   */
  stats(): Promise<CacheStats> {
    return this.run({ method: 'stats', sync: false, run: () => this.#stats() });
  }

  *#stats(): Steps<CacheStats> {
    this.near?.report();
    const stats = yield* step(STATS);
    return { namespace: this.namespace, ...stats, undecodable: this.undecodable, near: { hits: this.near?.hits ?? 0 } };
  }

  /**
   * Drops the namespace and all its entries, for all processes; later use creates it again with this instance's
   * options. Resolves whether there was anything in it.
   *
   * @example
   * ```js
   * await cache.destroy();
   * ```
   */
  destroy(): Promise<boolean> {
    return this.call(DESTROY);
  }

  /**
   * The maximum number of entries; given a value, changes it at once.
   *
   * @example
   * ```js
   * await cache.max(5_000);
   * ```
   */
  max(max?: number): Promise<number | undefined> {
    return this.run(MAX, max);
  }

  /**
   * The maximum number of bytes, or units of `size`; given a value, changes it at once.
   *
   * @example
   * ```js
   * await cache.maxSize(64 * 1024 * 1024);
   * ```
   */
  maxSize(maxSize?: number): Promise<number> {
    return this.run(MAX_SIZE, maxSize);
  }

  /**
   * The default time to live in ms; given a value, changes it for entries stored later.
   *
   * @example
   * ```js
   * await cache.ttl(30_000);
   * ```
   */
  ttl(ttl?: number): Promise<number> {
    return this.run(TTL, ttl);
  }

  /**
   * Whether a stale entry is returned once before it is removed; given a value, changes it.
   *
   * @example
   * ```js
   * await cache.allowStale(true);
   * ```
   */
  allowStale(allowStale?: boolean): Promise<boolean> {
    return this.run(ALLOW_STALE, allowStale);
  }
}
