/** Counters. */

import { codedError, rangeError } from '../errors.js';
import { OperationNumber } from '../native.js';
import { checkCall, type CountOptions } from '../options/calls.js';
import { show } from '../options/checks.js';
import { COUNT_BY } from '../wire/fields.js';
import type { FrameWriter } from '../wire/frames.js';
import { asCounted, asNumber } from './answers.js';
import type { Key } from './entries.js';
import { REJECT, operation } from './operation.js';

const OPTIONS = ['ttl', 'size', 'min', 'max'] as const;

function write(frame: FrameWriter, key: Key, amount: number, given?: CountOptions): void {
  const options = checkCall(given, OPTIONS);
  checkAmount(amount);
  frame.key(key);
  frame.double(amount);
  COUNT_BY.write(frame, options);
}

export const INCR = operation({ number: OperationNumber.Count, read: asNumber, withoutHost: REJECT, write });

export const COUNT = operation({ number: OperationNumber.Count, read: asCounted, withoutHost: REJECT, write });

/** Negates an amount to subtract; anything but a number is returned as it is, to be refused by name. */
export const negated = (amount: number): number => (typeof amount === 'number' ? -amount : amount);

function checkAmount(amount: unknown): void {
  if (typeof amount !== 'number') {
    throw codedError('ERR_CC_INVALID_ARGUMENT', `\`amount\` is ${show(amount)}; allowed is a finite number`);
  }
  if (!Number.isFinite(amount)) {
    throw rangeError('ERR_CC_INVALID_ARGUMENT', `\`amount\` is ${amount}; allowed is a finite number`);
  }
}
