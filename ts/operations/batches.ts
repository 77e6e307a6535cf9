/**
 * Operations on many keys: split into requests that fit in a frame, and joined again. Written once for both ways to
 * run.
 */

import { codedError } from '../errors.js';
import { OperationNumber, native } from '../native.js';
import type { BatchOptions, EachOptions, EntryOptions } from '../options/calls.js';
import { show } from '../options/checks.js';
import { encodeFor } from '../values/place.js';
import type { Encoded } from '../values/plain.js';
import { OVERSIZE, UNSENT, encodedBytes, isOversize } from '../values/size.js';
import { Undecodable } from '../values/undecodable.js';
import { BATCH, KEEP } from '../wire/fields.js';
import { checkKey, type FrameWriter } from '../wire/frames.js';
import { asDone, asFlags, asValues } from './answers.js';
import type { Key } from './entries.js';
import { argument, composite, operation, options, step, type Steps } from './operation.js';
import type { DumpedEntry } from './scans.js';

const { MAX_CALL_KEYS, REQUEST_PART_BYTES, REQUEST_PART_KEYS } = native;

/** An entry of a batch, checked and encoded. */
interface Ready {
  key: Key;
  encoded: Encoded;
  keep: EntryOptions;
}

const KEYS = argument<readonly Key[]>();

/** What a batch of writes is to answer. */
const EACH = argument<EachOptions>();

function writeKeys(frame: FrameWriter, keys: readonly Key[]): void {
  frame.integer(keys.length);
  for (const key of keys) frame.key(key);
}

export const MANY_GET = operation({
  number: OperationNumber.MGet,
  takes: [KEYS],
  read: asValues,
  withoutHost: [],
  write: writeKeys,
});

export const MANY_HAS = operation({
  number: OperationNumber.MHas,
  takes: [KEYS],
  read: asFlags,
  withoutHost: [],
  write: writeKeys,
});

export const MANY_DELETE = operation({
  number: OperationNumber.MDelete,
  takes: [KEYS, EACH],
  read: asDone,
  withoutHost: 0,
  write(frame, keys, each) {
    writeKeys(frame, keys);
    BATCH.write(frame, each);
  },
});

export const MANY_SET = operation({
  number: OperationNumber.MSet,
  takes: [argument<readonly Ready[]>(), EACH],
  read: asDone,
  withoutHost: 0,
  write(frame, entries, each) {
    frame.integer(entries.length);
    for (const { key, encoded, keep } of entries) {
      frame.key(key);
      frame.value(encoded);
      KEEP.writeNested(frame, keep);
    }
    BATCH.write(frame, each);
  },
});

// --- in steps --------------------------------------------------------------------------------------------------------

/** The values of `keys`, in their order. */
export const GET_MANY = composite({
  method: 'mGet',
  *run(keys: Iterable<Key>): Steps<Map<Key, unknown>> {
    const all = keysOf(keys);
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
    const found = new Map<Key, unknown>();
    for (const [index, key] of all.entries()) {
      const value = values[index];
      if (value instanceof Undecodable) yield { leftOut: key, error: value.error };
      found.set(key, value instanceof Undecodable ? undefined : value);
    }
    return found;
  },
});

/** Which of `keys` have an entry. */
export const HAS_MANY = composite({
  method: 'mHas',
  *run(keys: Iterable<Key>): Steps<Map<Key, boolean>> {
    const all = keysOf(keys);
    const flags: boolean[] = [];
    for (const chunk of chunks(all, keyBytes)) flags.push(...(yield* step(MANY_HAS, chunk)));
    return new Map(all.map((key, index) => [key, flags[index] ?? false]));
  },
});

const checkEach = options<EachOptions>('each');
const checkBatch = options<BatchOptions>('ttl', 'expiresAt', 'size', 'each');
const checkKeep = options<EntryOptions>('ttl', 'expiresAt', 'size');

/** How many of `keys` were deleted, or for each whether it was. */
export const DELETE_MANY = composite({
  method: 'mDelete',
  *run(keys: Iterable<Key>, given?: EachOptions): Steps<Done> {
    const { each = false } = checkEach(given);
    const all = keysOf(keys);
    const done = new Tally(each);
    // A key that is named twice can be deleted once.
    for (const chunk of chunks(each ? [...new Set(all)] : all, keyBytes)) {
      done.add(chunk, yield* step(MANY_DELETE, chunk, { each }));
    }
    return done.result;
  },
});

