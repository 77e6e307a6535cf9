/** Scans: the entries of a namespace, page by page. */

import { OperationNumber, native } from '../native.js';
import { asFlag, asPage, type PageEntry } from './answers.js';
import type { Key } from './entries.js';
import { PREFIX, writePrefix } from './namespace.js';
import type { ScanOptions } from '../options/calls.js';
import { argument, composite, operation, options, step, type Steps } from './operation.js';

/** The parts of each entry that a scan returns, by their number on the wire. */
export enum ScanFields {
  Keys = 0,
  Entries = 1,
  /** Keys, values, remaining times and explicit sizes. */
  Dump = 2,
  /** Keys and values, in no order if there are many: the host keeps no list for it then. */
  Unordered = 3,
}

/** Entries per page. */
const { PAGE_ENTRIES, MAX_PAGE } = native;

const CURSOR = argument<number>();

const EMPTY = { cursor: 0, entries: [] };

const SCAN_OPTIONS = options<ScanOptions>('prefix', 'page');

/** How to go through entries page by page: more than a page can hold are as many as it can. */
export function checkScan(given: ScanOptions | undefined): ScanOptions {
  const checked = SCAN_OPTIONS(given);
  return { ...checked, page: Math.min(checked.page ?? PAGE_ENTRIES, MAX_PAGE) };
}

export const SCAN = operation({
  number: OperationNumber.Scan,
  takes: [argument<ScanFields>(), argument<string | undefined>(), argument<number | undefined>()],
  read: asPage,
  withoutHost: EMPTY,
  write(frame, fields, prefix, page = PAGE_ENTRIES) {
    frame.byte(fields);
    writePrefix(frame, prefix);
    frame.integer(page);
  },
});

/** {@link SCAN} in no order. */
export const WALK = { ...SCAN, since: 1 };

export const NEXT_PAGE = operation({
  number: OperationNumber.ScanNext,
  takes: [CURSOR, argument<number | undefined>()],
  read: asPage,
  withoutHost: EMPTY,
  write(frame, cursor, page = PAGE_ENTRIES) {
    frame.integer(cursor);
    frame.integer(page);
  },
});

export const END_SCAN = operation({
  number: OperationNumber.ScanEnd,
  takes: [CURSOR],
  read: asFlag,
  withoutHost: false,
  write: (frame, cursor) => frame.integer(cursor),
});

/** An entry of a snapshot. */
export interface DumpedEntry<V = unknown> {
  value: V;
  /** Milliseconds until it expires; absent without a time to live. */
  ttl?: number | undefined;
  /** Its size, if it was given one. */
  size?: number | undefined;
}

/** A snapshot, most recently used first. JSON-safe as far as the values are. */
export type Dump<K = Key, V = unknown> = [key: K, entry: DumpedEntry<V>][];

/** All entries, most recently used first. */
function* all(fields: ScanFields, prefix?: string): Steps<PageEntry[]> {
  let { cursor, entries } = yield* step(SCAN, fields, prefix, undefined);
  const found = entries;
  while (cursor !== 0) {
    ({ cursor, entries } = yield* step(NEXT_PAGE, cursor, undefined));
    for (const entry of entries) found.push(entry);
  }
  return found;
}

export const KEYS = composite({
  method: 'keys',
  *run(given?: { prefix?: string | undefined }): Steps<Key[]> {
    const { prefix } = PREFIX(given);
    return (yield* all(ScanFields.Keys, prefix)).map(({ key }) => key);
  },
});

export const VALUES = composite({
  method: 'values',
  *run(given?: { prefix?: string | undefined }): Steps<unknown[]> {
    const { prefix } = PREFIX(given);
    return (yield* all(ScanFields.Entries, prefix)).map(({ value }) => value);
  },
});

export const ENTRIES = composite({
  method: 'entries',
  *run(given?: { prefix?: string | undefined }): Steps<[Key, unknown][]> {
    const { prefix } = PREFIX(given);
    return (yield* all(ScanFields.Entries, prefix)).map(({ key, value }) => [key, value]);
  },
});

export const DUMP = composite({
  method: 'dump',
  sync: false,
  *run(): Steps<Dump> {
    return (yield* all(ScanFields.Dump)).map(({ key, value, remaining, size }) => {
      const entry: DumpedEntry = { value };
      if (remaining !== Infinity) entry.ttl = remaining;
      if (size !== null) entry.size = size;
      return [key, entry];
    });
  },
});
