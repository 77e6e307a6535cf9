/**
 * The definition of an operation: how its request is written, how its answer is read, and its result without a host.
 */

import { native, type Form, type OperationNumber } from '../native.js';
import type { Failsafe } from '../options/instance.js';
import type { Encoded } from '../values/plain.js';
import type { FrameWriter } from '../wire/frames.js';
import type { Read } from './answers.js';

/** Marks an operation that has no honest result without the host. */
export const REJECT = Symbol('reject');

/** What an operation is about; see the table of operations in `docs/protocol.md`. */
export type Scope = 'Host' | 'Namespace' | 'Key' | 'Keys' | 'Load' | 'Scan';

/** One kind of operation, whose arguments are `A`. */
export interface Operation<T, A extends readonly unknown[] = never> extends Settling<T> {
  /** Its number on the wire. */
  readonly number: OperationNumber;
  /** The minor version of the protocol that introduced it. */
  readonly since: number;
  /** What it is about: with `'Key'` that is its first argument. */
  readonly scope: Scope;
  /**
   * Whether its second argument is a value. {@link write} receives that value encoded: it is encoded before the frame is
   * begun, because encoding may run application code, which may use the cache.
   */
  readonly encodes: boolean;
  /** Checks the arguments and writes the payload. */
  readonly write: (frame: FrameWriter, ...args: A) => void;
}

/** The part of an operation that is needed to end a request: everything but how it is written. */
export interface Settling<T> {
  /** Reads the answer. */
  readonly read: Read<T>;
  /** The result of a `failsafe: 'resolve'` instance without a host, or {@link REJECT}. */
  readonly withoutHost: T | typeof REJECT;
  /** Whether it may change entries: if such a request is lost on the way, its outcome is unknown. */
  readonly writes: boolean;
  /** Handles an answer that arrives after its caller has given up, where it must not be ignored: a lease. */
  readonly onLateAnswer?: (form: Form, number: number) => void;
}

/** The settings of an instance that apply to its operations. */
export interface Policy {
  timeout: number;
  failsafe: Failsafe;
}

/** The core's table of operations, by number. */
const TABLE = new Map(native.operations().map((row) => [row.number, row]));

/** The part of an operation that is not in the core's table. */
interface Definition<T, A extends readonly unknown[]> {
  number: OperationNumber;
  read: Read<T>;
  withoutHost: T | typeof REJECT;
  write: (frame: FrameWriter, ...args: A) => void;
}

/** Defines an operation. Its scope, whether it writes, and the version that introduced it are in the core's table. */
export function operation<T, A extends readonly unknown[]>(definition: Definition<T, A>): Operation<T, A> {
  const row = TABLE.get(definition.number);
  if (!row) throw new Error(`the addon has no operation of number ${definition.number}`);
  const { scope, writes, since } = row;
  return { ...definition, scope: scope as Scope, writes, since, encodes: false };
}

/** Defines an operation on a key that stores a value, its second argument. */
export function storing<T, K, O>(
  definition: Definition<T, [key: K, value: Encoded, options?: O]>,
): Operation<T, [key: K, value: unknown, options?: O]> {
  return { ...operation(definition), encodes: true } as unknown as Operation<T, [key: K, value: unknown, options?: O]>;
}

/** One step of an operation that takes several: the operation to send, and its arguments. */
export interface Step<T, A extends readonly unknown[] = readonly unknown[]> {
  operation: Operation<T, A>;
  args: A;
}

/** An operation of several steps, written once and run in both ways, asynchronous and synchronous. */
export type Steps<T> = Generator<Step<unknown, never>, T, never>;

/** Yields one step in {@link Steps} and returns its answer: `const flags = yield* step(HAS_MANY, keys)`. */
export function* step<T, A extends readonly unknown[]>(
  operation: Operation<T, A>,
  ...args: A
): Generator<Step<unknown, never>, T, never> {
  return (yield { operation, args } as unknown as Step<unknown, never>) as T;
}
