/** Operations on many keys: cut into requests that fit, put together again. Written once for both ways to run. */

import { encode } from '../values/codec.js';
import type { Encoded } from '../values/plain.js';
import { codedError } from '../errors.js';
import { step, type Step, type Steps } from './operation.js';
import { Form, type Fields, type NativeCache } from '../native.js';
import { DELETE_MANY, GET_MANY, HAS_MANY, SCAN, SCAN_END, SET_MANY, DELETE } from './table.js';
import { checkCall, type KeepOptions } from '../options/calls.js';
import { show } from '../options/checks.js';
import { MAX_ENTRY_BYTES } from '../options/namespace.js';
import type { Page, PageEntry } from './answers.js';
import { shapeBytes } from '../values/shapes.js';

/** Bounds of one request, well below the host's (see `crates/core/src/config.rs`). */
const MAX_KEYS = 16_384;
const MAX_BYTES = 4 * 1024 * 1024;
/** Entries asked for at a time. */
export const PAGE = 1_024;

type Key = string | number;

/** An entry of a batch, checked and encoded. */
interface Ready {
  key: Key;
  encoded: Encoded;
  options: KeepOptions;
}

/** The values of `keys`, in their order. */
export function* getMany(native: NativeCache, keys: Key[]): Steps<Map<Key, unknown>> {
  const values: unknown[] = [];
  for (const chunk of chunks(keys, keyBytes)) {
    // A reply that would grow too large answers only the first of the keys.
    for (let rest = chunk; rest.length > 0;) {
      const asked = rest;
      const part = yield* step({ operation: GET_MANY, start: (id) => native.mGet(id, asked) });
      if (part.length === 0) break;
      for (const value of part) values.push(value);
      rest = rest.slice(part.length);
    }
  }
  return new Map(keys.map((key, index) => [key, values[index]]));
}

/** Which of `keys` there are. */
export function* hasMany(native: NativeCache, keys: Key[]): Steps<Map<Key, boolean>> {
  const flags: boolean[] = [];
  for (const chunk of chunks(keys, keyBytes))
    flags.push(...(yield* step({ operation: HAS_MANY, start: (id) => native.mHas(id, chunk) })));
  return new Map(keys.map((key, index) => [key, flags[index] ?? false]));
}

/** How many of `keys` were deleted. */
export function* deleteMany(native: NativeCache, keys: Key[]): Steps<number> {
  let deleted = 0;
  for (const chunk of chunks(keys, keyBytes))
    deleted += yield* step({ operation: DELETE_MANY, start: (id) => native.mDelete(id, chunk) });
  return deleted;
}

/** How many of `entries` were stored. All are checked before the first is sent. */
export function* setMany(
  native: NativeCache,
  entries: Iterable<unknown>,
  options: KeepOptions,
  touched?: (key: Key) => void,
): Steps<number> {
  const ready = Array.from(iterable('entries', entries), (entry) => readyEntry(entry, options));
  if (touched) for (const { key } of ready) touched(key);
  let stored = 0;
  for (const chunk of chunks(
    ready.filter((entry) => !isOversize(entry.encoded)),
    entryBytes,
  )) {
    const flat = chunk.flatMap(({ key, encoded, options: { ttl, size } }) => [
      key,
      encoded.payload,
      encoded.form,
      ttl ?? null,
      size ?? null,
    ]);
    stored += yield* step({ operation: SET_MANY, start: (id) => native.mSet(id, flat) });
  }
  // What is too large to store leaves no older value behind either.
  for (const { key } of ready.filter((entry) => isOversize(entry.encoded))) {
    yield* step({ operation: DELETE, start: (id) => native.delete(id, key) });
  }
  return stored;
}

/** All entries, most recently used first. */
export function* scanAll(native: NativeCache, fields: Fields, prefix?: string): Steps<PageEntry[]> {
  const first = yield* step({ operation: SCAN, start: (id) => native.scan(id, fields, prefix, PAGE) });
  const all = first.entries;
  for (let { cursor } = first; cursor !== 0;) {
    const at = cursor;
    const page: Page = yield* step({ operation: SCAN, start: (id) => native.scanNext(id, at, PAGE) });
    for (const entry of page.entries) all.push(entry);
    cursor = page.cursor;
  }
  return all;
}

/** Ends a scan that nobody reads to its end. */
export const scanEnd = (native: NativeCache, cursor: number): Step<boolean> => ({
  operation: SCAN_END,
  start: (id) => native.scanEnd(id, cursor),
});

/** The elements of an argument that must be iterable; a string is refused, for it would be cut into letters. */
export function iterable<T>(name: string, value: Iterable<T>): Iterable<T> {
  if (typeof value !== 'string' && typeof (value as Iterable<T> | undefined)?.[Symbol.iterator] === 'function') {
    return value;
  }
  throw codedError('ERR_CC_INVALID_ARGUMENT', `\`${name}\` is ${show(value)}; an array or another iterable is needed`);
}

/** Whether a value is over the bound of every namespace, so that it need not be sent to be refused. */
export function isOversize(encoded: Encoded): boolean {
  return encodedBytes(encoded) > MAX_ENTRY_BYTES;
}

function readyEntry(entry: unknown, defaults: KeepOptions): Ready {
  if (!Array.isArray(entry) || entry.length < 2) {
    throw codedError(
      'ERR_CC_INVALID_ARGUMENT',
      `an entry is ${show(entry)}; [key, value] or [key, value, options] is needed`,
    );
  }
  const [key, value, own] = entry as [Key, unknown, KeepOptions | undefined];
  checkKey(key);
  return { key, encoded: encode(value), options: { ...defaults, ...checkCall(own, ['ttl', 'size']) } };
}

/** The host checks keys too; a batch is checked as a whole before any of it is sent. */
function checkKey(key: unknown): void {
  if (typeof key === 'string' || (typeof key === 'number' && Number.isFinite(key))) return;
  throw codedError('ERR_CC_INVALID_KEY', `a key must be a string or a finite number, not ${show(key)}`);
}

function* chunks<T>(items: T[], bytesOf: (item: T) => number): Generator<T[]> {
  let chunk: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = bytesOf(item);
    if (chunk.length > 0 && (chunk.length === MAX_KEYS || bytes + size > MAX_BYTES)) {
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

/** Bytes of an encoded value; exact only where it matters, near the bound. */
function encodedBytes({ form, payload }: Encoded): number {
  if (typeof payload === 'string') {
    if (form >= Form.Record) return shapeBytes(form - Form.Record) + payload.length * 3;
    return payload.length * 3 <= MAX_BYTES ? payload.length : Buffer.byteLength(payload);
  }
  return ArrayBuffer.isView(payload) ? payload.byteLength : 16;
}
