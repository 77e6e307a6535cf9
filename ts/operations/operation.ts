/** What an operation is: how it is written and its answer read, and what becomes of it without a host. */

import { native, type Form, type OperationNumber } from '../native.js';
import type { Failsafe } from '../options/instance.js';
import type { FrameWriter } from '../wire/frames.js';
import type { Read } from './answers.js';

/** In the place of a value that no process may make up without the host. */
export const REJECT = Symbol('reject');

/** What an operation is about; see the table of operations in `docs/protocol.md`. */
export type Scope = 'Host' | 'Namespace' | 'Key' | 'Keys' | 'Load' | 'Scan';

/** One kind of operation, whose arguments are `A`. */
export interface Operation<T, A extends readonly unknown[] = never> extends Settling<T> {
  /** Its number on the wire. */
  readonly number: OperationNumber;
  /** The minor version of the protocol that brought it. */
  readonly since: number;
  /** What it is about: with `'Key'` that is its first argument. */
  readonly scope: Scope;
  /** Checks the arguments and writes the payload. */
  readonly write: (frame: FrameWriter, ...args: A) => void;
}

/** What is needed of an operation to settle a request: all but how it is asked. */
export interface Settling<T> {
  /** Reads the answer. */
  readonly read: Read<T>;
  /** What a `failsafe: 'resolve'` instance resolves to without a host, or {@link REJECT}. */
  readonly withoutHost: T | typeof REJECT;
  /** It may change entries: its loss on the way leaves the outcome unknown. */
  readonly writes: boolean;
  /** Takes an answer that comes after its caller has given up, where one must not be left lying: a lease. */
  readonly orphaned?: (form: Form, number: number) => void;
}

/** What an instance says about its operations. */
export interface Policy {
  timeout: number;
  failsafe: Failsafe;
}

/** The core's table of operations, by number. */
const TABLE = new Map(native.operations().map((row) => [row.number, row]));

/** What one operation says beside the core's table. */
interface Definition<T, A extends readonly unknown[]> {
  number: OperationNumber;
  read: Read<T>;
  withoutHost: T | typeof REJECT;
  write: (frame: FrameWriter, ...args: A) => void;
}

/** Defines an operation: what it is about, whether it writes and since when it is there are in the core's table. */
export function operation<T, A extends readonly unknown[]>(definition: Definition<T, A>): Operation<T, A> {
  const row = TABLE.get(definition.number);
  if (!row) throw new Error(`the addon has no operation of number ${definition.number}`);
  const { scope, writes, since } = row;
  return { ...definition, scope: scope as Scope, writes, since };
}

/** One step of an operation that takes several: what is asked, and with which arguments. */
export interface Step<T, A extends readonly unknown[] = readonly unknown[]> {
  operation: Operation<T, A>;
  args: A;
}

/** An operation of several steps, written once and run in both ways, awaited or at once. */
export type Steps<T> = Generator<Step<unknown, never>, T, never>;

/** What `yield` in {@link Steps} gives back: `const flags = yield* step(HAS_MANY, keys)`. */
export function* step<T, A extends readonly unknown[]>(
  operation: Operation<T, A>,
  ...args: A
): Generator<Step<unknown, never>, T, never> {
  return (yield { operation, args } as unknown as Step<unknown, never>) as T;
}
