/**
 * The errors that users see: one list of codes with the class of each. The codes come from the core's table
 * (`crates/core/src/error.rs`) and are explained in `docs/errors.md`.
 */

import { types } from 'node:util';

/** The class of the error for each code. Programming errors have built-in classes, so that `instanceof` works. */
const CLASS_OF_CODE = {
  ERR_CC_INVALID_OPTION: 'TypeError',
  ERR_CC_INVALID_ARGUMENT: 'TypeError',
  ERR_CC_INVALID_KEY: 'TypeError',
  ERR_CC_INVALID_VALUE: 'TypeError',
  ERR_CC_DATA_CLONE: 'TypeError',
  ERR_CC_OPTIONS_CONFLICT: 'Error',
  ERR_CC_NOT_A_NUMBER: 'TypeError',
  ERR_CC_OUT_OF_RANGE: 'RangeError',
  ERR_CC_NOT_HOST: 'Error',
  ERR_CC_NO_SHARED_TABLE: 'Error',
  ERR_CC_CLOSED: 'Error',
  ERR_CC_RECURSIVE_FETCH: 'Error',
  ERR_CC_NATIVE_MISSING: 'Error',
  ERR_CC_NO_HOST: 'Error',
  ERR_CC_TIMEOUT: 'Error',
  ERR_CC_DISCONNECTED: 'Error',
  ERR_CC_UNKNOWN_OUTCOME: 'Error',
  ERR_CC_PROTOCOL_VERSION: 'Error',
  ERR_CC_PROTOCOL: 'Error',
  ERR_CC_UNSUPPORTED: 'Error',
  ERR_CC_AUTHENTICATION: 'Error',
  ERR_CC_FOREIGN_PEER: 'Error',
  ERR_CC_LIMIT: 'Error',
  ERR_CC_MEMORY: 'Error',
  ERR_CC_DIRECTORY: 'Error',
  ERR_CC_PATH_TOO_LONG: 'Error',
  ERR_CC_SYSTEM: 'Error',
  ERR_CC_INTERNAL: 'Error',
} as const;

/** A stable code; it never changes its meaning. */
export type ErrorCode = keyof typeof CLASS_OF_CODE;

/** Marks the errors of this package, whichever copy of it created them. */
const MARK: unique symbol = Symbol.for('clustered-cache.error') as never;

/** What an operation was about that failed. */
export interface ErrorPlace {
  /** The namespace. */
  readonly namespace?: string;
  /** The key, for an operation on one key. */
  readonly key?: string | number;
  /** The method that was called. */
  readonly operation?: string;
}

/** What every error of this package has. Errors of an operation also tell what it was about. */
export interface CodedError extends Error, ErrorPlace {
  /** Stable code, see `docs/errors.md`. */
  readonly code: ErrorCode;
}

/** An error that is not a mistake in the call: a limit, a lost host, a refused peer. Tell them apart by `code`. */
export class ClusteredCacheError extends Error implements CodedError {
  readonly code: ErrorCode;
  declare readonly namespace?: string;
  declare readonly key?: string | number;
  declare readonly operation?: string;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    mark(this);
  }

  static {
    this.prototype.name = 'ClusteredCacheError';
  }
}

/**
 * Whether a value is an error of this package, including one created by another copy of it.
 *
 * @example
 * ```js
 * import { ClusteredCache, isClusteredCacheError } from 'clustered-cache';
 *
 * const cache = new ClusteredCache();
 * await cache.set('name', 'text');
 * try {
 *   await cache.incr('name');
 * } catch (error) {
 *   if (isClusteredCacheError(error)) console.log(error.code); // ERR_CC_NOT_A_NUMBER
 * }
 * ```
 */
export function isClusteredCacheError(value: unknown): value is CodedError {
  return typeof value === 'object' && value !== null && MARK in value;
}

/** Creates the error for `code`, with the class that belongs to it. */
export function codedError(code: ErrorCode, message: string, options?: ErrorOptions): CodedError {
  switch (CLASS_OF_CODE[code]) {
    case 'TypeError':
      return withCode(new TypeError(message, options), code);
    case 'RangeError':
      return withCode(new RangeError(message, options), code);
    default:
      return new ClusteredCacheError(code, message, options);
  }
}

/** The error for an option value that has the right type but is out of bounds. */
export function rangeError(code: ErrorCode, message: string): CodedError {
  return withCode(new RangeError(message), code);
}

/**
 * An error like `error` with another message, which tells its place. The trace of its stack begins below the function
 * `within`: at the caller of an operation, if that is awaiting it or has not returned yet.
 */
export function retold(
  error: CodedError,
  message: string,
  place: ErrorPlace,
  within: (...args: never[]) => unknown,
): Error {
  const options = error.cause === undefined ? undefined : { cause: error.cause };
  const isRange = types.isNativeError(error) && error instanceof RangeError;
  const copy = isRange
    ? withCode(new RangeError(message, options), error.code)
    : codedError(error.code, message, options);
  Error.captureStackTrace(copy, within);
  return withPlace(copy, place);
}

/** Gives an error its place. */
export function withPlace<E extends Error>(error: E, place: ErrorPlace): E {
  for (const [name, value] of Object.entries(place)) Object.defineProperty(error, name, { value, enumerable: true });
  return error;
}

/** The code, or `ERR_CC_INTERNAL` for one that this version does not know. */
export function knownCode(code: unknown): ErrorCode {
  return typeof code === 'string' && Object.hasOwn(CLASS_OF_CODE, code) ? (code as ErrorCode) : 'ERR_CC_INTERNAL';
}

/** Turns an error thrown by native code into an error of this package. */
export function fromNative(error: unknown): unknown {
  // Native code belongs to the main realm, whatever the realm of this copy: a vm context, under jest.
  if (!types.isNativeError(error) || isClusteredCacheError(error)) return error;
  return codedError(knownCode((error as { code?: unknown }).code), error.message, { cause: error.cause });
}

function withCode(error: Error, code: ErrorCode): CodedError {
  Object.defineProperty(error, 'code', { value: code, enumerable: true });
  mark(error);
  return error as CodedError;
}

function mark(error: Error): void {
  Object.defineProperty(error, MARK, { value: true });
}
