/** Options of single calls. */

import { native } from '../native.js';
import {
  abortSignal,
  boolean,
  duration,
  finite,
  invalidOption,
  path,
  plainObject,
  positive,
  positiveInteger,
  text,
  type Check,
} from './checks.js';

/** How to keep an entry that a counter or a load creates. */
export interface KeepOptions {
  /** Time to live in ms; 0 is none. Default: the namespace's. */
  ttl?: number | undefined;
  /** Size that counts against the bounds. Default: the bytes that key and value take. */
  size?: number | undefined;
}

/** How to keep an entry. */
export interface EntryOptions extends KeepOptions {
  /**
   * Milliseconds since the Unix epoch at which the entry ends, by this process's `Date.now()`; wins over `ttl`. An end
   * that is past removes what is there.
   */
  expiresAt?: number | undefined;
}

/** How to store an entry. */
export interface SetOptions extends EntryOptions {
  /** Store only over a fresh entry. Default `false`. */
  ifPresent?: boolean | undefined;
}

/** How to store or delete many entries. */
export interface EachOptions {
  /** Resolve a `Map` with a boolean for each key, instead of a number. Default `false`. */
  each?: boolean | undefined;
}

/** How to keep the entries of a batch, and what to resolve. */
export interface BatchOptions extends EntryOptions, EachOptions {}

/** The new end of an entry. */
export type TouchOptions = Pick<EntryOptions, 'ttl' | 'expiresAt'>;

/** How to change a counter. */
export interface CountOptions extends KeepOptions {
  /** The result is never below. */
  min?: number | undefined;
  /** The result is never above. */
  max?: number | undefined;
  /**
   * The caller's `Date.now()`: whether the counter has expired is then judged by the caller's clock. Default: the host's
   * clock, which no change of the time of day affects.
   */
  now?: number | undefined;
  /** Do not create the counter; `undefined` is resolved where there is none. Default `false`. */
  ifPresent?: boolean | undefined;
}

/** Which entries to go through, and how. */
export interface ScanOptions {
  /** Only string keys that begin so. */
  prefix?: string | undefined;
  /** Entries that are fetched at once. Default 1 024, at most 4 096. */
  page?: number | undefined;
}

/** How to load. */
export interface FetchOptions extends KeepOptions {
  /** Load even if there is a value. */
  forceRefresh?: boolean | undefined;
  /** Time in ms for the load before the next waiter takes over. Default 30 000. */
  lease?: number | undefined;
  /** Ends this caller's wait; another caller's load continues. */
  signal?: AbortSignal | undefined;
}

/** Where to listen. */
export interface ListenOptions {
  /** Path of the socket, in a directory of this user that no other user can enter. Default: a private one. */
  endpoint?: string | undefined;
}

/** How long a load may take before the next waiter takes over, in ms. */
export const { DEFAULT_LEASE } = native;

/** The options of a call without any. */
const NONE = Object.freeze({});

/**
 * Checks the options of one call and copies them, reading each once: what a getter returns is what was checked.
 * `undefined` becomes an object without options.
 */
export function checkCall<T extends object>(options: T | undefined, allowed: readonly (keyof T & CallOption)[]): T {
  if (options === undefined) return NONE as T;
  const given = plainObject('options', options) as Record<string, unknown>;
  for (const name of Object.keys(given)) {
    if (!(allowed as readonly string[]).includes(name)) {
      throw invalidOption(name, given[name], `one of ${allowed.join(', ')}`);
    }
  }
  const checked: Record<string, unknown> = {};
  for (const name of allowed) {
    const value = given[name];
    if (value === undefined) continue;
    CALL_OPTIONS[name](name, value);
    checked[name] = value;
  }
  return checked as T;
}

const CALL_OPTIONS = {
  ttl: duration,
  expiresAt: finite,
  size: positiveInteger,
  min: finite,
  max: finite,
  lease: positive,
  forceRefresh: boolean,
  signal: abortSignal,
  prefix: text,
  page: positiveInteger,
  now: finite,
  ifPresent: boolean,
  each: boolean,
  endpoint: path,
} as const satisfies Record<string, Check>;

/** The names of the options that calls have. */
export type CallOption = keyof typeof CALL_OPTIONS;

/** Checks the options of `listen`. */
export function checkListen(options: ListenOptions | undefined): ListenOptions {
  return checkCall(options, ['endpoint']);
}
