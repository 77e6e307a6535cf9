/** Operations on one entry. */

import { OperationNumber } from '../native.js';
import type { KeepOptions, SetOptions } from '../options/calls.js';
import type { Encoded } from '../values/plain.js';
import { OVERSIZE, UNSENT, isOversize } from '../values/size.js';
import { KEEP, RESTART } from '../wire/fields.js';
import type { FrameWriter } from '../wire/frames.js';
import { asFlag, asInfo, asRemaining, asValue } from './answers.js';
import { REJECT, VALUE, argument, operation, options } from './operation.js';

export type Key = string | number;

export const KEY = argument<Key>();

/** How to keep an entry, as `set` is told. */
const SET_OPTIONS = options<SetOptions>('ttl', 'expiresAt', 'size');
const KEEP_OPTIONS = options<KeepOptions>('ttl', 'size');

const writeKey = (frame: FrameWriter, key: Key) => frame.key(key);

/** Writes what all operations that store one value have in their payloads. */
function writeEntry(frame: FrameWriter, key: Key, encoded: Encoded, keep: SetOptions): void {
  frame.key(key);
  if (isOversize(encoded)) {
    frame.value(UNSENT);
    KEEP.write(frame, { ...keep, size: OVERSIZE });
  } else {
    frame.value(encoded);
    KEEP.write(frame, keep);
  }
}

// --- reads -----------------------------------------------------------------------------------------------------------

export const GET = operation({
  number: OperationNumber.Get,
  method: 'get',
  takes: [KEY],
  read: asValue,
  withoutHost: undefined,
  write: writeKey,
});

export const PEEK = operation({
  number: OperationNumber.Peek,
  method: 'peek',
  takes: [KEY],
  read: asValue,
  withoutHost: undefined,
  write: writeKey,
});

export const HAS = operation({
  number: OperationNumber.Has,
  method: 'has',
  takes: [KEY],
  read: asFlag,
  withoutHost: false,
  write: writeKey,
});

export const INFO = operation({
  number: OperationNumber.Info,
  method: 'info',
  takes: [KEY],
  read: asInfo,
  withoutHost: undefined,
  write: writeKey,
});

export const REMAINING = operation({
  number: OperationNumber.Info,
  method: 'getRemainingTTL',
  takes: [KEY],
  read: asRemaining,
  withoutHost: 0,
  write: writeKey,
});

// --- writes ----------------------------------------------------------------------------------------------------------

export const SET = operation({
  number: OperationNumber.Set,
  method: 'set',
  takes: [KEY, VALUE, SET_OPTIONS],
  read: asFlag,
  withoutHost: false,
  write: writeEntry,
});

export const SET_IF_ABSENT = operation({
  number: OperationNumber.SetIfAbsent,
  method: 'setIfAbsent',
  takes: [KEY, VALUE, KEEP_OPTIONS],
  read: asFlag,
  withoutHost: REJECT,
  write: writeEntry,
});

/** Without a host, neither what it does to the entry nor the value that was there before is known. */
export const GET_AND_SET = operation({
  number: OperationNumber.GetAndSet,
  method: 'getAndSet',
  takes: [KEY, VALUE, SET_OPTIONS],
  read: asValue,
  withoutHost: REJECT,
  write: writeEntry,
});

export const DELETE = operation({
  number: OperationNumber.Delete,
  method: 'delete',
  takes: [KEY],
  read: asFlag,
  withoutHost: false,
  write: writeKey,
});

export const GET_AND_DELETE = operation({
  number: OperationNumber.GetAndDelete,
  method: 'getAndDelete',
  takes: [KEY],
  read: asValue,
  withoutHost: REJECT,
  write: writeKey,
});

export const TOUCH = operation({
  number: OperationNumber.Touch,
  method: 'touch',
  takes: [KEY, options<{ ttl?: number | undefined }>('ttl')],
  read: asFlag,
  withoutHost: false,
  write(frame, key, restart) {
    frame.key(key);
    RESTART.write(frame, restart);
  },
});
