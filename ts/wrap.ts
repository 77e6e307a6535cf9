/** A typed view of a cache whose values pass through a user's own codec. */

import { inspect } from 'node:util';
import type { ClusteredCache } from './cache.js';
import type { BatchEntry } from './cache/batches.js';
import { codedError } from './errors.js';
import type { CacheEvents } from './events.js';
import type { Fetcher } from './operations/fetch.js';
import {
  METHODS,
  isCoded,
  type CodedMethodName,
  type MethodName,
  type Requesting,
  type SyncMethodName,
} from './operations/methods.js';
import type { BatchOptions, FetchOptions, ScanOptions } from './options/calls.js';
import { LEFT_OUT, Undecodable } from './values/undecodable.js';

/** How values become what the cache stores, and back. Both may be asynchronous. */
export interface Codec<V, S = unknown> {
  encode(value: V): S | Promise<S>;
  decode(stored: S): V | Promise<V>;
}

/**
 * The members of a cache that do not only request an operation, or the steps of one, and how a view treats them: it has
 * `'own'` methods of its own for some, `'passed'` ones do not handle values, and `'shown'` ones are properties. Omitting
 * a member here is a compile error.
 */
const OTHERS = {
  fetch: 'own',
  scan: 'own',
  getSync: 'own',
  peekSync: 'own',
  on: 'own',
  once: 'own',
  off: 'own',
  removeListener: 'own',

  stats: 'passed',
  close: 'passed',
  hasSync: 'passed',

  namespace: 'shown',
  role: 'shown',
  transport: 'shown',
  ready: 'shown',
} as const satisfies Record<
  Exclude<keyof ClusteredCache, symbol | MethodName | HostOnly> | FromMemory,
  'own' | 'passed' | 'shown'
>;

/** Synchronous methods that work in every process. */
type FromMemory = 'getSync' | 'peekSync' | 'hasSync';
/** Synchronous methods that only the host has an answer for. A view does not have them. */
type HostOnly = Exclude<`${SyncMethodName}Sync`, FromMemory>;

/** Methods of several steps that handle values; all others pass through. `'stored'` ones take or give them encoded. */
const STEPS = {
  mGet: 'own',
  mSet: 'own',
  values: 'own',
  entries: 'own',

  dump: 'stored',
  load: 'stored',
} as const satisfies Partial<Record<MethodName, 'own' | 'stored'>>;

type ByHand = typeof OTHERS & typeof STEPS;
type Names<Treatment> = { [Name in keyof ByHand]: ByHand[Name] extends Treatment ? Name : never }[keyof ByHand];

/** The methods that handle no values. */
type Passed = Exclude<MethodName, CodedMethodName | keyof typeof STEPS> | Names<'passed'>;
/** The methods that add and remove listeners, and return what they were called on. */
type Listening = 'on' | 'once' | 'off' | 'removeListener';
/** The methods whose values pass through the codec. */
type Coded = CodedMethodName | Exclude<Names<'own'>, Listening>;

type Method = (...args: unknown[]) => unknown;

/** A view of a cache with values of type `V`, stored as `S`. */
export interface WrappedCache<K extends string | number, V, S = unknown>
  extends
    Pick<
      ClusteredCache<K, V>,
      Passed | Coded | Names<'shown'> | typeof Symbol.asyncIterator | typeof Symbol.asyncDispose
    >,
    Pick<ClusteredCache<K, S>, Names<'stored'>> {
  /** The cache under the view. */
  readonly cache: ClusteredCache<K, S>;
  /** As on the cache. */
  on<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this;
  /** As on the cache. */
  once<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this;
  /** As on the cache. */
  off<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this;
  /** As on the cache. */
  removeListener<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this;
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
  return new View(cache as ClusteredCache<K, S>, codec).members();
}

class View<K extends string | number, V, S> {
  readonly #cache: ClusteredCache<K, S>;
  readonly #codec: Codec<V, S>;

  constructor(cache: ClusteredCache<K, S>, codec: Codec<V, S>) {
    this.#cache = cache;
    this.#codec = codec;
  }

  members(): WrappedCache<K, V, S> {
    const members = { ...this.#passed(), ...this.#coded(), ...this.#own() } as WrappedCache<K, V, S>;
    this.#listen(members);
    this.#show(members);
    return members;
  }

  /** Does not compile if one of them handles values: a method for values of type `S` is none for those of type `V`. */
  #passed(): Pick<ClusteredCache<K, V>, Passed> {
    const requests = METHODS.filter((method) => !isCoded(method) && !isOwn(method.method));
    const others = Object.keys(OTHERS).filter((name) => OTHERS[name as keyof typeof OTHERS] === 'passed');
    const names = [...requests.map(({ method }) => method), ...others];
    return Object.fromEntries(names.map((name) => [name, this.#method(name)])) as Pick<ClusteredCache<K, S>, Passed>;
  }

  /** Adds the methods for listeners, which return the view. */
  #listen(members: WrappedCache<K, V, S>): void {
    const cache = this.#cache;
    for (const name of ['on', 'once', 'off', 'removeListener'] as const satisfies readonly Listening[]) {
      members[name] = (event, listener) => {
        cache[name](event, listener);
        return members;
      };
    }
  }

  /** Adds the properties. */
  #show(members: WrappedCache<K, V, S>): void {
    const cache = this.#cache;
    for (const [name, treatment] of Object.entries(OTHERS)) {
      if (treatment !== 'shown') continue;
      const get = () => cache[name as Names<'shown'>];
      Object.defineProperty(members, name, { get, enumerable: true, configurable: true });
    }
    // Older releases of Node.js do not have the symbol.
    if (Symbol.asyncDispose) members[Symbol.asyncDispose] = () => cache.close();
    Object.defineProperty(members, inspect.custom, { value: () => cache, configurable: true });
  }

  #coded(): Pick<ClusteredCache<K, V>, CodedMethodName> {
    const coded = METHODS.filter(isCoded).map((method) => [method.method, this.#throughCodec(method)]);
    return Object.fromEntries(coded) as Pick<ClusteredCache<K, V>, CodedMethodName>;
  }

  /** Encodes the value among the arguments, and decodes a result that is one. */
  #throughCodec({ method, valueAt, givesValue }: Requesting): Method {
    const call = this.#method(method);
    return async (...args) => {
      if (valueAt >= 0) args[valueAt] = await this.#codec.encode(args[valueAt] as V);
      const answer = await call(...args);
      return givesValue ? this.#decode(answer as S | undefined) : answer;
    };
  }

  #method(name: string): Method {
    const cache = this.#cache;
    return (cache[name as Passed | CodedMethodName] as Method).bind(cache);
  }

