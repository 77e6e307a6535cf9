/** What an operation is: how its answer is read, what becomes of it without a host, and how it is run in steps. */

import type { Form } from '../native.js';
import type { Failsafe } from '../options/instance.js';
import type { Read } from './answers.js';

/** In the place of a value that no process may make up without the host. */
export const REJECT = Symbol('reject');

/** One kind of operation: how its answer is read, and what happens to it without a host. */
export interface Operation<T> {
  read: Read<T>;
  /** What a `failsafe: 'resolve'` instance resolves to without a host, or {@link REJECT}. */
  degraded: T | typeof REJECT;
  /** It changes something, so that its loss on the way leaves the outcome unknown. */
  writes: boolean;
  /** Takes an answer that comes after its caller has given up, where one must not be left lying: a lease. */
  orphaned?: (form: Form, number: number) => void;
}

/** What an instance says about its operations. */
export interface Policy {
  timeout: number;
  failsafe: Failsafe;
}

/** One thing to ask: what it is, and how native code is asked it. */
export interface Step<T> {
  operation: Operation<T>;
  start: (id: number) => unknown;
}

/** An operation of several steps, written once and run in both ways, awaited or at once. */
export type Steps<T> = Generator<Step<unknown>, T, never>;

/** What `yield` in {@link Steps} gives back: `const flag = yield* step({ operation: HAS, start })`. */
export function* step<T>(one: Step<T>): Generator<Step<unknown>, T, never> {
  return (yield one as Step<unknown>) as T;
}
