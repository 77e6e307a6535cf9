/** Options of a namespace: all who name it share them, and they can be changed at run time. Defaults are the core's. */

import type { NativeOptions } from '../native.js';
import { boolean, duration, positiveInteger, type Check } from './checks.js';

/** Options that all instances of a namespace share. */
export interface NamespaceOptions {
  /** Most entries. Default: no bound of its own. */
  max?: number;
  /** Most bytes (keys and values), or units of `size` where entries are given one. Default 256 MiB. */
  maxSize?: number;
  /** Largest entry in bytes (or units of `size`). Larger values are not stored. Default `maxSize`, at most 16 MiB. */
  maxEntrySize?: number;
  /** Time to live in ms of entries that are not given one; 0 is none. Default 0. */
  ttl?: number;
  /** A stale entry is returned once before it goes. Default `false`. */
  allowStale?: boolean;
  /** A read restarts an entry's time to live. Default `false`. */
  updateAgeOnGet?: boolean;
  /** `has` restarts an entry's time to live. Default `false`. */
  updateAgeOnHas?: boolean;
  /** A stale entry stays where a read met it. Default `false`. */
  noDeleteOnStaleGet?: boolean;
  /** Stale entries go when their time is over, not when they are met. Default `false`. */
  ttlAutopurge?: boolean;
  /** `null` is a value. Default `false`. */
  cacheNull?: boolean;
}

export const NAMESPACE_OPTIONS = {
  max: positiveInteger,
  maxSize: positiveInteger,
  maxEntrySize: positiveInteger,
  ttl: duration,
  allowStale: boolean,
  updateAgeOnGet: boolean,
  updateAgeOnHas: boolean,
  noDeleteOnStaleGet: boolean,
  ttlAutopurge: boolean,
  cacheNull: boolean,
} as const satisfies Record<keyof NamespaceOptions, Check>;

/** The options that native code takes, from checked ones. */
export function sharedOptions(options: NamespaceOptions): NativeOptions {
  const shared: Record<string, unknown> = {};
  for (const name of Object.keys(NAMESPACE_OPTIONS) as (keyof NamespaceOptions)[]) {
    if (options[name] !== undefined) shared[name] = options[name];
  }
  return shared;
}

/** Checks one option that is changed at run time. */
export function checkShared(name: keyof NamespaceOptions, value: unknown): void {
  NAMESPACE_OPTIONS[name](name, value);
}
