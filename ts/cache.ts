/**
 * The public cache class. The operations themselves are defined in `operations/`; this file calls and documents them.
 */

import { unscoped, whyNoHost } from './discovery/environment.js';
import { isolate } from './discovery/isolate.js';
import { ensureHost, hostLink } from './discovery/link-registry.js';
import { electionKey } from './discovery/pm2.js';
import { codedError } from './errors.js';
import { translated } from './native.js';
import type { CacheStats, Counted, EntryInfo } from './operations/answers.js';
import { deleteMany, getMany, hasMany, iterable, load, setMany } from './operations/batches.js';
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
import { fetchOnce, type Fetcher } from './operations/fetch.js';
import { CLEAR, DESTROY, PING, PURGE_STALE, SETTINGS, STATS, TUNE, type Tunable } from './operations/namespace.js';
import {
  END_SCAN,
  NEXT_PAGE,
  SCAN,
  ScanFields,
  dump,
  entries,
  keys,
  values,
  type Dump,
  type DumpedEntry,
} from './operations/scans.js';
import type { Operation } from './operations/operation.js';
import type { CountOptions, FetchOptions, KeepOptions, ListenOptions, SetOptions } from './options/calls.js';
import { checkListen } from './options/calls.js';
import { invalidOption } from './options/checks.js';
import type { CacheOptions } from './options/instance.js';
import { SyncOperations } from './sync.js';

/** A host's socket. */
export interface Listening {
  /** Path to give to clients as option `endpoint`, or in `CLUSTERED_CACHE_ENDPOINT`. */
  endpoint: string;
  /** Stops serving there; connected clients lose their host. */
  close(): Promise<void>;
}

/** An entry of a batch; its own options win. */
export type BatchEntry<K, V> = readonly [key: K, value: V] | readonly [key: K, value: V, options?: KeepOptions];

/**
 * One cache for every process of an application on one machine. In the process that hosts it, operations act on
 * memory; in every other one they go to the host over a private local socket. All instances of one namespace, in
 * any process, share the same entries.
 *
 * @typeParam K - keys: `string`, `number` or both; `1` and `'1'` are two keys
 * @typeParam V - values: anything that structured clone accepts
 * @example
 * ```js
 * import { ClusteredCache } from 'clustered-cache';
 *
 * const cache = new ClusteredCache({ namespace: 'users', max: 10_000, ttl: 60_000 });
 * await cache.set('1', { name: 'Ada' });
 * await cache.get('1'); // { name: 'Ada' }, in every worker
 * ```
 */
export class ClusteredCache<K extends string | number = string, V = unknown> extends SyncOperations<K, V> {
  // --- construct -------------------------------------------------------------------------------------------------

  /**
   * As `new ClusteredCache(options)`, but rejects if the host cannot be reached or refuses: for fail-fast start-up.
   *
   * @example
   * ```js
   * const cache = await ClusteredCache.getInstance({ namespace: 'users' });
   * ```
   */
  static async getInstance<K extends string | number = string, V = unknown>(
    options?: CacheOptions,
  ): Promise<ClusteredCache<K, V>> {
    const cache = new ClusteredCache<K, V>(options);
    try {
      await cache.ready;
    } catch (error) {
      await cache.close();
      throw error;
    }
    return cache;
  }

  /**
   * In a cluster's primary: hosts the cache from now on and, if options are given, creates their namespace.
   * Constructing a cache there does the same; calling it twice is fine. In an instance of a PM2 app: takes part in the
   * election of the host.
   *
   * @throws `ERR_CC_NOT_HOST` in a cluster's worker; `ERR_CC_INVALID_OPTION` with `attach`.
   * @example
   * ```js
   * if (cluster.isPrimary) ClusteredCache.bootstrap({ namespace: 'users', max: 10_000 });
   * ```
   */
  static bootstrap(options?: CacheOptions): void {
    if (electionKey() === undefined) {
      ClusteredCache.#requireHost('bootstrap');
      if (options?.attach) {
        throw invalidOption('attach', true, 'nothing in bootstrap(), which makes this process the host');
      }
    }
    // Closing releases the instance; the namespace keeps its options. It is opened first because it may load a
    // snapshot.
    if (options) void new ClusteredCache(options).close();
    ensureHost();
  }

