/**
 * Errors of loaders on their way to the callers that waited in other processes: name, message, code, stack and the
 * chain of causes. Any other thrown value is passed as it is if it can be cloned.
 */

import { isClusteredCacheError, codedError } from '../errors.js';
import { encode } from './codec.js';

/** The maximum length of a chain of causes. */
const MAX_CAUSES = 16;

interface PackedError {
  name: string;
  message: string;
  stack?: string;
  code?: string | number;
  /** Whether it is an error of this package, which keeps its class. */
  own?: boolean;
  cause?: Packed;
}

type Packed = { error: PackedError } | { thrown: unknown };

const BUILT_IN: Record<string, ErrorConstructor> = {
  Error,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
  EvalError,
  URIError,
} as Record<string, ErrorConstructor>;

/** Converts an error thrown by a loader to a value that can be cached. */
export function packError(thrown: unknown, causes = 0): Packed {
  if (!(thrown instanceof Error)) return { thrown: clonable(thrown) };
  const { name, message, stack, cause } = thrown;
  const code = (thrown as { code?: unknown }).code;
  const packed: PackedError = { name: String(name), message: String(message) };
  if (typeof stack === 'string') packed.stack = stack;
  if (typeof code === 'string' || typeof code === 'number') packed.code = code;
  if (isClusteredCacheError(thrown)) packed.own = true;
  if (cause !== undefined && causes < MAX_CAUSES) packed.cause = packError(cause, causes + 1);
  return { error: packed };
}

/** Restores the error that {@link packError} packed. */
export function unpackError(packed: unknown): unknown {
  const from = packed as Packed;
  if (!('error' in from)) return from.thrown;
  const { name, message, stack, code, own, cause } = from.error;
  const options = cause === undefined ? undefined : { cause: unpackError(cause) };
  if (own) return withStack(codedError(code as never, message, options), stack);
  const error = new (BUILT_IN[name] ?? Error)(message, options);
  if (error.name !== name) Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  if (code !== undefined) Object.assign(error, { code });
  return withStack(error, stack);
}

function withStack(error: Error, stack: string | undefined): Error {
  if (stack !== undefined) Object.defineProperty(error, 'stack', { value: stack, configurable: true, writable: true });
  return error;
}

function clonable(thrown: unknown): unknown {
  if (thrown === undefined) return undefined;
  try {
    encode(thrown);
    return thrown;
  } catch {
    return String(thrown);
  }
}
