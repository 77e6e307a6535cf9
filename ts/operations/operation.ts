/**
 * The definition of an operation: what it takes, how its request is written, how its answer is read, and its result
 * without a host. The synchronous twins of methods and the views of `wrap` follow from it.
 */

import { native, type Form, type OperationNumber } from '../native.js';
import { checkCall, type CallOption } from '../options/calls.js';
import type { Failsafe } from '../options/instance.js';
import { encodeOnce } from '../values/codec.js';
import type { Encoded } from '../values/plain.js';
import type { FrameWriter } from '../wire/frames.js';
import { asValue, type Read } from './answers.js';

/** Marks an operation that has no honest result without the host. */
export const REJECT = Symbol('reject');

/** What an operation is about; see the table of operations in `docs/protocol.md`. */
export type Scope = 'Host' | 'Namespace' | 'Key' | 'Keys' | 'Load' | 'Scan';

// --- arguments -------------------------------------------------------------------------------------------------------

/**
 * Prepares one argument of an operation for `write`. This is done before the frame is begun, because it may run
 * application code, which may use the cache.
 */
export type Argument<Given, Ready = Given> = (given: Given) => Ready;

const asGiven = <T>(given: T): T => given;

/** An argument that is written as it was given: it holds no accessors, or `write` refuses everything but primitives. */
export const argument = <T>(): Argument<T> => asGiven;

/** A value. It is encoded, and a view of `wrap` passes it through the codec first. */
export const VALUE: Argument<unknown, Encoded> = encodeOnce;

/** Options with these names: a checked copy, without accessors. An operation takes at most one such argument. */
export function options<O extends object>(...names: (keyof O & CallOption)[]): Argument<O | undefined, O> {
  return (given) => checkCall(given, names);
}

export type Arguments = readonly Argument<never, unknown>[];
export type Given<P extends Arguments> = { -readonly [I in keyof P]: Parameters<P[I]>[0] };
export type Ready<P extends Arguments> = { -readonly [I in keyof P]: ReturnType<P[I]> };

// --- operations ------------------------------------------------------------------------------------------------------

/** One kind of operation, whose arguments are `A`. */
export interface Operation<T, A extends readonly unknown[] = never> extends Settling<T> {
  /** Its number on the wire. */
  readonly number: OperationNumber;
  /** The minor version of the protocol that introduced it. */
  readonly since: number;
  /** What it is about: with `'Key'` that is its first argument. */
  readonly scope: Scope;
  /** Whether that method has a synchronous twin. */
  readonly sync: boolean;
  /** The position of the argument that is a value, or -1. */
  readonly valueAt: number;
  /** Whether the result is a value. */
  readonly givesValue: boolean;
  /** The position of the options, or -1. */
  readonly optionsAt: number;
  /** Prepares the options. */
  readonly checkOptions: (given: never) => unknown;
  /** Checks the arguments, which were prepared, and writes the payload. It runs no application code. */
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
  /** The method of a cache that requests it, and does nothing else. */
  readonly method?: string | undefined;
  /** The method that requests it and does more. */
  readonly partOf?: string | undefined;
  /** Handles an answer that arrives after its caller has given up, where it must not be ignored: a lease. */
  readonly onLateAnswer?: ((form: Form, number: number) => void) | undefined;
}

/** The settings of an instance that apply to its operations. */
export interface Policy {
  timeout: number;
  failsafe: Failsafe;
  /** The namespace, as messages name it. */
  namespace?: string;
  /** The method that was called, where the operation is one of its steps. */
  operation?: string;
  /** Called for each entry that a read leaves out, because it cannot be decoded. */
  leftOut?: (key: string | number, error: unknown, operation: string) => void;
}

/** The core's table of operations, by number. */
const TABLE = new Map(native.operations().map((row) => [row.number, row]));

/** The part of an operation that is not in the core's table. */
interface Definition<T, P extends Arguments, Name, Sync> {
  number: OperationNumber;
  /** The method of a cache that only requests this operation, if there is one. */
  method?: Name;
  /** The method that requests it and does more. */
  partOf?: string;
  /** `false` where that method has no synchronous twin. */
  sync?: Sync;
  /** The arguments. */
  takes?: P;
  read: Read<T>;
  withoutHost: T | typeof REJECT;
  write?: (frame: FrameWriter, ...args: Ready<P>) => void;
}

/** What the compiler knows of the method of an operation, or of several steps. */
export interface Named<Name, Sync extends boolean> {
  readonly method: Name;
  readonly sync: Sync;
}

/** What the compiler knows of the values that an operation takes or gives. */
export interface Valued<T, P extends Arguments> {
  readonly valueAt: [Extract<Ready<P>[number], Encoded>] extends [never] ? -1 : number;
  readonly givesValue: unknown extends T ? true : false;
}

/** Defines an operation. Its scope, whether it writes, and the version that introduced it are in the core's table. */
export function operation<
  T,
  const P extends Arguments = readonly [],
  const Name extends string | undefined = undefined,
  const Sync extends boolean = true,
>(definition: Definition<T, P, Name, Sync>): Operation<T, Given<P>> & Named<Name, Sync> & Valued<T, P> {
  const { number, method, partOf, sync = true, takes = [], read, withoutHost, write = () => {} } = definition;
  const row = TABLE.get(number);
  if (!row) throw new Error(`the addon has no operation of number ${number}`);
  const { scope, writes, since } = row;
  const valueAt = takes.indexOf(VALUE as never);
  const optionsAt = takes.findIndex((prepare) => prepare !== (VALUE as never) && prepare !== asGiven);
  return {
    number,
    since,
    scope: scope as Scope,
    writes,
    method: method as Name,
    partOf,
    sync: sync as Sync,
    valueAt: valueAt as never,
    givesValue: ((read as Read<unknown>) === asValue) as never,
    optionsAt,
    checkOptions: takes[optionsAt] ?? asGiven,
    read,
    withoutHost,
    onLateAnswer: undefined,
    write: write as never,
  };
}

// --- several steps ---------------------------------------------------------------------------------------------------

/** One step of an operation that takes several: the operation to send, and its arguments. */
export interface Step<T, A extends readonly unknown[] = readonly unknown[]> {
  operation: Operation<T, A>;
  args: A;
}

/** In the place of a step: an entry that could not be decoded. */
export interface LeftOut {
  leftOut: string | number;
  error: unknown;
}

/** An operation of several steps, written once and run in both ways, asynchronous and synchronous. */
export type Steps<T> = Generator<Step<unknown, never> | LeftOut, T, never>;

/** Yields one step in {@link Steps} and returns its answer: `const flags = yield* step(HAS_MANY, keys)`. */
export function* step<T, A extends readonly unknown[]>(
  operation: Operation<T, A>,
  ...args: A
): Generator<Step<unknown, never>, T, never> {
  return (yield { operation, args } as unknown as Step<unknown, never>) as T;
}

/** A method that takes several steps, whose arguments are `A`. */
export interface Composite<T, A extends readonly unknown[] = never> {
  readonly method: string;
  /** Whether it has a synchronous twin. */
  readonly sync: boolean;
  readonly run: (...args: A) => Steps<T>;
}

/** Defines a method that takes several steps. A view of `wrap` passes it through, unless `wrap.ts` has its own. */
export function composite<
  T,
  A extends readonly unknown[],
  const Name extends string,
  const Sync extends boolean = true,
>(definition: { method: Name; sync?: Sync; run: (...args: A) => Steps<T> }): Composite<T, A> & Named<Name, Sync> {
  const { method, sync = true, run } = definition;
  return { method, sync: sync as Sync, run };
}