  #own(): Pick<WrappedCache<K, V, S>, Exclude<Names<'own'>, Listening> | 'cache' | typeof Symbol.asyncIterator> {
    const cache = this.#cache;
    return {
      cache,
      mGet: (keys) => this.#decodeMany(cache.mGet(keys)),
      mSet: (async (entries: Iterable<BatchEntry<K, V>>, options?: BatchOptions) =>
        cache.mSet(await this.#encodeEntries(entries), options as { each?: false })) as ClusteredCache<K, V>['mSet'],
      values: async (options) => (await this.#decodeAll('values', cache.entries(options))).map(([, value]) => value),
      entries: (options) => this.#decodeAll('entries', cache.entries(options)),
      scan: (options) => this.#scan(options),
      [Symbol.asyncIterator]: () => this.#scan(),
      fetch: ((key, fetcher, options) => this.#fetch(key, fetcher, options)) as WrappedCache<K, V, S>['fetch'],
      getSync: (key) => this.#decodeNow('getSync', cache.getSync(key)),
      peekSync: (key) => this.#decodeNow('peekSync', cache.peekSync(key)),
    };
  }

  async #decode(stored: S | undefined): Promise<V | undefined> {
    return stored === undefined ? undefined : await this.#codec.decode(stored);
  }

  /** The entries that the codec can decode. */
  async #decodeAll(operation: string, stored: Promise<[K, S][]> | [K, S][]): Promise<[K, V][]> {
    const pairs = await this.#decodePairs(operation, await stored);
    return pairs.filter((pair): pair is [K, V] => !(pair[1] instanceof Undecodable));
  }

  async #decodeMany(stored: Promise<Map<K, S | undefined>>): Promise<Map<K, V | undefined>> {
    const pairs = await this.#decodePairs('mGet', [...(await stored)]);
    return new Map(pairs.map(([key, value]) => [key, value instanceof Undecodable ? undefined : value]));
  }

  #decodeNow(method: string, stored: S | undefined): V | undefined {
    if (stored === undefined) return undefined;
    const value = this.#codec.decode(stored);
    if (!isPromise(value)) return value;
    // Its failure would be an unhandled rejection.
    value.then(undefined, () => {});
    throw codedError(
      'ERR_CC_INVALID_ARGUMENT',
      `${method}() of a view of namespace "${this.#cache.namespace}" needs a codec whose \`decode\` returns no promise; ` +
        `await ${method.replace('Sync', '')}() instead`,
    );
  }

  #decodePairs(operation: string, pairs: [K, S | undefined][]): Promise<[K, V | undefined | Undecodable][]> {
    return Promise.all(
      pairs.map(async ([key, stored]): Promise<[K, V | undefined | Undecodable]> => {
        try {
          return [key, await this.#decode(stored)];
        } catch (error) {
          this.#leftOut(key, error, operation);
          return [key, new Undecodable(error)];
        }
      }),
    );
  }

  #leftOut(key: K, error: unknown, operation: string): void {
    (this.#cache as Partial<Pick<ClusteredCache<K, S>, typeof LEFT_OUT>>)[LEFT_OUT]?.(key, error, operation);
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
    let isLoaded = false;
    const encoding: Fetcher<K, S> = async (loadKey, context) => {
      isLoaded = true;
      const value = await fetcher(loadKey, context);
      return value === undefined ? undefined : await this.#codec.encode(value);
    };
    const stored = await this.#cache.fetch(key, encoding, options);
    try {
      return await this.#decode(stored);
    } catch (error) {
      // A codec that cannot decode what it has just encoded would fail again.
      if (isLoaded) throw error;
      this.#leftOut(key, error, 'fetch');
    }
    return this.#decode(await this.#cache.fetch(key, encoding, { ...options, forceRefresh: true }));
  }

  async *#scan(options?: ScanOptions): AsyncGenerator<[K, V], void, void> {
    for await (const entry of this.#cache.scan(options)) yield* await this.#decodeAll('scan', [entry]);
  }
}

function isOwn(method: string): boolean {
  return Object.hasOwn(STEPS, method) && STEPS[method as keyof typeof STEPS] === 'own';
}

function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return typeof (value as Promise<T> | undefined)?.then === 'function';
}
