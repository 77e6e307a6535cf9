/**
 * One cache shared by every process of a Node.js application on one machine.
 *
 * @packageDocumentation
 */

import { answerChildren } from './discovery/rendezvous.js';

export { ClusteredCache, type Listening } from './cache.js';
export type { BatchEntry } from './cache/batches.js';
export { memoize, type FetchingCache, type Memoized } from './memoize.js';
export { wrap, type Codec, type WrappedCache } from './wrap.js';
export {
  ClusteredCacheError,
  isClusteredCacheError,
  type CodedError,
  type ErrorCode,
  type ErrorPlace,
} from './errors.js';
export type { CacheStats, Counted, EntryInfo } from './operations/answers.js';
export type { CacheEvents, UndecodableEvent } from './events.js';
export type { Dump, DumpedEntry } from './operations/scans.js';
export type { Fetcher, FetcherContext } from './operations/fetch.js';
export type {
  BatchOptions,
  CountOptions,
  EachOptions,
  EntryOptions,
  FetchOptions,
  KeepOptions,
  ListenOptions,
  ScanOptions,
  SetOptions,
  TouchOptions,
} from './options/calls.js';
export type { CacheOptions, Failsafe, NearOptions, PersistOptions } from './options/instance.js';
export type { NamespaceOptions } from './options/namespace.js';

// An import is enough: workers find the host whether they start before or after it, helpers if they start after it.
answerChildren();
