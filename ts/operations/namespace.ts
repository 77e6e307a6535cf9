/** Operations on a namespace as a whole. */

import { codedError } from '../errors.js';
import { OperationNumber } from '../native.js';
import { checkShared, sharedOptions } from '../options/namespace.js';
import type { CacheOptions } from '../options/instance.js';
import { NAMESPACE_FIELDS } from '../wire/fields.js';
import type { FrameWriter } from '../wire/frames.js';
import { asFlag, asNumber, asSettings, asStats, type Read, type Settings } from './answers.js';
import { REJECT, argument, composite, operation, options, step, type Steps } from './operation.js';

export const PING = operation({
  number: OperationNumber.Ping,
  method: 'healthCheck',
  sync: false,
  read: asFlag,
  withoutHost: REJECT,
});

/** What the host has counted. `cache.stats()` adds what this instance has. */
export const STATS = operation({ number: OperationNumber.Stats, read: asStats, withoutHost: REJECT });

const asSize: Read<number> = (...answer) => asStats(...answer).size;
const asCalculatedSize: Read<number> = (...answer) => asStats(...answer).calculatedSize;

export const SIZE = operation({ number: OperationNumber.Stats, method: 'size', read: asSize, withoutHost: REJECT });

export const CALCULATED_SIZE = operation({
  number: OperationNumber.Stats,
  method: 'calculatedSize',
  read: asCalculatedSize,
  withoutHost: REJECT,
});

/** Options that can be changed at run time. */
export type Tunable = 'max' | 'maxSize' | 'ttl' | 'allowStale';

/** Changes one option and returns all of them. */
export const TUNE = operation({
  number: OperationNumber.Tune,
  takes: [argument<Tunable>(), argument<unknown>()],
  read: asSettings,
  withoutHost: REJECT,
  write(frame, name, value) {
    checkShared(name, value);
    NAMESPACE_FIELDS.write(frame, sharedOptions({ [name]: value } as CacheOptions));
  },
});

/** Returns the options in force. */
export const SETTINGS = {
  ...operation({ number: OperationNumber.Tune, read: asSettings, withoutHost: REJECT }),
  writes: false,
};

/** The method of an option: tells it, or changes it first. */
const tunable = <const Name extends Tunable>(name: Name) =>
  composite({
    method: name,
    sync: false,
    *run(value?: Settings[Name]): Steps<Settings[Name]> {
      const settings = value === undefined ? yield* step(SETTINGS) : yield* step(TUNE, name, value);
      return settings[name];
    },
  });

export const MAX = tunable('max');
export const MAX_SIZE = tunable('maxSize');
export const TTL = tunable('ttl');
export const ALLOW_STALE = tunable('allowStale');

/** The options of methods about a part of the keys. */
export const PREFIX = options<{ prefix?: string | undefined }>('prefix');

/** As {@link PREFIX}, for a method that would be about all keys without one. */
const ONLY_PREFIX: typeof PREFIX = (given) => {
  const read = PREFIX(given);
  if (read.prefix === undefined && given !== undefined && 'prefix' in given) {
    throw codedError('ERR_CC_INVALID_ARGUMENT', '`prefix` is undefined; leave it out to remove all entries');
  }
  return read;
};

export const CLEAR = operation({
  number: OperationNumber.Clear,
  method: 'clear',
  takes: [ONLY_PREFIX],
  read: asNumber,
  withoutHost: REJECT,
  write: (frame, { prefix }) => writePrefix(frame, prefix),
});

/** Checks an optional prefix of string keys. */
export function writePrefix(frame: FrameWriter, prefix: string | undefined): void {
  if (prefix === undefined) return frame.flag(false);
  if (typeof prefix !== 'string') throw codedError('ERR_CC_INVALID_ARGUMENT', '`prefix` must be a string');
  if (/[\ud800-\udbff]$/.test(prefix)) {
    throw codedError(
      'ERR_CC_INVALID_ARGUMENT',
      '`prefix` ends within a character, after the first half of a surrogate pair; end it before or after the pair',
    );
  }
  if (prefix === '') throw codedError('ERR_CC_INVALID_ARGUMENT', '`prefix` is empty; leave it out to mean all entries');
  frame.flag(true);
  frame.textKey(prefix);
}

export const PURGE_STALE = operation({
  number: OperationNumber.PurgeStale,
  method: 'purgeStale',
  read: asFlag,
  withoutHost: REJECT,
});

export const DESTROY = operation({
  number: OperationNumber.Destroy,
  method: 'destroy',
  read: asFlag,
  withoutHost: REJECT,
});

/** The memory of a `Uint32Array`, which is generic in newer versions of TypeScript only. */
export interface Numbers {
  readonly buffer: ArrayBufferLike;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Reports reads that did not go to the host: the number of hits, and `slot, hash` of the values, each 32 bits. */
export const ACCESS_REPORT = operation({
  number: OperationNumber.AccessReport,
  takes: [argument<number>(), argument<Numbers>()],
  read: asFlag,
  withoutHost: false,
  write(frame, hits, reads) {
    frame.integer(hits);
    frame.integer(0);
    frame.blob(new Uint8Array(reads.buffer, reads.byteOffset, reads.byteLength));
  },
});
