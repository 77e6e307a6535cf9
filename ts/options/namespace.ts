/**
 * Options of a namespace: all its instances share them, and some can be changed at run time. The core has the defaults.
 */

import { native, type NativeOptions } from '../native.js';
import { boolean, duration, positiveInteger, positiveIntegerUpTo, type Check } from './checks.js';

/** Options that all instances of a namespace share. */
export interface NamespaceOptions {
  /** Maximum number of entries. Default: bounded only by `maxSize`. */
  max?: number | undefined;
  /** Maximum number of bytes (keys and values), or units of `size` where entries are given one. At most 14 GiB. Default 256 MiB. */
  maxSize?: number | undefined;
  /** Largest entry in bytes (or units of `size`). Larger values are not stored. Default `maxSize`, at most 16 MiB. */
  maxEntrySize?: number | undefined;
  /** Time to live in ms of entries that are stored without one; 0 is none. Default 0. */
  ttl?: number | undefined;
  /** A stale entry is returned once before it is removed. Default `false`. */
  allowStale?: boolean | undefined;
  /** A read restarts an entry's time to live. Default `false`. */
  updateAgeOnGet?: boolean | undefined;
  /** `has` restarts an entry's time to live. Default `false`. */
  updateAgeOnHas?: boolean | undefined;
  /** A read of a stale entry does not remove it. Default `false`. */
  noDeleteOnStaleGet?: boolean | undefined;
  /** Entries are removed when they expire, not at the next read. Default `false`. */
  ttlAutopurge?: boolean | undefined;
  /** Whether `null` can be stored. Default `false`. */
  cacheNull?: boolean | undefined;
}

export const NAMESPACE_OPTIONS = {
  max: positiveInteger,
  maxSize: positiveIntegerUpTo(native.MAX_TABLE_BYTES),
  maxEntrySize: positiveInteger,
  ttl: duration,
  allowStale: boolean,
  updateAgeOnGet: boolean,
  updateAgeOnHas: boolean,
  noDeleteOnStaleGet: boolean,
  ttlAutopurge: boolean,
  cacheNull: boolean,
} as const satisfies Record<keyof NamespaceOptions, Check>;

/** Converts checked options to those of native code. */
export function sharedOptions(options: NamespaceOptions): NativeOptions {
  const shared: Record<string, unknown> = {};
  for (const name of Object.keys(NAMESPACE_OPTIONS) as (keyof NamespaceOptions)[]) {
    if (options[name] !== undefined) shared[name] = options[name];
  }
  return shared;
}

/** Checks one option for a change at run time. */
export function checkShared(name: keyof NamespaceOptions, value: unknown): void {
  NAMESPACE_OPTIONS[name](name, value);
}
