/**
 * One cache shared by every process of a Node.js application on one machine.
 *
 * @packageDocumentation
 */

import { answerChildren } from './rendezvous.js';

export { ClusteredCache, type BatchEntry, type Listening } from './cache.js';
export { memoize, type FetchingCache, type Memoized } from './memoize.js';
export { wrap, type Codec, type WrappedCache } from './wrap.js';
export { ClusteredCacheError, isClusteredCacheError, type CodedError, type ErrorCode } from './errors.js';
export type { CacheStats, Counted, EntryInfo } from './answers.js';
export type { CacheEvents } from './instance.js';
export type { Dump, DumpedEntry } from './procedures.js';
export type { Fetcher, FetcherContext } from './fetch.js';
export type {
  CacheOptions,
  CountOptions,
  Failsafe,
  FetchOptions,
  KeepOptions,
  NearOptions,
  ListenOptions,
  PersistOptions,
  SetOptions,
} from './options.js';

// An import is enough: workers find their host whether they come before it or after, helpers if they come after it.
answerChildren();
