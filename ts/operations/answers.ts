/**
 * Native answers to what users see. Compound answers are flat arrays made by `src/answer.rs`; the two files are to
 * be changed together.
 */

import { decode } from '../values/codec.js';
import { codedError, knownCode } from '../errors.js';
import { Form } from '../native.js';
import { Undecodable, readable } from '../values/undecodable.js';
import type { Policy } from './operation.js';

/** Reads one kind of answer: its value if it has one, and the numbers that go with it, from `at` on. */
export type Read<T> = (form: Form, value: unknown, numbers: Float64Array, at: number, policy: Policy) => T;

/** What is known of an entry. */
export interface EntryInfo {
  /** Milliseconds left; `Infinity` without a time to live. */
  remainingTTL: number;
  /** Its size in bytes, or as given. */
  size: number;
  /** Milliseconds since the Unix epoch when it was stored. */
  created: number;
}

/** A counter after one atomic step. */
export interface Counted {
  /** Its new value. */
  value: number;
  /** Milliseconds left; `Infinity` without a time to live. */
  remainingTTL: number;
  /** Whether this call created it. */
  created: boolean;
}

/** One entry of a page. */
export interface PageEntry {
  key: string | number;
  value: unknown;
  /** Milliseconds left; `Infinity` without a time to live. */
  remaining: number;
  /** Explicit size, if it was given one. */
  size: number | null;
}

/** Part of a scan. */
export interface Page {
  /** Where to continue; 0 at the end. */
  cursor: number;
  entries: PageEntry[];
}

/** Options in force. */
export interface Settings {
  max: number | undefined;
  maxSize: number;
  maxEntrySize: number;
  ttl: number;
  allowStale: boolean;
}

/** Counters of a namespace since it was created on its host. */
export interface CacheStats extends HostStats {
  namespace: string;
  /** Entries that this instance could not decode, and left out or loaded again. */
  undecodable: number;
  near: {
    /** Values that this instance found in its own near cache; they are among the hits. */
    hits: number;
  };
}

/** What the host has counted. */
export interface HostStats {
  /** Entries now. */
  size: number;
  /** Their size now. */
  calculatedSize: number;
  /** Reads that found a value. */
  hits: number;
  /** Reads that found none. */
  misses: number;
  /** Values stored. */
  sets: number;
  /** Entries removed by `delete`, `getAndDelete` and `clear`. */
  deletes: number;
  /** Entries removed to keep a bound. */
  evictions: number;
  /** Entries removed because their time was over. */
  expirations: number;
  /** Values that were not stored because they are too large; a host of an older version does not count them. */
  refused: number;
  fetches: {
    /** Loads begun. */
    leads: number;
    /** Fetches that waited for another's load. */
    waits: number;
    /** Loads passed on because their leader died, gave up or took too long. */
    takeovers: number;
  };
  /** Connections to the host now. */
  clients: number;
  /** Names the host's life; another host, or a restarted one, has another. */
  epoch: number;
  /** Milliseconds the host has lived. */
  uptime: number;
}

/** The error that native code or the host answered. */
export function answeredError(answer: unknown): Error {
  const [code, message] = answer as [string, string];
  return codedError(knownCode(code), message);
}

export const asValue: Read<unknown> = (form, value, numbers, at) =>
  form === Form.Number ? numbers[at] : decode(form, value);

export const asFlag: Read<boolean> = (_form, _value, numbers, at) => numbers[at] === 1;

export const asNumber: Read<number> = (_form, _value, numbers, at) => numbers[at] as number;

/** `undefined` where the counter was to be there and is not. */
export const asCounter: Read<number | undefined> = (form, _value, numbers, at) =>
  form === Form.Missing ? undefined : numbers[at];

/** As {@link asCounter}. */
export const asCounted: Read<Counted | undefined> = (form, _value, numbers, at) =>
  form === Form.Missing
    ? undefined
    : { value: numbers[at] as number, remainingTTL: numbers[at + 1] as number, created: numbers[at + 2] === 1 };

export const asInfo: Read<EntryInfo | undefined> = (form, _value, numbers, at) =>
  form === Form.Missing
    ? undefined
    : {
        remainingTTL: numbers[at] as number,
        size: numbers[at + 1] as number,
        created: numbers[at + 2] as number,
      };

export const asRemaining: Read<number> = (form, _value, numbers, at) =>
  form === Form.Missing ? 0 : (numbers[at] as number);

/** `form, value` of each key; an {@link Undecodable} for a value that cannot be decoded. */
export const asValues: Read<unknown[]> = (_form, answer) => {
  const flat = answer as unknown[];
  const values = new Array<unknown>(flat.length / 2);
  for (let index = 0; index < values.length; index++) {
    values[index] = readable(decode, flat[index * 2] as Form, flat[index * 2 + 1]);
  }
  return values;
};

export const asFlags: Read<boolean[]> = (_form, answer) => answer as boolean[];

/** How many keys a batch of writes was done for, or a flag for each of them. */
export const asDone: Read<number | boolean[]> = (form, answer, numbers, at) =>
  form === Form.List ? (answer as boolean[]) : (numbers[at] as number);

const ITEM_FIELDS = 5;

/** `cursor`, then `key, form, value, remaining, size` of each entry. What cannot be decoded is left out. */
export const asPage: Read<Page> = (_form, answer, _numbers, _at, { leftOut, operation = 'scan' }) => {
  const flat = answer as unknown[];
  const entries: PageEntry[] = [];
  for (let at = 1; at < flat.length; at += ITEM_FIELDS) {
    const key = flat[at] as string | number;
    const value = readable(decode, flat[at + 1] as Form, flat[at + 2]);
    if (value instanceof Undecodable) {
      leftOut?.(key, value.error, operation);
      continue;
    }
    entries.push({
      key,
      value,
      remaining: flat[at + 3] as number,
      size: flat[at + 4] as number | null,
    });
  }
  return { cursor: flat[0] as number, entries };
};

/** Options in force, from the list that native code answers. */
export function settingsOf(answer: unknown): Settings {
  const [max, maxSize, maxEntrySize, ttl, allowStale] = answer as [number | null, number, number, number, boolean];
  return { max: max ?? undefined, maxSize, maxEntrySize, ttl, allowStale };
}

export const asSettings: Read<Settings> = (_form, answer) => settingsOf(answer);

export const asStats: Read<HostStats> = (_form, answer) => {
  const [size, calculatedSize, hits, misses, sets, deletes, evictions, expirations, ...rest] = answer as StatsFields;
  const [leads, waits, takeovers, clients, epoch, uptime, refused] = rest;
  return {
    size,
    calculatedSize,
    hits,
    misses,
    sets,
    deletes,
    evictions,
    expirations,
    refused,
    fetches: { leads, waits, takeovers },
    clients,
    epoch,
    uptime,
  };
};

// prettier-ignore
type StatsFields = [
  size: number, calculatedSize: number, hits: number, misses: number, sets: number, deletes: number,
  evictions: number, expirations: number, leads: number, waits: number, takeovers: number, clients: number,
  epoch: number, uptime: number, refused: number,
];
