/**
 * The synchronous half of a cache: the same operations without a promise. Reads answer from memory and so work
 * wherever the data can be read without a round trip; changes work in the host, which owns the data.
 */

import type { Counted, EntryInfo } from './operations/answers.js';
import { codedError, type ErrorCode } from './errors.js';
import { Instance } from './instance.js';
import type { Operation } from './operations/operation.js';
import type { CountOptions, KeepOptions, SetOptions } from './options/calls.js';
import * as operations from './operations/table.js';
import * as procedures from './operations/procedures.js';

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
    return this.#change('setSync', () => procedures.set(this.native, key, value, options));
  }

  /** `setIfAbsent`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  setIfAbsentSync(key: K, value: V, options?: KeepOptions): boolean {
    return this.#change('setIfAbsentSync', () => procedures.setIfAbsent(this.native, key, value, options));
  }

  /** `delete`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  deleteSync(key: K): boolean {
    return this.#change('deleteSync', () => procedures.remove(this.native, key));
  }

  /** `getAndDelete`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  getAndDeleteSync(key: K): V | undefined {
    return this.#change('getAndDeleteSync', () => procedures.getAndDelete(this.native, key)) as V | undefined;
  }

  /** `clear`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  clearSync(options?: { prefix?: string }): number {
    return this.#change('clearSync', () => procedures.clear(this.native, options));
  }

  /** `mGet`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mGetSync(keys: Iterable<K>): Map<K, V | undefined> {
    return this.#run('mGetSync', procedures.mGet(this.native, keys)) as Map<K, V | undefined>;
  }

  /** `mHas`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mHasSync(keys: Iterable<K>): Map<K, boolean> {
    return this.#run('mHasSync', procedures.mHas(this.native, keys)) as Map<K, boolean>;
  }

  /** `mSet`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mSetSync(entries: Iterable<readonly [K, V] | readonly [K, V, KeepOptions?]>, options?: KeepOptions): number {
    return this.#run('mSetSync', procedures.mSet(this.native, entries, options));
  }

  /** `mDelete`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  mDeleteSync(keys: Iterable<K>): number {
    return this.#run('mDeleteSync', procedures.mDelete(this.native, keys));
  }

  /** `incr`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  incrSync(key: K, amount = 1, options?: CountOptions): number {
    return this.#change('incrSync', () => procedures.incr(this.native, key, amount, options));
  }

  /** `decr`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  decrSync(key: K, amount = 1, options?: CountOptions): number {
    return this.#change('decrSync', () => procedures.incr(this.native, key, procedures.negated(amount), options));
  }

  /** `count`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  countSync(key: K, amount = 1, options?: CountOptions): Counted {
    return this.#change('countSync', () => procedures.count(this.native, key, amount, options));
  }

  /** `info`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  infoSync(key: K): EntryInfo | undefined {
    return this.#change('infoSync', () => procedures.info(this.native, key));
  }

  /** `getRemainingTTL`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  getRemainingTTLSync(key: K): number {
    return this.#change('getRemainingTTLSync', () => procedures.getRemainingTTL(this.native, key));
  }

  /** `touch`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  touchSync(key: K, options?: { ttl?: number }): boolean {
    return this.#change('touchSync', () => procedures.touch(this.native, key, options));
  }

  /** `keys`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  keysSync(options?: { prefix?: string }): K[] {
    return this.#run('keysSync', procedures.keys(this.native, options)) as K[];
  }

  /** `values`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  valuesSync(options?: { prefix?: string }): V[] {
    return this.#run('valuesSync', procedures.values(this.native, options)) as V[];
  }

  /** `entries`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  entriesSync(options?: { prefix?: string }): [K, V][] {
    return this.#run('entriesSync', procedures.entries(this.native, options)) as [K, V][];
  }

  /** `size`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  sizeSync(): number {
    return this.#change('sizeSync', () => procedures.stats(this.native, this.namespace)).size;
  }

  /** `calculatedSize`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  calculatedSizeSync(): number {
    return this.#change('calculatedSizeSync', () => procedures.stats(this.native, this.namespace)).calculatedSize;
  }

  /** `purgeStale`, at once. @throws `ERR_CC_NOT_HOST` in a client. */
  purgeStaleSync(): boolean {
    return this.#change('purgeStaleSync', () => procedures.purgeStale(this.native));
  }

  // Without closures, each of which would cost as much as the look into memory.

  #get(key: K): V | undefined {
    if (this.closedError) throw this.closedError;
    const { near, link } = this;
    link.catchUp();
    near?.asking(key);
    const id = link.nextId();
    return this.#answer('getSync', id, this.native.get(id, key), near?.get ?? operations.GET) as V | undefined;
  }

  #peek(key: K): V | undefined {
    if (this.closedError) throw this.closedError;
    this.link.catchUp();
    const id = this.link.nextId();
    return this.#answer('peekSync', id, this.native.peek(id, key), operations.GET) as V | undefined;
  }

  #has(key: K): boolean {
    if (this.closedError) throw this.closedError;
    this.link.catchUp();
    const id = this.link.nextId();
    return this.#answer('hasSync', id, this.native.has(id, key), operations.HAS);
  }

  #answer<T>(method: string, id: number, answer: unknown, operation: Operation<T>): T {
    const { link, native, policy } = this;
    if (!link.isPending) return link.immediate(answer, operation, policy);
    return link.awaited(id, operation, policy, native, () =>
      this.#refusal('ERR_CC_NO_SHARED_TABLE', method, 'there is no shared table to read from'),
    );
  }

  #change<T>(method: string, prepare: () => procedures.Step<T>): T {
    this.#requireHost(method);
    const { operation, start } = prepare();
    return this.askNow(operation, start);
  }

  #run<T>(method: string, steps: procedures.Steps<T>): T {
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
