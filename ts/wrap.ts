/** A typed view of a cache whose values pass through a user's own codec. */

import type { ClusteredCache } from './cache.js';
import type { BatchEntry } from './cache/batches.js';
import { codedError } from './errors.js';
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
 * `'own'` methods of its own for some, `'passed'` ones do not handle values, and `'absent'` ones do not exist on a view.
 * Omitting a member here is a compile error.
 */
const OTHERS = {
  fetch: 'own',
  scan: 'own',

  stats: 'passed',
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
} as const satisfies Record<
  Exclude<keyof ClusteredCache, symbol | MethodName | `${SyncMethodName}Sync`>,
  'own' | 'passed' | 'absent'
>;

/** Methods of several steps that handle values; all others pass through. */
const STEPS = {
  mGet: 'own',
  mSet: 'own',
  values: 'own',
  entries: 'own',

  dump: 'absent',
  load: 'absent',
} as const satisfies Partial<Record<MethodName, 'own' | 'absent'>>;

type ByHand = typeof OTHERS & typeof STEPS;
type Names<Treatment> = { [Name in keyof ByHand]: ByHand[Name] extends Treatment ? Name : never }[keyof ByHand];

/** The methods that handle no values. */
type Passed = Exclude<MethodName, CodedMethodName | keyof typeof STEPS> | Names<'passed'>;
/** The methods whose values pass through the codec. */
type Coded = CodedMethodName | Names<'own'>;

type Method = (...args: unknown[]) => Promise<unknown>;

/** A view of a cache with values of type `V`, stored as `S`. */
export interface WrappedCache<K extends string | number, V, S = unknown> extends Pick<
  ClusteredCache<K, V>,
  Passed | Coded | typeof Symbol.asyncIterator
> {
  /** The cache under the view. */
  readonly cache: ClusteredCache<K, S>;
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
    return { ...this.#passed(), ...this.#coded(), ...this.#own() };
  }

  /** Does not compile if one of them handles values: a method for values of type `S` is none for those of type `V`. */
  #passed(): Pick<ClusteredCache<K, V>, Passed> {
    const names = METHODS.filter((method) => !isCoded(method) && !(method.method in STEPS)).map(({ method }) => method);
    const others = Object.entries(OTHERS).filter(([, treatment]) => treatment === 'passed');
    const passed = [...names, ...others.map(([name]) => name)].map((name) => [name, this.#method(name)]);
    return Object.fromEntries(passed) as Pick<ClusteredCache<K, S>, Passed>;
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

  #own(): Pick<WrappedCache<K, V, S>, Names<'own'> | 'cache' | typeof Symbol.asyncIterator> {
    const cache = this.#cache;
    return {
      cache,
      mGet: (keys) => this.#decodeMany(cache.mGet(keys)),
      mSet: (async (entries: Iterable<BatchEntry<K, V>>, options?: BatchOptions) =>
        cache.mSet(await this.#encodeEntries(entries), options as { each?: false })) as ClusteredCache<K, V>['mSet'],
      values: async (options) => (await this.#decodeAll('values', cache.entries(options))).map(([, value]) => value),
      entries: (options) => this.#decodeAll('entries', cache.entries(options)),
      fetch: (key, fetcher, options) => this.#fetch(key, fetcher, options),
      scan: (options) => this.#scan(options),
      [Symbol.asyncIterator]: () => this.#scan(),
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
