/**
 * Operations on many keys: split into requests that fit in a frame, and joined again. Written once for both ways to
 * run.
 */

import { codedError } from '../errors.js';
import { OperationNumber, native } from '../native.js';
import { checkCall, type KeepOptions } from '../options/calls.js';
import { show } from '../options/checks.js';
import { encode } from '../values/codec.js';
import type { Encoded } from '../values/plain.js';
import { OVERSIZE, UNSENT, encodedBytes, isOversize } from '../values/size.js';
import { KEEP } from '../wire/fields.js';
import { checkKey, type FrameWriter } from '../wire/frames.js';
import { asFlags, asNumber, asValues } from './answers.js';
import type { Key } from './entries.js';
import { operation, step, type Steps } from './operation.js';
import type { DumpedEntry } from './scans.js';

const { REQUEST_PART_BYTES, REQUEST_PART_KEYS } = native;

/** An entry of a batch, checked and encoded. */
interface Ready {
  key: Key;
  encoded: Encoded;
  options: KeepOptions;
}

function writeKeys(frame: FrameWriter, keys: readonly Key[]): void {
  frame.integer(keys.length);
  for (const key of keys) frame.key(key);
}

export const MANY_GET = operation({
  number: OperationNumber.MGet,
  read: asValues,
  withoutHost: [],
  write: writeKeys,
});

export const MANY_HAS = operation({
  number: OperationNumber.MHas,
  read: asFlags,
  withoutHost: [],
  write: writeKeys,
});

export const MANY_DELETE = operation({
  number: OperationNumber.MDelete,
  read: asNumber,
  withoutHost: 0,
  write: writeKeys,
});

export const MANY_SET = operation({
  number: OperationNumber.MSet,
  read: asNumber,
  withoutHost: 0,
  write(frame, entries: readonly Ready[]) {
    frame.integer(entries.length);
    for (const { key, encoded, options } of entries) {
      frame.key(key);
      frame.value(encoded);
      KEEP.writeNested(frame, options);
    }
  },
});

// --- in steps --------------------------------------------------------------------------------------------------------

/** The values of `keys`, in their order. */
export function* getMany(keys: Iterable<Key>): Steps<Map<Key, unknown>> {
  const all = [...iterable('keys', keys)];
  const values: unknown[] = [];
  for (const chunk of chunks(all, keyBytes)) {
    // A reply that would become too large answers only the first keys.
    for (let rest = chunk; rest.length > 0;) {
      const part = yield* step(MANY_GET, rest);
      if (part.length === 0) break;
      for (const value of part) values.push(value);
      rest = rest.slice(part.length);
    }
  }
  return new Map(all.map((key, index) => [key, values[index]]));
}

/** Which of `keys` have an entry. */
export function* hasMany(keys: Iterable<Key>): Steps<Map<Key, boolean>> {
  const all = [...iterable('keys', keys)];
  const flags: boolean[] = [];
  for (const chunk of chunks(all, keyBytes)) flags.push(...(yield* step(MANY_HAS, chunk)));
  return new Map(all.map((key, index) => [key, flags[index] ?? false]));
}

/** How many of `keys` were deleted. */
export function* deleteMany(keys: Iterable<Key>): Steps<number> {
  let deleted = 0;
  for (const chunk of chunks([...iterable('keys', keys)], keyBytes)) deleted += yield* step(MANY_DELETE, chunk);
  return deleted;
}

const KEEP_OPTIONS = ['ttl', 'size'] as const;

/** How many of `entries` were stored. All entries are checked before the first is sent. */
export function* setMany(entries: Iterable<unknown>, given?: KeepOptions): Steps<number> {
  const options = checkCall(given, KEEP_OPTIONS);
  const ready = Array.from(iterable('entries', entries), (entry) => readyEntry(entry, options));
  let stored = 0;
  for (const chunk of chunks(ready, entryBytes)) stored += yield* step(MANY_SET, chunk);
  return stored;
}

/** Loads a snapshot, the most recently used entry last, so that the order is preserved. */
export function* load(dumped: Iterable<readonly [Key, DumpedEntry]>): Steps<number> {
  const loaded = Array.from(iterable('entries', dumped), (item) => {
    const [key, entry] = Array.isArray(item) ? (item as [Key, DumpedEntry | undefined]) : [];
    if (typeof entry !== 'object' || entry === null || key === undefined) {
      throw codedError('ERR_CC_INVALID_ARGUMENT', `an entry is ${show(item)}; [key, { value, ttl?, size? }] is needed`);
    }
    const { value, ttl = 0, size } = entry;
    return [key, value, { ttl, ...(size === undefined ? {} : { size }) }];
  });
  return yield* setMany(loaded.reverse());
}

/**
 * The elements of an argument that must be iterable; a string is refused, because it would be split into characters.
 */
export function iterable<T>(name: string, value: Iterable<T>): Iterable<T> {
  if (typeof value !== 'string' && typeof (value as Iterable<T> | undefined)?.[Symbol.iterator] === 'function') {
    return value;
  }
  throw codedError('ERR_CC_INVALID_ARGUMENT', `\`${name}\` is ${show(value)}; an array or another iterable is needed`);
}

function readyEntry(entry: unknown, defaults: KeepOptions): Ready {
  if (!Array.isArray(entry) || entry.length < 2) {
    throw codedError(
      'ERR_CC_INVALID_ARGUMENT',
      `an entry is ${show(entry)}; [key, value] or [key, value, options] is needed`,
    );
  }
  const [key, value, own] = entry as [Key, unknown, KeepOptions | undefined];
  // The frame checks keys too; a batch is checked as a whole before any of it is sent.
  checkKey(key);
  const [encoded, options] = [encode(value), { ...defaults, ...checkCall(own, KEEP_OPTIONS) }];
  if (isOversize(encoded)) return { key, encoded: UNSENT, options: { ...options, size: OVERSIZE } };
  return { key, encoded, options };
}

function* chunks<T>(items: T[], bytesOf: (item: T) => number): Generator<T[]> {
  let chunk: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = bytesOf(item);
    if (chunk.length > 0 && (chunk.length === REQUEST_PART_KEYS || bytes + size > REQUEST_PART_BYTES)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

const keyBytes = (key: Key) => (typeof key === 'string' ? key.length * 3 : 8) + 16;

const entryBytes = ({ key, encoded }: Ready) => keyBytes(key) + encodedBytes(encoded) + 32;
