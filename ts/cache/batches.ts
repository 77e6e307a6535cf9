/** Methods on many keys. */

import { DELETE_MANY, GET_MANY, HAS_MANY, LOAD, SET_MANY, keysOf } from '../operations/batches.js';
import { GET, HAS } from '../operations/entries.js';
import type { Operation } from '../operations/operation.js';
import type { DumpedEntry } from '../operations/scans.js';
import type { BatchOptions, EachOptions, EntryOptions } from '../options/calls.js';
import { placed } from '../values/place.js';
import { LEFT_OUT, Undecodable, isUndecodable, readable } from '../values/undecodable.js';
import { CounterMethods } from './counters.js';

/** An entry of a batch; its own options win. */
export type BatchEntry<K, V> =
  readonly [key: K, value: V] | readonly [key: K, value: V, options?: EntryOptions | undefined];

export abstract class BatchMethods<K extends string | number, V> extends CounterMethods<K, V> {
  /**
   * The values of many keys in one round trip, in the order of the keys; `undefined` for missing entries, and for those
   * that cannot be decoded, of which the event `'undecodable'` tells.
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
   * Stores many entries and resolves how many were stored, or with `each` for each key whether it was. All are checked
   * before the first is stored.
   *
   * @example
   * ```js
   * await cache.mSet([['user:1', ada], ['user:2', grace, { ttl: 1_000 }]], { ttl: 60_000 });
   * ```
   */
  mSet(entries: Iterable<BatchEntry<K, V>>, options: BatchOptions & { each: true }): Promise<Map<K, boolean>>;
  mSet(entries: Iterable<BatchEntry<K, V>>, options?: BatchOptions & { each?: false }): Promise<number>;
  mSet(entries: Iterable<BatchEntry<K, V>>, options?: BatchOptions): Promise<number | Map<K, boolean>> {
    return this.run(SET_MANY, entries, options) as Promise<number | Map<K, boolean>>;
  }

  /**
   * Removes many entries and resolves how many existed, or with `each` for each key whether it did.
   *
   * @example
   * ```js
   * await cache.mDelete(['user:1', 'user:2']);
   * ```
   */
  mDelete(keys: Iterable<K>, options: EachOptions & { each: true }): Promise<Map<K, boolean>>;
  mDelete(keys: Iterable<K>, options?: EachOptions & { each?: false }): Promise<number>;
  mDelete(keys: Iterable<K>, options?: EachOptions): Promise<number | Map<K, boolean>> {
    return this.run(DELETE_MANY, keys, options) as Promise<number | Map<K, boolean>>;
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
    return this.#fromMemory('mGet', keys, (all, values: Map<K, V | undefined>) => {
      const left = this.near ? all : this.link.readMany(this.native, all, values, GET.read, this.policy);
      return left.length > 0 ? this.#readEach(left, values) : [];
    });
  }

  #mHasFromMemory(keys: Iterable<K>): Promise<Map<K, boolean>> {
    const { link, native, near, policy } = this;
    return this.#fromMemory('mHas', keys, (all, flags: Map<K, boolean>) => {
      const asked: Promise<unknown>[] = [];
      link.takeOver();
      for (const key of all) {
        const flag = near?.peek(key) !== undefined || native.has(key);
        if (flag === true) flags.set(key, true);
        else if (link.isPending) asked.push(this.#later(HAS, key, flags));
        else flags.set(key, link.immediate(flag, HAS, policy, key));
      }
      return asked;
    });
  }

  /** The results of `read` for the keys, after the host has answered those that memory could not. */
  async #fromMemory<T>(
    operation: string,
    keys: Iterable<K>,
    read: (keys: K[], found: Map<K, T>) => readonly Promise<unknown>[],
  ): Promise<Map<K, T>> {
    if (this.closedError) throw this.closedError;
    const found = new Map<K, T>();
    try {
      const asked = read(keysOf(keys), found);
      // No await beyond the necessary ones: until it returns, all these values burden the garbage collector.
      if (asked.length > 0) await Promise.all(asked);
    } catch (error) {
      throw placed(error, { namespace: this.namespace, operation });
    }
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
        else
          value = this.#readable(
            key,
            readable(() => link.immediate(answer, operation, policy, key)),
          );
      }
      values.set(key, value as V | undefined);
    }
    return asked;
  }

  /** The value, or `undefined` after telling that it cannot be decoded. */
  #readable(key: K, value: unknown): unknown {
    if (!(value instanceof Undecodable)) return value;
    this[LEFT_OUT](key, value.error, 'mGet');
    return undefined;
  }

  /** Asks the host for one of several keys and puts the answer at its place in `found`. */
  #later<T>(operation: Operation<unknown, [key: K]>, key: K, found: Map<K, T>): Promise<unknown> {
    // Inserted now, to keep the order of the keys.
    found.set(key, undefined as T);
    const later = this.call(operation, key).then(
      (answer) => found.set(key, answer as T),
      (error: unknown) => {
        if (!isUndecodable(error)) throw error;
        this[LEFT_OUT](key, error, 'mGet');
      },
    );
    // A refused key fails the whole call; the requests for earlier keys are then awaited by no caller.
    later.catch(() => {});
    return later;
  }
}
