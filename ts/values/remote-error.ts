/**
 * Errors of loaders on their way to the callers that waited in other processes: name, message, code, stack, the chain of
 * causes, the errors of an `AggregateError`, and own enumerable properties. Any other thrown value, and any property, is
 * passed as it is if it can be cloned.
 */

import { types } from 'node:util';
import { isClusteredCacheError, codedError } from '../errors.js';
import { encode } from './codec.js';
import type { Encoded } from './plain.js';
import { DAMAGED } from './record.js';
import { isOversize } from './size.js';

/** The maximum depth of causes and of errors in an `AggregateError`, and of how many errors all together are kept. */
const MAX_CAUSES = 16;
const MAX_ERRORS = 256;

interface PackedError {
  name: string;
  message: string;
  stack?: string;
  code?: string | number;
  /** Whether it is an error of this package, which keeps its class. */
  own?: boolean;
  cause?: Packed;
  /** Of an `AggregateError`. */
  errors?: Packed[];
  /** Own enumerable properties. */
  fields?: Record<string, unknown>;
}

type Packed = { error: PackedError } | { thrown: unknown };

const BUILT_IN = new Map<string, ErrorConstructor>(
  [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError].map((type) => [type.name, type]),
);

/** Properties that have a place of their own. */
const PLACED = new Set(['name', 'message', 'stack', 'code', 'cause', 'errors']);

/** Encodes an error thrown by a loader: in full if possible, otherwise what can be told of it. */
export function encodeError(thrown: unknown): Encoded {
  try {
    const encoded = encode(packError(thrown));
    if (!isOversize(encoded)) return encoded;
  } catch {
    // An accessor has thrown, or the parts together are nested too deeply.
  }
  return encode(summary(thrown));
}

function summary(thrown: unknown): Packed {
  const short = (text: unknown) => String(text).slice(0, 10_000);
  try {
    const { name, message, code } = thrown as Partial<PackedError>;
    if (!isError(thrown)) return { thrown: short(thrown) };
    const kept = typeof code === 'string' || typeof code === 'number' ? { code } : {};
    return { error: { name: short(name), message: short(message), ...kept } };
  } catch {
    return { thrown: 'an error that cannot be read was thrown' };
  }
}

/** Whether a value is an error, also of another realm: a `vm` context, or the one in which jest runs tests. */
const isError = (value: unknown): value is Error => value instanceof Error || types.isNativeError(value);

/**
 * Converts an error thrown by a loader to a value that can be cached. `left` bounds how many errors are packed with it:
 * an error may be among its own errors, or causes.
 */
export function packError(thrown: unknown, depth = 0, left = { errors: MAX_ERRORS }): Packed {
  left.errors -= 1;
  if (!isError(thrown)) return { thrown: clonable(thrown) };
  const { name, message, stack, cause } = thrown;
  const { code, errors } = thrown as { code?: unknown; errors?: unknown };
  const packed: PackedError = { name: String(name), message: String(message) };
  if (typeof stack === 'string') packed.stack = stack;
  if (typeof code === 'string' || typeof code === 'number') packed.code = code;
  if (isClusteredCacheError(thrown)) packed.own = true;
  const goesOn = depth < MAX_CAUSES && left.errors > 0;
  if (cause !== undefined && goesOn) packed.cause = packError(cause, depth + 1, left);
  if (Array.isArray(errors) && goesOn) packed.errors = packErrors(errors, depth + 1, left);
  const fields = clonableFields(thrown);
  if (fields) packed.fields = fields;
  return { error: packed };
}

function packErrors(errors: readonly unknown[], depth: number, left: { errors: number }): Packed[] {
  const packed: Packed[] = [];
  for (const error of errors) {
    if (left.errors <= 0) break;
    packed.push(packError(error, depth, left));
  }
  return packed;
}

function clonableFields(error: Error): Record<string, unknown> | undefined {
  const fields = Object.entries(error).filter(([key, value]) => !PLACED.has(key) && isClonable(value));
  return fields.length === 0 ? undefined : Object.fromEntries(fields);
}

/** Restores the error that {@link packError} packed. @throws `ERR_CC_DATA_CLONE` for anything else. */
export function unpackError(packed: unknown): unknown {
  try {
    return restored(packed as Packed);
  } catch (cause) {
    throw codedError('ERR_CC_DATA_CLONE', DAMAGED, { cause });
  }
}

function restored(from: Packed): unknown {
  if (!('error' in from)) return from.thrown;
  const { name, message, stack, code, own, cause, errors, fields } = from.error;
  const options = cause === undefined ? undefined : { cause: restored(cause) };
  const error = own
    ? codedError(code as never, message, options)
    : errors
      ? new AggregateError(errors.map(restored), message, options)
      : new (BUILT_IN.get(name) ?? Error)(message, options);
  if (error.name !== name) define(error, 'name', name, false);
  if (code !== undefined && !own) define(error, 'code', code, true);
  for (const [key, value] of Object.entries(fields ?? {})) define(error, key, value, true);
  return withStack(error, stack);
}

/** An error may hold keys that its prototype has as accessors, `__proto__` for one: they must be defined. */
function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, configurable: true, writable: true });
}

function withStack(error: Error, stack: string | undefined): Error {
  if (stack !== undefined) define(error, 'stack', stack, false);
  return error;
}

function clonable(thrown: unknown): unknown {
  return thrown === undefined || isClonable(thrown) ? thrown : String(thrown);
}

function isClonable(value: unknown): boolean {
  if (value === undefined) return true;
  try {
    encode(value);
    return true;
  } catch {
    return false;
  }
}
