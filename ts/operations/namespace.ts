/** Operations on a namespace as a whole. */

import { codedError } from '../errors.js';
import { OperationNumber } from '../native.js';
import { checkCall } from '../options/calls.js';
import { checkShared, sharedOptions } from '../options/namespace.js';
import type { CacheOptions } from '../options/instance.js';
import { NAMESPACE_FIELDS } from '../wire/fields.js';
import type { FrameWriter } from '../wire/frames.js';
import { asFlag, asNumber, asSettings, asStats } from './answers.js';
import { REJECT, operation } from './operation.js';

const nothing = () => {};

export const PING = operation({ number: OperationNumber.Ping, read: asFlag, withoutHost: REJECT, write: nothing });

export const STATS = operation({ number: OperationNumber.Stats, read: asStats, withoutHost: REJECT, write: nothing });

/** Options that can be changed at run time. */
export type Tunable = 'max' | 'maxSize' | 'ttl' | 'allowStale';

/** Changes one option and returns all of them. */
export const TUNE = operation({
  number: OperationNumber.Tune,
  read: asSettings,
  withoutHost: REJECT,
  write(frame, name: Tunable, value: unknown) {
    checkShared(name, value);
    NAMESPACE_FIELDS.write(frame, sharedOptions({ [name]: value } as CacheOptions));
  },
});

/** Returns the options in force. */
export const SETTINGS = {
  ...operation({ number: OperationNumber.Tune, read: asSettings, withoutHost: REJECT, write: nothing }),
  writes: false,
};

export const CLEAR = operation({
  number: OperationNumber.Clear,
  read: asNumber,
  withoutHost: REJECT,
  write(frame, given?: { prefix?: string }) {
    const { prefix } = checkCall(given, ['prefix']);
    writePrefix(frame, prefix);
  },
});

/** Checks an optional prefix of string keys. */
export function writePrefix(frame: FrameWriter, prefix: string | undefined): void {
  if (prefix === undefined) return frame.flag(false);
  if (typeof prefix !== 'string') throw codedError('ERR_CC_INVALID_ARGUMENT', '`prefix` must be a string');
  frame.flag(true);
  frame.textKey(prefix);
}

export const PURGE_STALE = operation({
  number: OperationNumber.PurgeStale,
  read: asFlag,
  withoutHost: REJECT,
  write: nothing,
});

export const DESTROY = operation({
  number: OperationNumber.Destroy,
  read: asFlag,
  withoutHost: REJECT,
  write: nothing,
});

/** Reports reads that did not go to the host: the number of hits, and `slot, hash` of the values, each 32 bits. */
export const ACCESS_REPORT = operation({
  number: OperationNumber.AccessReport,
  read: asFlag,
  withoutHost: false,
  write(frame, hits: number, reads: Uint32Array) {
    frame.integer(hits);
    frame.integer(0);
    frame.blob(new Uint8Array(reads.buffer, reads.byteOffset, reads.byteLength));
  },
});
