/** Methods on one key. */

import { Instance } from '../instance.js';
import type { EntryInfo } from '../operations/answers.js';
import {
  DELETE,
  GET,
  GET_AND_DELETE,
  GET_AND_SET,
  HAS,
  INFO,
  PEEK,
  REMAINING,
  SET,
  SET_IF_ABSENT,
  TOUCH,
} from '../operations/entries.js';
import type { KeepOptions, SetOptions } from '../options/calls.js';

export abstract class EntryMethods<K extends string | number, V> extends Instance {
  /**
   * The value, or `undefined`.
   *
   * @example
   * ```js
   * const user = await cache.get('user:1');
   * ```
   */
  get(key: K): Promise<V | undefined> {
    const found = this.near?.find(key);
    return found === undefined ? this.#get(key) : Promise.resolve(found as V);
  }

  /**
   * Stores a value. Resolves `true` when stored, `false` when it is too large or its `expiresAt` is past: then
   * nothing is stored, and no older value is left under the key.
   *
   * @example
   * ```js
   * await cache.set('user:1', { name: 'Ada' }, { ttl: 60_000 });
   * ```
   */
  set(key: K, value: V, options?: SetOptions): Promise<boolean> {
    return this.call(SET, key, value, options);
  }

  /**
   * Stores a value if there is none. Resolves `true` for exactly one caller in the cluster.
   *
   * @example
   * ```js
   * if (await cache.setIfAbsent('lock:report', process.pid, { ttl: 30_000 })) await report();
   * ```
   */
  setIfAbsent(key: K, value: V, options?: KeepOptions): Promise<boolean> {
    return this.call(SET_IF_ABSENT, key, value, options);
  }

  /**
   * Removes an entry. Resolves whether there was one.
   *
   * @example
   * ```js
   * await cache.delete('user:1');
   * ```
   */
  delete(key: K): Promise<boolean> {
    return this.call(DELETE, key);
  }

  /**
   * Whether there is a fresh entry; its recency stays as it is.
   *
   * @example
   * ```js
   * if (await cache.has('user:1')) console.log('cached');
   * ```
   */
  has(key: K): Promise<boolean> {
    if (this.closedError) return Promise.reject(this.closedError);
    if (this.near?.peek(key) !== undefined) return Promise.resolve(true);
    const { link, policy } = this;
    if (link.canRead) {
      link.takeOver();
      const flag = this.native.has(key);
      if (!link.isPending) return link.settled(flag, HAS, policy);
    }
    return this.call(HAS, key);
  }

  /**
   * The value, without updating recency or statistics.
   *
   * @example
   * ```js
   * const user = await cache.peek('user:1');
   * ```
   */
  peek(key: K): Promise<V | undefined> {
    if (this.closedError) return Promise.reject(this.closedError);
    const found = this.near?.peek(key);
    if (found !== undefined) return Promise.resolve(found as V);
    const { link, policy } = this;
    if (link.canRead) {
      link.takeOver();
      const value = this.native.peek(key);
      if (!link.isPending) return link.settled(value, PEEK, policy) as Promise<V | undefined>;
    }
    return this.call(PEEK, key) as Promise<V | undefined>;
  }

  /**
   * Removes an entry and resolves its value, atomically: for one-time tokens.
   *
   * @example
   * ```js
   * const token = await cache.getAndDelete('token:1');
   * ```
   */
  getAndDelete(key: K): Promise<V | undefined> {
    return this.call(GET_AND_DELETE, key) as Promise<V | undefined>;
  }

  /**
   * Stores a value as {@link set} does, and resolves with the one it replaces, atomically; with `undefined` when there
   * was none, or it had expired.
   *
   * @throws `ERR_CC_UNSUPPORTED` while the host runs a version of the package that does not know it.
   * @example
   * ```js
   * const previous = await cache.getAndSet('leader', process.pid, { ttl: 30_000 });
   * ```
   */
  getAndSet(key: K, value: V, options?: SetOptions): Promise<V | undefined> {
    return this.call(GET_AND_SET, key, value, options) as Promise<V | undefined>;
  }

  /**
   * Describes an entry without updating recency or statistics.
   *
   * @example
   * ```js
   * await cache.info('user:1'); // { remainingTTL: 59_870, size: 42, created: 1_700_000_000_000 }
   * ```
   */
  info(key: K): Promise<EntryInfo | undefined> {
    return this.call(INFO, key);
  }

  /**
   * Milliseconds an entry has left; `Infinity` without a time to live, 0 when there is no such entry.
   *
   * @example
   * ```js
   * await cache.getRemainingTTL('user:1');
   * ```
   */
  getRemainingTTL(key: K): Promise<number> {
    return this.call(REMAINING, key);
  }

  /**
   * Gives an entry a new time to live from now, without rewriting it. Resolves whether there was one. Without `ttl` the
   * entry's own starts again; an entry that was stored with `expiresAt` keeps its end.
   *
   * @example
   * ```js
   * await cache.touch('session:1', { ttl: 30_000 });
   * ```
   */
  touch(key: K, options?: { ttl?: number | undefined }): Promise<boolean> {
    return this.call(TOUCH, key, options);
  }

  // --- reads that the near cache does not answer -------------------------------------------------------------------

  #get(key: K): Promise<V | undefined> {
    if (this.closedError) return Promise.reject(this.closedError);
    const { near, link } = this;
    near?.asking(key);
    const operation = near?.get ?? GET;
    if (link.canRead) {
      link.takeOver();
      const value = this.native.get(key);
      if (!link.isPending) return link.settled(value, operation, this.policy) as Promise<V | undefined>;
    }
    return this.call(operation, key) as Promise<V | undefined>;
  }
}
