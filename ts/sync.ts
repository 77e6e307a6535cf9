/**
 * The synchronous half of a cache: the same operations without a promise. Reads are answered from memory, so they work
 * wherever the data can be read without a round trip; changes work only in the host, which owns the data.
 */

import { codedError, type ErrorCode } from './errors.js';
import { Instance } from './instance.js';
import type { Counted, EntryInfo } from './operations/answers.js';
import { deleteMany, getMany, hasMany, setMany } from './operations/batches.js';
import { COUNT, INCR, negated } from './operations/counters.js';
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
} from './operations/entries.js';
import { CLEAR, PURGE_STALE, STATS } from './operations/namespace.js';
import type { Operation, Steps } from './operations/operation.js';
import { entries, keys, values } from './operations/scans.js';
import type { CountOptions, KeepOptions, SetOptions } from './options/calls.js';

export abstract class SyncOperations<K extends string | number, V> extends Instance {
  /**
   * The value, at once, from memory.
   *
   * @throws `ERR_CC_NO_SHARED_TABLE` in a client that cannot read the host's memory, and before {@link ready}.
   * @example
   * ```js
   * const user = cache.getSync('user:1');
   * ```
   */
  getSync(key: K): V | undefined {
    const found = this.near?.find(key);
    return found === undefined ? this.#get(key) : (found as V);
  }

  /** The value, at once and without touching recency. @throws `ERR_CC_NO_SHARED_TABLE` as {@link getSync}. */
  peekSync(key: K): V | undefined {
    const found = this.near?.peek(key);
    return found === undefined ? this.#peek(key) : (found as V);
  }

  /** Whether there is a fresh entry, at once. @throws `ERR_CC_NO_SHARED_TABLE` as {@link getSync}. */
  hasSync(key: K): boolean {
    return this.near?.peek(key) !== undefined || this.#has(key);
  }

  /** `set`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  setSync(key: K, value: V, options?: SetOptions): boolean {
    return this.#change('setSync', SET, key, value, options);
  }

  /** `setIfAbsent`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  setIfAbsentSync(key: K, value: V, options?: KeepOptions): boolean {
    return this.#change('setIfAbsentSync', SET_IF_ABSENT, key, value, options);
  }

  /** `delete`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  deleteSync(key: K): boolean {
    return this.#change('deleteSync', DELETE, key);
  }

  /** `getAndDelete`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  getAndDeleteSync(key: K): V | undefined {
    return this.#change('getAndDeleteSync', GET_AND_DELETE, key) as V | undefined;
  }

  /** `getAndSet`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  getAndSetSync(key: K, value: V, options?: SetOptions): V | undefined {
    return this.#change('getAndSetSync', GET_AND_SET, key, value, options) as V | undefined;
  }

  /** `clear`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  clearSync(options?: { prefix?: string }): number {
    return this.#change('clearSync', CLEAR, options);
  }

  /** `mGet`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mGetSync(keys: Iterable<K>): Map<K, V | undefined> {
    return this.#run('mGetSync', getMany(keys)) as Map<K, V | undefined>;
  }

  /** `mHas`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mHasSync(keys: Iterable<K>): Map<K, boolean> {
    return this.#run('mHasSync', hasMany(keys)) as Map<K, boolean>;
  }

  /** `mSet`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mSetSync(entries: Iterable<readonly [K, V] | readonly [K, V, KeepOptions?]>, options?: KeepOptions): number {
    return this.#run('mSetSync', setMany(entries, options));
  }

  /** `mDelete`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mDeleteSync(keys: Iterable<K>): number {
    return this.#run('mDeleteSync', deleteMany(keys));
  }

  /** `incr`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  incrSync(key: K, amount = 1, options?: CountOptions): number {
    return this.#change('incrSync', INCR, key, amount, options);
  }

  /** `decr`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  decrSync(key: K, amount = 1, options?: CountOptions): number {
    return this.#change('decrSync', INCR, key, negated(amount), options);
  }

  /** `count`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  countSync(key: K, amount = 1, options?: CountOptions): Counted {
    return this.#change('countSync', COUNT, key, amount, options);
  }

  /** `info`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  infoSync(key: K): EntryInfo | undefined {
    return this.#change('infoSync', INFO, key);
  }

  /** `getRemainingTTL`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  getRemainingTTLSync(key: K): number {
    return this.#change('getRemainingTTLSync', REMAINING, key);
  }

  /** `touch`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  touchSync(key: K, options?: { ttl?: number }): boolean {
    return this.#change('touchSync', TOUCH, key, options);
  }

  /** `keys`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  keysSync(options?: { prefix?: string }): K[] {
    return this.#run('keysSync', keys(options)) as K[];
  }

  /** `values`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  valuesSync(options?: { prefix?: string }): V[] {
    return this.#run('valuesSync', values(options)) as V[];
  }

  /** `entries`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  entriesSync(options?: { prefix?: string }): [K, V][] {
    return this.#run('entriesSync', entries(options)) as [K, V][];
  }

  /** `size`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  sizeSync(): number {
    return this.#change('sizeSync', STATS).size;
  }

  /** `calculatedSize`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  calculatedSizeSync(): number {
    return this.#change('calculatedSizeSync', STATS).calculatedSize;
  }

  /** `purgeStale`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  purgeStaleSync(): boolean {
    return this.#change('purgeStaleSync', PURGE_STALE);
  }

  // No closures here: each would cost as much as the read from memory.

  #get(key: K): V | undefined {
    if (this.closedError) throw this.closedError;
    const { near, link } = this;
    link.catchUp();
    near?.asking(key);
    const operation = near?.get ?? GET;
    const value = link.canRead ? this.native.get(key) : undefined;
    return this.#answer('getSync', operation, key, value) as V | undefined;
  }

  #peek(key: K): V | undefined {
    if (this.closedError) throw this.closedError;
    this.link.catchUp();
    const value = this.link.canRead ? this.native.peek(key) : undefined;
    return this.#answer('peekSync', PEEK, key, value) as V | undefined;
  }

  #has(key: K): boolean {
    if (this.closedError) throw this.closedError;
    this.link.catchUp();
    const value = this.link.canRead ? this.native.has(key) : undefined;
    return this.#answer('hasSync', HAS, key, value);
  }

  #answer<T>(method: string, operation: Operation<T, [key: K]>, key: K, value: unknown): T {
    const { link, native, policy } = this;
    if (link.canRead && !link.isPending) return link.immediate(value, operation, policy);
    return link.awaited(this.handle, operation, key, policy, native, () =>
      this.#refusal('ERR_CC_NO_SHARED_TABLE', method, 'there is no shared table to read from'),
    );
  }

  #change<T, A extends readonly unknown[]>(
    method: string,
    operation: Operation<T, A>,
    first?: A[0],
    second?: A[1],
    third?: A[2],
  ): T {
    this.#requireHost(method);
    return this.callNow(operation, first, second, third);
  }

  #run<T>(method: string, steps: Steps<T>): T {
    this.#requireHost(method);
    return this.runNow(steps);
  }

  #requireHost(method: string): void {
    if (this.closedError) throw this.closedError;
    if (!this.link.isHost) throw this.#refusal('ERR_CC_NOT_HOST', method, 'only the host can do it without waiting');
  }

  #refusal(code: ErrorCode, method: string, why: string): Error {
    return codedError(
      code,
      `${method}() was called in a client: ${why}; await ${method.replace('Sync', '')}() instead`,
    );
  }
}
