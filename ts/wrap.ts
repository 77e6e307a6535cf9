/** A typed view of a cache whose values pass through a user's own codec. */

import type { BatchEntry, ClusteredCache } from './cache.js';
import { codedError } from './errors.js';
import type { Fetcher } from './operations/fetch.js';
import type { FetchOptions, KeepOptions, SetOptions } from './options/calls.js';

/** How values become what the cache stores, and back. Both may be asynchronous. */
export interface Codec<V, S = unknown> {
  encode(value: V): S | Promise<S>;
  decode(stored: S): V | Promise<V>;
}

/**
 * How a view treats each member of a cache: `'codec'` members handle values, `'passed'` members do not and pass through
 * unchanged, `'absent'` members do not exist on a view. Omitting a member here is a compile error.
 */
const MEMBERS = {
  get: 'codec',
  peek: 'codec',
  getAndDelete: 'codec',
  getAndSet: 'codec',
  set: 'codec',
  setIfAbsent: 'codec',
  mGet: 'codec',
  mSet: 'codec',
  values: 'codec',
  entries: 'codec',
  fetch: 'codec',

  delete: 'passed',
  has: 'passed',
  mHas: 'passed',
  mDelete: 'passed',
  clear: 'passed',
  keys: 'passed',
  size: 'passed',
  calculatedSize: 'passed',
  incr: 'passed',
  decr: 'passed',
  count: 'passed',
  info: 'passed',
  getRemainingTTL: 'passed',
  touch: 'passed',
  purgeStale: 'passed',
  healthCheck: 'passed',
  stats: 'passed',
  destroy: 'passed',
  max: 'passed',
  maxSize: 'passed',
  ttl: 'passed',
  allowStale: 'passed',
  close: 'passed',

  namespace: 'absent',
  role: 'absent',
  transport: 'absent',
  ready: 'absent',
  on: 'absent',
  once: 'absent',
  off: 'absent',
  dump: 'absent',
  load: 'absent',
  getSync: 'absent',
  peekSync: 'absent',
  hasSync: 'absent',
  setSync: 'absent',
  setIfAbsentSync: 'absent',
  deleteSync: 'absent',
  getAndDeleteSync: 'absent',
  getAndSetSync: 'absent',
  clearSync: 'absent',
  mGetSync: 'absent',
  mHasSync: 'absent',
  mSetSync: 'absent',
  mDeleteSync: 'absent',
  incrSync: 'absent',
  decrSync: 'absent',
  countSync: 'absent',
  infoSync: 'absent',
  getRemainingTTLSync: 'absent',
  touchSync: 'absent',
  keysSync: 'absent',
  valuesSync: 'absent',
  entriesSync: 'absent',
  sizeSync: 'absent',
  calculatedSizeSync: 'absent',
  purgeStaleSync: 'absent',
} as const satisfies Record<Exclude<keyof ClusteredCache, symbol>, 'codec' | 'passed' | 'absent'>;

type Members = typeof MEMBERS;
type Passed = { [Name in keyof Members]: Members[Name] extends 'passed' ? Name : never }[keyof Members];
type Coded = { [Name in keyof Members]: Members[Name] extends 'codec' ? Name : never }[keyof Members];

const PASSED = (Object.keys(MEMBERS) as (keyof Members)[]).filter((name): name is Passed => MEMBERS[name] === 'passed');

/** A view of a cache with values of type `V`, stored as `S`. */
export interface WrappedCache<K extends string | number, V, S = unknown> extends Pick<ClusteredCache<K, S>, Passed> {
  /** The cache under the view. */
  readonly cache: ClusteredCache<K, S>;
  get(key: K): Promise<V | undefined>;
  peek(key: K): Promise<V | undefined>;
  getAndDelete(key: K): Promise<V | undefined>;
  getAndSet(key: K, value: V, options?: SetOptions): Promise<V | undefined>;
  set(key: K, value: V, options?: SetOptions): Promise<boolean>;
  setIfAbsent(key: K, value: V, options?: KeepOptions): Promise<boolean>;
  mGet(keys: Iterable<K>): Promise<Map<K, V | undefined>>;
  mSet(entries: Iterable<BatchEntry<K, V>>, options?: KeepOptions): Promise<number>;
  values(options?: { prefix?: string }): Promise<V[]>;
  entries(options?: { prefix?: string }): Promise<[K, V][]>;
  fetch(key: K, fetcher: Fetcher<K, V>, options?: FetchOptions): Promise<V | undefined>;
  [Symbol.asyncIterator](): AsyncGenerator<[K, V], void, void>;
}

