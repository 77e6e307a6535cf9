/**
 * Every operation once: how its answer is read, and what a `failsafe: 'resolve'` instance makes of it without a
 * host. A read is a miss, `set` and `delete` did nothing; what cannot be answered honestly rejects.
 */

import * as answers from './answers.js';
import { REJECT, type Operation } from './operation.js';

const read = <T>(how: answers.Read<T>, degraded: T | typeof REJECT): Operation<T> => ({
  read: how,
  degraded,
  writes: false,
});

const write = <T>(how: answers.Read<T>, degraded: T | typeof REJECT): Operation<T> => ({
  read: how,
  degraded,
  writes: true,
});

export const OPEN = read(answers.asSettings, REJECT);
export const RELEASE = read(answers.asFlag, false);
export const PING = read(answers.asFlag, REJECT);

export const GET = read(answers.asValue, undefined);
export const HAS = read(answers.asFlag, false);
export const INFO = read(answers.asInfo, undefined);
export const REMAINING = read(answers.asRemaining, 0);
export const GET_MANY = read(answers.asValues, []);
export const HAS_MANY = read(answers.asFlags, []);
export const SCAN = read(answers.asPage, { cursor: 0, entries: [] });
export const SCAN_END = read(answers.asFlag, false);

export const SET = write(answers.asFlag, false);
export const SET_IF_ABSENT = write(answers.asFlag, REJECT);
export const DELETE = write(answers.asFlag, false);
/** What is too large to store leaves no older value behind either. */
export const DELETE_INSTEAD = write(() => false, false);
/** Asked where the answer is known, so that a lost host is noticed all the same. */
export const PING_INSTEAD = read(() => false, REJECT);
export const GET_AND_DELETE = write(answers.asValue, REJECT);
export const SET_MANY = write(answers.asNumber, 0);
export const DELETE_MANY = write(answers.asNumber, 0);
export const CLEAR = write(answers.asNumber, REJECT);
export const TOUCH = write(answers.asFlag, false);
export const PURGE = write(answers.asFlag, REJECT);
export const INCR = write(answers.asNumber, REJECT);
export const COUNTED = write(answers.asCounted, REJECT);
export const TUNE = write(answers.asSettings, REJECT);
export const SETTINGS = read(answers.asSettings, REJECT);
export const DESTROY = write(answers.asFlag, REJECT);

export const SETTLE = write(answers.asFlag, REJECT);
export const CANCEL_WAIT = read(answers.asFlag, false);

/** Counters of the namespace `namespace`. */
export const statsOf = (namespace: string): Operation<answers.CacheStats> => read(answers.asStats(namespace), REJECT);