  /**
   * Serves this process's cache on a socket, for processes that the cluster module does not connect.
   *
   * @throws `ERR_CC_NOT_HOST` in a cluster's worker, and in an instance of a PM2 app.
   * @example
   * ```js
   * const { endpoint, close } = await ClusteredCache.listen();
   * // elsewhere: new ClusteredCache({ endpoint })
   * ```
   */
  static async listen(options?: ListenOptions): Promise<Listening> {
    ClusteredCache.#requireHost('listen');
    const { endpoint: path } = checkListen(options);
    hostLink();
    const host = isolate();
    const { endpoint } = translated(() => host.listen(path));
    return {
      endpoint,
      close: async () => void host.unlisten(endpoint),
    };
  }

  /**
   * All namespaces of this host, by name.
   *
   * @throws `ERR_CC_NOT_HOST` in a client; every instance of a PM2 app is one.
   */
  static getAllCaches(): Map<string, ClusteredCache<string | number>> {
    ClusteredCache.#requireHost('getAllCaches');
    return new Map(
      unscoped(isolate().namespaces()).map((namespace) => [
        namespace,
        new ClusteredCache<string | number>({ namespace, role: 'host' }),
      ]),
    );
  }

  static #requireHost(method: string): void {
    const reason = whyNoHost();
    if (reason !== undefined) throw codedError('ERR_CC_NOT_HOST', `${method}() was called ${reason}`);
  }

  // --- one key ---------------------------------------------------------------------------------------------------

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
   * Gives an entry a new time to live from now, without rewriting it. Resolves whether there was one.
   *
   * @example
   * ```js
   * await cache.touch('session:1', { ttl: 30_000 });
   * ```
   */
  touch(key: K, options?: { ttl?: number }): Promise<boolean> {
    return this.call(TOUCH, key, options);
  }

  // --- counters --------------------------------------------------------------------------------------------------

  /**
   * Adds to a counter and resolves its new value. A missing counter starts at 0; its `ttl` counts from
   * its creation, so that a window is not extended. `min` and `max` clamp.
   *
   * @example
   * ```js
   * const hits = await cache.incr('hits:home', 1, { ttl: 60_000 });
   * ```
   */
  incr(key: K, amount = 1, options?: CountOptions): Promise<number> {
    return this.call(INCR, key, amount, options);
  }

  /**
   * Subtracts from a counter; see {@link incr}.
   *
   * @example
   * ```js
   * await cache.decr('slots', 1, { min: 0 });
   * ```
   */
  decr(key: K, amount = 1, options?: CountOptions): Promise<number> {
    return this.call(INCR, key, negated(amount), options);
  }

  /**
   * As {@link incr}, but also resolves, in the same atomic step, what rate limiters need.
   *
   * @example
   * ```js
   * const { value, remainingTTL, created } = await cache.count('ip:1.2.3.4', 1, { ttl: 60_000 });
   * ```
   */
  count(key: K, amount = 1, options?: CountOptions): Promise<Counted> {
    return this.call(COUNT, key, amount, options);
  }

  // --- many keys -------------------------------------------------------------------------------------------------

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
    return this.run(getMany(keys)) as Promise<Map<K, V | undefined>>;
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
    return this.run(setMany(entries, options));
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
    return this.run(deleteMany(keys));
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
    return this.run(hasMany(keys)) as Promise<Map<K, boolean>>;
  }

  /**
   * Removes all entries, or those whose string keys begin with `prefix`. Resolves how many.
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
   * All keys, most recently used first.
   *
   * @example
   * ```js
   * await cache.keys({ prefix: 'user:' });
   * ```
   */
  keys(options?: { prefix?: string }): Promise<K[]> {
    return this.run(keys(options)) as Promise<K[]>;
  }

  /**
   * All values, most recently used first.
   *
   * @example
   * ```js
   * await cache.values({ prefix: 'user:' });
   * ```
   */
  values(options?: { prefix?: string }): Promise<V[]> {
    return this.run(values(options)) as Promise<V[]>;
  }

  /**
   * All entries, most recently used first.
   *
   * @example
   * ```js
   * new Map(await cache.entries());
   * ```
   */
  entries(options?: { prefix?: string }): Promise<[K, V][]> {
    return this.run(entries(options)) as Promise<[K, V][]>;
  }

  /**
   * All entries, most recently used first, fetched in pages, so that they are never all in this process's memory at
   * once.
   *
   * @example
   * ```js
   * for await (const [key, user] of cache) console.log(key, user);
   * ```
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<[K, V], void, void> {
    let page = await this.call(SCAN, ScanFields.Entries);
    try {
      while (true) {
        for (const { key, value } of page.entries) yield [key as K, value as V];
        const { cursor } = page;
        if (cursor === 0) return;
        page = await this.call(NEXT_PAGE, cursor);
      }
    } finally {
      const { cursor } = page;
      // The loop was left early: let the host drop the scan cursor.
      if (cursor !== 0 && !this.closedError) await this.call(END_SCAN, cursor).catch(() => {});
    }
  }

  /**
   * How many entries there are.
   *
   * @example
   * ```js
   * await cache.size();
   * ```
   */
  async size(): Promise<number> {
    return (await this.stats()).size;
  }

  /**
   * The size of all entries: bytes of keys and values, or units of `size` where entries were given one.
   *
   * @example
   * ```js
   * await cache.calculatedSize();
   * ```
   */
  async calculatedSize(): Promise<number> {
    return (await this.stats()).calculatedSize;
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
   * A snapshot with remaining times, most recently used first.
   *
   * @example
   * ```js
   * await writeFile('cache.json', JSON.stringify(await cache.dump()));
   * ```
   */
  dump(): Promise<Dump<K, V>> {
    return this.run(dump()) as Promise<Dump<K, V>>;
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
    return this.run(load(entries));
  }

  // --- loading ---------------------------------------------------------------------------------------------------

  /**
   * The cached value, or the fetcher's. However many callers ask at once, in however many processes, the fetcher runs
   * once in the cluster. The other callers wait for its value, or take over when its process dies or takes too long. An
   * error that it throws reaches all of them; `undefined` is returned but not stored.
   *
   * @example
   * ```js
   * const user = await cache.fetch('user:1', (key) => db.users.find(key), { ttl: 60_000 });
   * ```
   */
  fetch(key: K, fetcher: Fetcher<K, V>, options?: FetchOptions): Promise<V | undefined> {
    if (this.closedError) return Promise.reject(this.closedError);
    const { link, handle, native, policy, leases, near } = this;
    return fetchOnce({ link, handle, native, policy, leases, near }, key, fetcher, options);
  }

  // --- life and metrics ------------------------------------------------------------------------------------------

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
  async stats(): Promise<CacheStats> {
    this.near?.report();
    const stats = await this.call(STATS);
    return { namespace: this.namespace, ...stats, near: { hits: this.near?.hits ?? 0 } };
  }

  /**
   * Drops the namespace and all its entries, for all processes; later use creates it again with this instance's
   * options.
   *
   * @example
   * ```js
   * await cache.destroy();
   * ```
   */
  async destroy(): Promise<void> {
    await this.call(DESTROY);
  }

  /**
   * The maximum number of entries; given a value, changes it at once.
   *
   * @example
   * ```js
   * await cache.max(5_000);
   * ```
   */
  async max(max?: number): Promise<number | undefined> {
    return (await this.#tune('max', max)).max;
  }

  /**
   * The maximum number of bytes, or units of `size`; given a value, changes it at once.
   *
   * @example
   * ```js
   * await cache.maxSize(64 * 1024 * 1024);
   * ```
   */
  async maxSize(maxSize?: number): Promise<number> {
    return (await this.#tune('maxSize', maxSize)).maxSize;
  }

  /**
   * The default time to live in ms; given a value, changes it for entries stored later.
   *
   * @example
   * ```js
   * await cache.ttl(30_000);
   * ```
   */
  async ttl(ttl?: number): Promise<number> {
    return (await this.#tune('ttl', ttl)).ttl;
  }

  /**
   * Whether a stale entry is returned once before it is removed; given a value, changes it.
   *
   * @example
   * ```js
   * await cache.allowStale(true);
   * ```
   */
  async allowStale(allowStale?: boolean): Promise<boolean> {
    return (await this.#tune('allowStale', allowStale)).allowStale;
  }

  #tune(name: Tunable, value: unknown) {
    return value === undefined ? this.call(SETTINGS) : this.call(TUNE, name, value);
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
    const asked = read([...iterable('keys', keys)], found);
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