/**
 * Views a cache through a codec: for classes, compression, encryption or a schema.
 *
 * @example
 * ```js
 * import { ClusteredCache, wrap } from 'clustered-cache';
 * import { gzipSync, gunzipSync } from 'node:zlib';
 *
 * const texts = wrap(new ClusteredCache({ namespace: 'texts' }), {
 *   encode: (text) => gzipSync(text),
 *   decode: (bytes) => gunzipSync(bytes).toString(),
 * });
 * await texts.set('long', 'a'.repeat(10_000));
 * await texts.get('long'); // the text; stored are a few bytes
 * ```
 */
export function wrap<K extends string | number, V, S>(
  cache: ClusteredCache<K, S> | ClusteredCache<K, unknown>,
  codec: Codec<V, S>,
): WrappedCache<K, V, S> {
  for (const name of ['encode', 'decode'] as const) {
    if (typeof (codec as Partial<Codec<V, S>> | undefined)?.[name] !== 'function') {
      throw codedError('ERR_CC_INVALID_ARGUMENT', `\`codec.${name}\` must be a function`);
    }
  }
  if (typeof (cache as Partial<ClusteredCache> | undefined)?.fetch !== 'function') {
    throw codedError('ERR_CC_INVALID_ARGUMENT', '`cache` must be a ClusteredCache');
  }
  const inner = cache as ClusteredCache<K, S>;
  const passed = Object.fromEntries(
    PASSED.map((name) => [name, (inner[name] as (...args: unknown[]) => unknown).bind(inner)]),
  ) as unknown as Pick<ClusteredCache<K, S>, Passed>;
  return { ...passed, ...new View(inner, codec).methods() };
}

/** The members that a view implements itself; omitting one that handles values is a compile error. */
type Own<K extends string | number, V, S> = Pick<WrappedCache<K, V, S>, Coded | 'cache' | typeof Symbol.asyncIterator>;

class View<K extends string | number, V, S> {
  readonly #cache: ClusteredCache<K, S>;
  readonly #codec: Codec<V, S>;

  constructor(cache: ClusteredCache<K, S>, codec: Codec<V, S>) {
    this.#cache = cache;
    this.#codec = codec;
  }

  methods(): Own<K, V, S> {
    const cache = this.#cache;
    return {
      cache,
      get: async (key) => this.#decode(await cache.get(key)),
      peek: async (key) => this.#decode(await cache.peek(key)),
      getAndDelete: async (key) => this.#decode(await cache.getAndDelete(key)),
      getAndSet: async (key, value, options) =>
        this.#decode(await cache.getAndSet(key, await this.#codec.encode(value), options)),
      set: async (key, value, options) => cache.set(key, await this.#codec.encode(value), options),
      setIfAbsent: async (key, value, options) => cache.setIfAbsent(key, await this.#codec.encode(value), options),
      mGet: async (keys) => new Map(await this.#decodePairs([...(await cache.mGet(keys))])),
      mSet: async (entries, options) => cache.mSet(await this.#encodeEntries(entries), options),
      values: async (options) => Promise.all((await cache.values(options)).map((stored) => this.#codec.decode(stored))),
      entries: async (options) => (await this.#decodePairs(await cache.entries(options))) as [K, V][],
      fetch: (key, fetcher, options) => this.#fetch(key, fetcher, options),
      [Symbol.asyncIterator]: () => this.#iterate(),
    };
  }

  async #decode(stored: S | undefined): Promise<V | undefined> {
    return stored === undefined ? undefined : await this.#codec.decode(stored);
  }

  #decodePairs(pairs: [K, S | undefined][]): Promise<[K, V | undefined][]> {
    return Promise.all(
      pairs.map(async ([key, stored]): Promise<[K, V | undefined]> => [key, await this.#decode(stored)]),
    );
  }

  #encodeEntries(entries: Iterable<BatchEntry<K, V>>): Promise<BatchEntry<K, S>[]> {
    return Promise.all(
      Array.from(entries, async ([key, value, options]): Promise<BatchEntry<K, S>> => [
        key,
        await this.#codec.encode(value),
        options,
      ]),
    );
  }

  async #fetch(key: K, fetcher: Fetcher<K, V>, options?: FetchOptions): Promise<V | undefined> {
    const encoding: Fetcher<K, S> = async (loadKey, context) => {
      const value = await fetcher(loadKey, context);
      return value === undefined ? undefined : await this.#codec.encode(value);
    };
    return this.#decode(await this.#cache.fetch(key, encoding, options));
  }

  async *#iterate(): AsyncGenerator<[K, V], void, void> {
    for await (const [key, stored] of this.#cache) yield [key, await this.#codec.decode(stored)];
  }
}
