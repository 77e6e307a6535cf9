/**
 * What each operation does, once: arguments checked, native code asked, answers put together. `cache.ts` awaits it,
 * `sync.ts` runs it at once.
 */

import type { CacheStats, Counted, EntryInfo, Settings } from './answers.js';
import { deleteMany, getMany, hasMany, isOversize, iterable, scanAll, setMany } from './batches.js';
import { encode } from '../values/codec.js';
import { codedError, rangeError } from '../errors.js';
import type { Step, Steps } from './operation.js';
import { Fields, type NativeCache } from '../native.js';
import * as operations from './table.js';
import { checkCall, type CountOptions, type KeepOptions, type SetOptions } from '../options/calls.js';
import { show } from '../options/checks.js';
import type { CacheOptions } from '../options/instance.js';
import { checkShared, sharedOptions } from '../options/namespace.js';

export { iterable } from './batches.js';
export type { Step, Steps } from './operation.js';

type Key = string | number;

/** An entry of a snapshot. */
export interface DumpedEntry<V = unknown> {
  value: V;
  /** Milliseconds it had left; absent without a time to live. */
  ttl?: number;
  /** Its size, if it was given one. */
  size?: number;
}

/** A snapshot, most recently used first. JSON-safe as far as the values are. */
export type Dump<K = Key, V = unknown> = [key: K, entry: DumpedEntry<V>][];

const KEEP = ['ttl', 'size'] as const;
const SET = ['ttl', 'expiresAt', 'size'] as const;
const COUNT = ['ttl', 'size', 'min', 'max'] as const;

// --- one step ----------------------------------------------------------------------------------------------------

export function set(native: NativeCache, key: Key, value: unknown, given?: SetOptions): Step<boolean> {
  const { ttl, expiresAt, size } = checkCall(given, SET);
  const encoded = encode(value);
  if (isOversize(encoded)) return { operation: operations.DELETE_INSTEAD, start: (id) => native.delete(id, key) };
  const { payload, form } = encoded;
  return {
    operation: operations.SET,
    start: (id) => native.set(id, key, payload, form, ttl, expiresAt, size),
  };
}

export function setIfAbsent(native: NativeCache, key: Key, value: unknown, given?: KeepOptions): Step<boolean> {
  const { ttl, size } = checkCall(given, KEEP);
  const encoded = encode(value);
  if (isOversize(encoded)) return { operation: operations.PING_INSTEAD, start: (id) => native.ping(id) };
  const { payload, form } = encoded;
  return {
    operation: operations.SET_IF_ABSENT,
    start: (id) => native.setIfAbsent(id, key, payload, form, ttl, size),
  };
}

export const remove = (native: NativeCache, key: Key): Step<boolean> => ({
  operation: operations.DELETE,
  start: (id) => native.delete(id, key),
});

export const getAndDelete = (native: NativeCache, key: Key): Step<unknown> => ({
  operation: operations.GET_AND_DELETE,
  start: (id) => native.getAndDelete(id, key),
});

export function clear(native: NativeCache, given?: { prefix?: string }): Step<number> {
  const { prefix } = checkCall(given, ['prefix']);
  return { operation: operations.CLEAR, start: (id) => native.clear(id, prefix) };
}

export function count(native: NativeCache, key: Key, amount: number, given?: CountOptions): Step<Counted> {
  return { operation: operations.COUNTED, start: counting(native, key, amount, given) };
}

export function incr(native: NativeCache, key: Key, amount: number, given?: CountOptions): Step<number> {
  return { operation: operations.INCR, start: counting(native, key, amount, given) };
}

function counting(native: NativeCache, key: Key, amount: number, given?: CountOptions): (id: number) => unknown {
  const { ttl, min, max, size } = checkCall(given, COUNT);
  checkAmount(amount);
  return (id) => native.count(id, key, amount, ttl, min, max, size);
}

/** The amount to add for one to subtract; what is no number stays so, to be refused by name. */
export const negated = (amount: number): number => (typeof amount === 'number' ? -amount : amount);

export const info = (native: NativeCache, key: Key): Step<EntryInfo | undefined> => ({
  operation: operations.INFO,
  start: (id) => native.info(id, key),
});

export const getRemainingTTL = (native: NativeCache, key: Key): Step<number> => ({
  operation: operations.REMAINING,
  start: (id) => native.info(id, key),
});

