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

/** How to keep an entry. */
export interface SetOptions {
  /** Time to live in ms; 0 is none. Default: the namespace's. */
  ttl?: number | undefined;
  /** Milliseconds since the Unix epoch at which the entry ends; wins over `ttl`. */
  expiresAt?: number | undefined;
  /** Size that counts against the bounds. Default: the bytes that key and value take. */
  size?: number | undefined;
}

/** How to keep an entry that a counter, a batch or a load creates. */
export type KeepOptions = Omit<SetOptions, 'expiresAt'>;

/** How to change a counter. */
export interface CountOptions extends KeepOptions {
  /** The result is never below. */
  min?: number | undefined;
  /** The result is never above. */
  max?: number | undefined;
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
  endpoint: path,
} as const satisfies Record<string, Check>;

/** The names of the options that calls have. */
export type CallOption = keyof typeof CALL_OPTIONS;

/** Checks the options of `listen`. */
export function checkListen(options: ListenOptions | undefined): ListenOptions {
  return checkCall(options, ['endpoint']);
}
