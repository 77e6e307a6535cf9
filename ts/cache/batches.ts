/** Methods on many keys. */

import { DELETE_MANY, GET_MANY, HAS_MANY, LOAD, SET_MANY, keysOf } from '../operations/batches.js';
import { GET, HAS } from '../operations/entries.js';
import type { Operation } from '../operations/operation.js';
import type { DumpedEntry } from '../operations/scans.js';
import type { KeepOptions } from '../options/calls.js';
import { CounterMethods } from './counters.js';

/** An entry of a batch; its own options win. */
export type BatchEntry<K, V> =
  readonly [key: K, value: V] | readonly [key: K, value: V, options?: KeepOptions | undefined];

export abstract class BatchMethods<K extends string | number, V> extends CounterMethods<K, V> {
  /**
   * The values of many keys in one round trip, in the order of the keys; `undefined` for missing entries.
   *
   * @example
   * ```js
   * const users = await cache.mGet(['user:1', 'user:2']); // Map
   * ```
   */
  mGet(keys: Iterable<K>): Promise<Map<K, V | undefined>> {
    if (this.transport !== 'socket') return this.#mGetFromMemory(keys);
    return this.run(GET_MANY, keys) as Promise<Map<K, V | undefined>>;
  }

  /**
   * Stores many entries and resolves how many were stored. All are checked before the first is stored.
   *
   * @example
   * ```js
   * await cache.mSet([['user:1', ada], ['user:2', grace, { ttl: 1_000 }]], { ttl: 60_000 });
   * ```
   */
  mSet(entries: Iterable<BatchEntry<K, V>>, options?: KeepOptions): Promise<number> {
    return this.run(SET_MANY, entries, options);
  }

  /**
   * Removes many entries and resolves how many existed.
   *
   * @example
   * ```js
   * await cache.mDelete(['user:1', 'user:2']);
   * ```
   */
  mDelete(keys: Iterable<K>): Promise<number> {
    return this.run(DELETE_MANY, keys);
  }

  /**
   * Which of many keys have a fresh entry, in the order of the keys.
   *
   * @example
   * ```js
   * const cached = await cache.mHas(['user:1', 'user:2']); // Map
   * ```
   */
  mHas(keys: Iterable<K>): Promise<Map<K, boolean>> {
    if (this.transport !== 'socket') return this.#mHasFromMemory(keys);
    return this.run(HAS_MANY, keys) as Promise<Map<K, boolean>>;
  }

  /**
   * Stores what {@link dump} returned, in its order. Resolves how many entries were stored.
   *
   * @example
   * ```js
   * await cache.load(JSON.parse(await readFile('cache.json', 'utf8')));
   * ```
   */
  load(entries: Iterable<readonly [K, DumpedEntry<V>]>): Promise<number> {
    return this.run(LOAD, entries);
  }

  // --- reads from memory -------------------------------------------------------------------------------------------

  #mGetFromMemory(keys: Iterable<K>): Promise<Map<K, V | undefined>> {
    return this.#fromMemory(keys, (all, values: Map<K, V | undefined>) => {
      const left = this.near ? all : this.link.readMany(this.native, all, values, GET);
      return left.length > 0 ? this.#readEach(left, values) : [];
    });
  }

  #mHasFromMemory(keys: Iterable<K>): Promise<Map<K, boolean>> {
    const { link, native, near, policy } = this;
    return this.#fromMemory(keys, (all, flags: Map<K, boolean>) => {
      const asked: Promise<unknown>[] = [];
      link.takeOver();
      for (const key of all) {
        const flag = near?.peek(key) !== undefined || native.has(key);
        if (flag === true) flags.set(key, true);
        else if (link.isPending) asked.push(this.#later(HAS, key, flags));
        else flags.set(key, link.immediate(flag, HAS, policy));
      }
      return asked;
    });
  }

  /** The results of `read` for the keys, after the host has answered those that memory could not. */
  async #fromMemory<T>(
    keys: Iterable<K>,
    read: (keys: K[], found: Map<K, T>) => readonly Promise<unknown>[],
  ): Promise<Map<K, T>> {
    if (this.closedError) throw this.closedError;
    const found = new Map<K, T>();
    const asked = read(keysOf(keys), found);
    // No await beyond the necessary ones: until it returns, all these values burden the garbage collector.
    if (asked.length > 0) await Promise.all(asked);
    return found;
  }

  /** Reads the keys one by one; requests to the host leave in one batch. */
  #readEach(keys: K[], values: Map<K, V | undefined>): Promise<unknown>[] {
    const { near, link, native, policy } = this;
    const operation = near?.get ?? GET;
    const asked: Promise<unknown>[] = [];
    for (const key of keys) {
      let value = near?.find(key);
      if (value === undefined) {
        near?.asking(key);
        link.takeOver();
        const answer = native.get(key);
        if (link.isPending) asked.push(this.#later(operation, key, values));
        else value = link.immediate(answer, operation, policy);
      }
      values.set(key, value as V | undefined);
    }
    return asked;
  }

  /** Asks the host for one of several keys and puts the answer at its place in `found`. */
  #later<T>(operation: Operation<unknown, [key: K]>, key: K, found: Map<K, T>): Promise<unknown> {
    // Inserted now, to keep the order of the keys.
    found.set(key, undefined as T);
    const later = this.call(operation, key).then((answer) => found.set(key, answer as T));
    // A refused key fails the whole call; the requests for earlier keys are then awaited by no caller.
    later.catch(() => {});
    return later;
  }
}