export function touch(native: NativeCache, key: Key, given?: { ttl?: number }): Step<boolean> {
  const { ttl } = checkCall(given, ['ttl']);
  return { operation: operations.TOUCH, start: (id) => native.touch(id, key, ttl) };
}

export const purgeStale = (native: NativeCache): Step<boolean> => ({
  operation: operations.PURGE,
  start: (id) => native.purgeStale(id),
});

export const stats = (native: NativeCache, namespace: string): Step<CacheStats> => ({
  operation: operations.statsOf(namespace),
  start: (id) => native.stats(id),
});

/** Options that can be changed at run time. */
export type Tunable = 'max' | 'maxSize' | 'ttl' | 'allowStale';

/** Changes one option when `value` is given, and tells all of them. */
export function tune(native: NativeCache, name: Tunable, value: unknown): Step<Settings> {
  if (value === undefined) return { operation: operations.SETTINGS, start: (id) => native.tune(id, {}) };
  checkShared(name, value);
  const changed = sharedOptions({ [name]: value } as CacheOptions);
  return { operation: operations.TUNE, start: (id) => native.tune(id, changed) };
}

function checkAmount(amount: unknown): void {
  if (typeof amount !== 'number') {
    throw codedError('ERR_CC_INVALID_ARGUMENT', `\`amount\` is ${show(amount)}; allowed is a finite number`);
  }
  if (!Number.isFinite(amount)) {
    throw rangeError('ERR_CC_INVALID_ARGUMENT', `\`amount\` is ${amount}; allowed is a finite number`);
  }
}

// --- several steps -----------------------------------------------------------------------------------------------

export function* mGet(native: NativeCache, keys: Iterable<Key>): Steps<Map<Key, unknown>> {
  return yield* getMany(native, [...iterable('keys', keys)]);
}

export function* mHas(native: NativeCache, keys: Iterable<Key>): Steps<Map<Key, boolean>> {
  return yield* hasMany(native, [...iterable('keys', keys)]);
}

/** Told of each key that is about to change. */
type Touched = ((key: Key) => void) | undefined;

export function* mSet(
  native: NativeCache,
  entries: Iterable<unknown>,
  given?: KeepOptions,
  touched?: Touched,
): Steps<number> {
  return yield* setMany(native, entries, checkCall(given, KEEP), touched);
}

export function* mDelete(native: NativeCache, keys: Iterable<Key>, touched?: Touched): Steps<number> {
  const list = [...iterable('keys', keys)];
  if (touched) list.forEach(touched);
  return yield* deleteMany(native, list);
}

export function* keys(native: NativeCache, given?: { prefix?: string }): Steps<Key[]> {
  const { prefix } = checkCall(given, ['prefix']);
  return (yield* scanAll(native, Fields.Keys, prefix)).map(({ key }) => key);
}

export function* values(native: NativeCache, given?: { prefix?: string }): Steps<unknown[]> {
  const { prefix } = checkCall(given, ['prefix']);
  return (yield* scanAll(native, Fields.Entries, prefix)).map(({ value }) => value);
}

export function* entries(native: NativeCache, given?: { prefix?: string }): Steps<[Key, unknown][]> {
  const { prefix } = checkCall(given, ['prefix']);
  return (yield* scanAll(native, Fields.Entries, prefix)).map(({ key, value }) => [key, value]);
}

export function* dump(native: NativeCache): Steps<Dump> {
  const all = yield* scanAll(native, Fields.Dump);
  return all.map(({ key, value, remaining, size }) => {
    const entry: DumpedEntry = { value };
    if (remaining !== Infinity) entry.ttl = remaining;
    if (size !== null) entry.size = size;
    return [key, entry];
  });
}

/** Loads a snapshot, the most recently used entry last, so that the order is as it was. */
export function* load(
  native: NativeCache,
  dumped: Iterable<readonly [Key, DumpedEntry]>,
  touched?: Touched,
): Steps<number> {
  const loaded = Array.from(iterable('entries', dumped), (item) => {
    const [key, entry] = Array.isArray(item) ? (item as [Key, DumpedEntry | undefined]) : [];
    if (typeof entry !== 'object' || entry === null || key === undefined) {
      throw codedError('ERR_CC_INVALID_ARGUMENT', `an entry is ${show(item)}; [key, { value, ttl?, size? }] is needed`);
    }
    const { value, ttl = 0, size } = entry;
    return [key, value, { ttl, ...(size === undefined ? {} : { size }) }];
  });
  return yield* setMany(native, loaded.reverse(), {}, touched);
}
