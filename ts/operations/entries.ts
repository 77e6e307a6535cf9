/** Operations on one entry. */

import { OperationNumber } from '../native.js';
import { checkCall, type KeepOptions, type SetOptions } from '../options/calls.js';
import { isOversize } from '../values/size.js';
import { KEEP, RESTART } from '../wire/fields.js';
import type { FrameWriter } from '../wire/frames.js';
import { asFlag, asInfo, asRemaining, asValue } from './answers.js';
import { PING } from './namespace.js';
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

/** What is too large to store leaves no older value behind either. */
const DELETE_INSTEAD = { ...DELETE, read: () => false };
/** Sent even where the answer is known, so that a lost host is noticed. */
const PING_INSTEAD = { ...PING, read: () => false };

const SET_OPTIONS = ['ttl', 'expiresAt', 'size'] as const;
const KEEP_OPTIONS = ['ttl', 'size'] as const;

export const SET = storing({
  number: OperationNumber.Set,
  read: asFlag,
  withoutHost: false,
  write(frame, key: Key, encoded, given?: SetOptions) {
    const options = checkCall(given, SET_OPTIONS);
    frame.key(key);
    if (isOversize(encoded)) return DELETE_INSTEAD;
    frame.value(encoded);
    KEEP.write(frame, options);
    return undefined;
  },
});

export const SET_IF_ABSENT = storing({
  number: OperationNumber.SetIfAbsent,
  read: asFlag,
  withoutHost: REJECT,
  write(frame, key: Key, encoded, given?: KeepOptions) {
    const options = checkCall(given, KEEP_OPTIONS);
    if (isOversize(encoded)) return PING_INSTEAD;
    frame.key(key);
    frame.value(encoded);
    KEEP.write(frame, options);
    return undefined;
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