/** How many of `entries` were stored, or for each key whether it was. All are checked before the first is sent. */
export const SET_MANY = composite({
  method: 'mSet',
  *run(entries: Iterable<unknown>, given?: BatchOptions): Steps<Done> {
    const { each = false, ...keep } = checkBatch(given);
    const ready = gathered('entries', entries, (entry) => readyEntry(entry, keep));
    const done = new Tally(each);
    for (const chunk of chunks(ready, entryBytes)) {
      const answer = yield* step(MANY_SET, chunk, { each });
      done.add(
        chunk.map(({ key }) => key),
        answer,
      );
    }
    return done.result;
  },
});

/** What a batch of writes resolves: for how many keys it was done, or for each whether it was. */
type Done = number | Map<Key, boolean>;

/** Adds up the answers to the parts of a batch of writes. */
class Tally {
  readonly #flags: Map<Key, boolean> | undefined;
  #count = 0;

  constructor(each: boolean) {
    this.#flags = each ? new Map() : undefined;
  }

  /** Without a host the answer is 0, and none was done. */
  add(keys: readonly Key[], answer: number | boolean[]): void {
    if (typeof answer === 'number') this.#count += answer;
    const flags = this.#flags;
    if (flags)
      for (const [index, key] of keys.entries()) flags.set(key, typeof answer !== 'number' && answer[index] === true);
  }

  get result(): Done {
    return this.#flags ?? this.#count;
  }
}

/** Loads a snapshot, the most recently used entry last, so that the order is preserved. */
export const LOAD = composite({
  method: 'load',
  sync: false,
  *run(dumped: Iterable<readonly [Key, DumpedEntry]>): Steps<number> {
    const loaded = gathered('entries', dumped, (item): [Key, unknown, EntryOptions] => {
      const [key, entry] = Array.isArray(item) ? (item as [Key, DumpedEntry | undefined]) : [];
      if (typeof entry !== 'object' || entry === null || key === undefined) {
        throw codedError(
          'ERR_CC_INVALID_ARGUMENT',
          `an entry is ${show(item)}; [key, { value, ttl?, size? }] is needed`,
        );
      }
      const { value, ttl = 0, size } = entry;
      return [key, value, { ttl, ...(size === undefined ? {} : { size }) }];
    });
    return (yield* SET_MANY.run(loaded.reverse())) as number;
  },
});

/** The keys of a call. What is not a key is refused when it is met. */
export function keysOf<K extends Key>(keys: Iterable<K>): K[] {
  return gathered('keys', keys, (key) => {
    if (typeof key !== 'string' && typeof key !== 'number') checkKey(key);
    return key;
  });
}

/**
 * The elements of an argument, each checked as it is met, and no more than a call may have: so an array of holes, or an
 * iterable that never ends, is refused before it fills the memory.
 */
function gathered<T, R>(name: string, elements: Iterable<T>, check: (element: T) => R): R[] {
  const all: R[] = [];
  for (const element of iterable(name, elements)) {
    if (all.length === MAX_CALL_KEYS) {
      const most = MAX_CALL_KEYS.toLocaleString('en');
      throw codedError('ERR_CC_LIMIT', `\`${name}\` has more than ${most} elements; make several calls`);
    }
    all.push(check(element));
  }
  return all;
}

/**
 * The elements of an argument that must be iterable; a string is refused, because it would be split into characters.
 */
function iterable<T>(name: string, value: Iterable<T>): Iterable<T> {
  if (typeof value !== 'string' && typeof (value as Iterable<T> | undefined)?.[Symbol.iterator] === 'function') {
    return value;
  }
  throw codedError('ERR_CC_INVALID_ARGUMENT', `\`${name}\` is ${show(value)}; an array or another iterable is needed`);
}

function readyEntry(entry: unknown, defaults: EntryOptions): Ready {
  if (!Array.isArray(entry) || entry.length < 2) {
    throw codedError(
      'ERR_CC_INVALID_ARGUMENT',
      `an entry is ${show(entry)}; [key, value] or [key, value, options] is needed`,
    );
  }
  const [key, value, own] = entry as [Key, unknown, EntryOptions | undefined];
  // The frame checks keys too; a batch is checked as a whole before any of it is sent.
  checkKey(key);
  const [encoded, keep] = [encodeFor(value, { key }), { ...defaults, ...checkKeep(own) }];
  if (isOversize(encoded)) return { key, encoded: UNSENT, keep: { ...keep, size: OVERSIZE } };
  return { key, encoded, keep };
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
