/** Counters. */

import { codedError, rangeError } from '../errors.js';
import { OperationNumber } from '../native.js';
import type { CountOptions } from '../options/calls.js';
import { show } from '../options/checks.js';
import { COUNT_BY } from '../wire/fields.js';
import type { FrameWriter } from '../wire/frames.js';
import { asCounted, asCounter } from './answers.js';
import { KEY, type Key } from './entries.js';
import { REJECT, argument, operation, options } from './operation.js';

const COUNT_OPTIONS = options<CountOptions>('ttl', 'size', 'min', 'max', 'now', 'ifPresent');

const takes = [KEY, argument<number | undefined>(), COUNT_OPTIONS] as const;

function write(frame: FrameWriter, key: Key, amount = 1, by: CountOptions): void {
  checkAmount(amount);
  frame.key(key);
  frame.double(amount);
  COUNT_BY.write(frame, by);
}

export const INCR = operation({
  number: OperationNumber.Count,
  method: 'incr',
  takes,
  read: asCounter,
  withoutHost: REJECT,
  write,
});

export const DECR = operation({
  number: OperationNumber.Count,
  method: 'decr',
  takes,
  read: asCounter,
  withoutHost: REJECT,
  write: (frame, key, amount = 1, by) => write(frame, key, negated(amount), by),
});

export const COUNT = operation({
  number: OperationNumber.Count,
  method: 'count',
  takes,
  read: asCounted,
  withoutHost: REJECT,
  write,
});

/** Negates an amount to subtract; anything but a number is returned as it is, to be refused by name. */
const negated = (amount: number): number => (typeof amount === 'number' ? -amount : amount);

function checkAmount(amount: unknown): void {
  if (typeof amount !== 'number') {
    throw codedError('ERR_CC_INVALID_ARGUMENT', `\`amount\` is ${show(amount)}; allowed is a finite number`);
  }
  if (!Number.isFinite(amount)) {
    throw rangeError('ERR_CC_INVALID_ARGUMENT', `\`amount\` is ${amount}; allowed is a finite number`);
  }
}
