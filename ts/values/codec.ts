/**
 * Converts values to the forms that native code takes, and back. Primitives and bytes are passed as they are; plain
 * data becomes a record, the fastest form for small objects, or JSON text; everything else that structured clone
 * accepts goes through V8's serializer.
 */

import { codedError } from '../errors.js';
import { Form } from '../native.js';
import { isBody, keepBody, textOf } from './body.js';
import { encodePlain, type Encoded } from './plain.js';
import { DAMAGED, readRecord } from './record.js';
import { NO_STACK, deserialize, isOutOfStack, serialize } from './structured.js';
import { undecodable } from './undecodable.js';

/** Encodes a value that is kept for a while; see {@link encodeOnce}. */
export function encode(value: unknown): Encoded {
  const encoded = encodeOnce(value);
  return isBody(encoded.payload) ? { form: encoded.form, payload: keepBody(encoded.payload) } : encoded;
}

/**
 * Encodes a value. What comes out is good until the next value is encoded.
 *
 * @throws TypeError `ERR_CC_INVALID_VALUE` for `undefined`, `ERR_CC_DATA_CLONE` for values that cannot be cloned, with
 *   the text of the DataCloneError. Errors thrown by getters are passed on unchanged.
 */
export function encodeOnce(value: unknown): Encoded {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return { form: Form.Plain, payload: value };
    case 'object':
      return value === null ? { form: Form.Plain, payload: null } : encodeSafely(value);
    case 'undefined':
      throw codedError('ERR_CC_INVALID_VALUE', 'undefined cannot be cached: it means "not there"; use null or delete');
    default:
      throw codedError('ERR_CC_DATA_CLONE', `${String(value)} could not be cloned.`);
  }
}

function encodeSafely(value: object): Encoded {
  try {
    return encodeObject(value);
  } catch (cause) {
    // Errors thrown by accessors are passed on unchanged.
    throw isOutOfStack(cause) ? codedError('ERR_CC_DATA_CLONE', NO_STACK, { cause }) : cause;
  }
}

function encodeObject(value: object): Encoded {
  if (Buffer.isBuffer(value)) return { form: Form.Plain, payload: attached(value) };
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Uint8Array.prototype) return { form: Form.Bytes, payload: attached(value as Uint8Array) };
  const isPlain = prototype === Object.prototype || prototype === Array.prototype;
  return isPlain ? encodePlain(value, serialized) : serialized(value);
}

const serialized = (value: object): Encoded => ({ form: Form.V8, payload: serialize(value) });

/** Refuses bytes whose memory was transferred away: they would silently be stored as empty. */
function attached<T extends ArrayBufferView>(view: T): T {
  const { buffer } = view;
  if (view.byteLength === 0 && buffer.byteLength === 0 && isDetached(buffer)) {
    throw codedError('ERR_CC_DATA_CLONE', 'An ArrayBuffer is detached and could not be cloned.');
  }
  return view;
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    // A view of a detached buffer cannot be created; a view of an empty one can.
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw undecodable(DAMAGED, cause);
  }
}

/** Decodes a value that native code returned. @throws `ERR_CC_DATA_CLONE` for bytes that cannot be read. */
export function decode(form: Form, payload: unknown): unknown {
  switch (form) {
    case Form.Plain:
      return payload;
    case Form.Json:
      return parse(payload as string);
    case Form.V8:
      return deserialize(payload as Buffer);
    default:
      if (form < Form.Record) return undefined;
      return readRecord(form - Form.Record, isBody(payload) ? textOf(payload) : payload);
  }
}
