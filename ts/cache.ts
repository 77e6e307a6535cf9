/**
 * The public cache class. Its methods are in `cache/`, one file for each family of operations.
 */

import { resolve } from 'node:path';
import { SyncMethods } from './cache/sync.js';
import { scoped, unscoped, whyNoHost } from './discovery/environment.js';
import { isolate, isolateName } from './discovery/isolate.js';
import { ensureHost, hostLink, whyNotHosting } from './discovery/link-registry.js';
import { electionKey } from './discovery/pm2.js';
import { codedError } from './errors.js';
import { uncounted } from './instances.js';
import { translated } from './native.js';
import { fetchOnce, type Fetcher, type FetcherContext } from './operations/fetch.js';
import { checkListen, type FetchOptions, type ListenOptions } from './options/calls.js';
import { invalidOption } from './options/checks.js';
import type { CacheOptions } from './options/instance.js';

/** A host's socket. */
export interface Listening {
  /** Path to give to clients as option `endpoint`, or in `CLUSTERED_CACHE_ENDPOINT`. */
  endpoint: string;
  /** Stops serving there; connected clients lose their host. */
  close(): Promise<void>;
}

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
export class ClusteredCache<K extends string | number = string, V = unknown> extends SyncMethods<K, V> {
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
    const { endpoint: named } = checkListen(options);
    const path = named && resolve(named);
    hostLink();
    const host = isolate();
    const { endpoint } = translated(() => host.listen(path));
    return {
      endpoint,
      close: async () => void host.unlisten(endpoint),
    };
  }

  /**
   * All namespaces of this host, by name. The caches are the same ones at each call, as long as the application keeps
   * them; they need not be closed.
   *
   * @throws `ERR_CC_NOT_HOST` in a client; every instance of a PM2 app is one.
   */
  static getAllCaches(): Map<string, ClusteredCache<string | number>> {
    ClusteredCache.#requireHost('getAllCaches', whyNoHost() ?? whyNotHosting());
    for (const [key, cache] of ClusteredCache.#all) if (!cache.deref()) ClusteredCache.#all.delete(key);
    return new Map(unscoped(isolate().namespaces()).map((name) => [name, ClusteredCache.#shown(name)]));
  }

  /** The caches that {@link getAllCaches} has returned, by the names of their namespaces on the host. */
  static readonly #all = new Map<string, WeakRef<ClusteredCache<string | number>>>();

  static #shown(namespace: string): ClusteredCache<string | number> {
    const key = `${isolateName()} ${scoped(namespace)}`;
    const known = ClusteredCache.#all.get(key)?.deref();
    if (known && !known.closedError) return known;
    const cache = uncounted(() => new ClusteredCache<string | number>({ namespace, role: 'host' }));
    ClusteredCache.#all.set(key, new WeakRef(cache));
    return cache;
  }

  static #requireHost(method: string, reason = whyNoHost()): void {
    if (reason !== undefined) throw codedError('ERR_CC_NOT_HOST', `${method}() was called ${reason}`);
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
  fetch(
    key: K,
    fetcher: (key: K, context: FetcherContext) => V | Promise<V>,
    options?: FetchOptions | undefined,
  ): Promise<V>;
  /** The same for a fetcher that may find nothing. */
  fetch(key: K, fetcher: Fetcher<K, V>, options?: FetchOptions | undefined): Promise<V | undefined>;
  fetch(key: K, fetcher: Fetcher<K, V>, options?: FetchOptions): Promise<V | undefined> {
    if (this.closedError) return Promise.reject(this.closedError);
    return fetchOnce(this.loading, key, fetcher, options);
  }
}
