/** Operations on one entry. */

import { OperationNumber } from '../native.js';
import { checkCall, type KeepOptions, type SetOptions } from '../options/calls.js';
import type { Encoded } from '../values/plain.js';
import { OVERSIZE, UNSENT, isOversize } from '../values/size.js';
import { KEEP, RESTART } from '../wire/fields.js';
import type { FrameWriter } from '../wire/frames.js';
import { asFlag, asInfo, asRemaining, asValue } from './answers.js';
import { REJECT, operation, storing } from './operation.js';

export type Key = string | number;

const writeKey = (frame: FrameWriter, key: Key) => frame.key(key);

// --- reads -----------------------------------------------------------------------------------------------------------

export const GET = operation({
  number: OperationNumber.Get,
  read: asValue,
  withoutHost: undefined,
  write: writeKey,
});

export const PEEK = operation({
  number: OperationNumber.Peek,
  read: asValue,
  withoutHost: undefined,
  write: writeKey,
});

export const HAS = operation({ number: OperationNumber.Has, read: asFlag, withoutHost: false, write: writeKey });

export const INFO = operation({ number: OperationNumber.Info, read: asInfo, withoutHost: undefined, write: writeKey });

export const REMAINING = operation({
  number: OperationNumber.Info,
  read: asRemaining,
  withoutHost: 0,
  write: writeKey,
});

// --- writes ----------------------------------------------------------------------------------------------------------

export const DELETE = operation({ number: OperationNumber.Delete, read: asFlag, withoutHost: false, write: writeKey });

const SET_OPTIONS = ['ttl', 'expiresAt', 'size'] as const;
const KEEP_OPTIONS = ['ttl', 'size'] as const;

/** Writes what all operations that store one value have in their payloads. */
function writeEntry(frame: FrameWriter, key: Key, encoded: Encoded, options: SetOptions): void {
  frame.key(key);
  if (isOversize(encoded)) {
    frame.value(UNSENT);
    KEEP.write(frame, { ...options, size: OVERSIZE });
  } else {
    frame.value(encoded);
    KEEP.write(frame, options);
  }
}

export const SET = storing({
  number: OperationNumber.Set,
  read: asFlag,
  withoutHost: false,
  write(frame, key: Key, encoded, given?: SetOptions) {
    const options = checkCall(given, SET_OPTIONS);
    writeEntry(frame, key, encoded, options);
  },
});

export const SET_IF_ABSENT = storing({
  number: OperationNumber.SetIfAbsent,
  read: asFlag,
  withoutHost: REJECT,
  write(frame, key: Key, encoded, given?: KeepOptions) {
    const options = checkCall(given, KEEP_OPTIONS);
    writeEntry(frame, key, encoded, options);
  },
});

/** Without a host, neither what it does to the entry nor the value that was there before is known. */
export const GET_AND_SET = storing({
  number: OperationNumber.GetAndSet,
  read: asValue,
  withoutHost: REJECT,
  write(frame, key: Key, encoded, given?: SetOptions) {
    const options = checkCall(given, SET_OPTIONS);
    writeEntry(frame, key, encoded, options);
  },
});

export const GET_AND_DELETE = operation({
  number: OperationNumber.GetAndDelete,
  read: asValue,
  withoutHost: REJECT,
  write: writeKey,
});

export const TOUCH = operation({
  number: OperationNumber.Touch,
  read: asFlag,
  withoutHost: false,
  write(frame, key: Key, given?: { ttl?: number }) {
    const options = checkCall(given, ['ttl']);
    frame.key(key);
    RESTART.write(frame, options);
  },
});
