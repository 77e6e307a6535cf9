/**
 * Values to what native code takes, and back. Primitives and bytes go as they are; plain data goes as a record, the
 * fastest for small objects, or as JSON text; everything else that structured clone accepts goes through V8's
 * serializer.
 */

import { DefaultDeserializer, DefaultSerializer } from 'node:v8';
import { codedError } from '../errors.js';
import { Form } from '../native.js';
import { encodePlain } from './plain.js';
import { readRecord } from './record.js';

/** A value ready for native code. */
export interface Encoded {
  /** From {@link Form.Record} on it names the shape of a record too. */
  form: Form;
  payload: unknown;
}

/**
 * Encodes a value.
 *
 * @throws TypeError `ERR_CC_INVALID_VALUE` for `undefined`, `ERR_CC_DATA_CLONE` for what cannot be cloned, with the
 * text of the DataCloneError. What a getter throws comes through as it is.
 */
export function encode(value: unknown): Encoded {
  switch (typeof value) {
    case 'string':
    case 'number':
    case 'boolean':
    case 'bigint':
      return { form: Form.Plain, payload: value };
    case 'object':
      return value === null ? { form: Form.Plain, payload: null } : encodeObject(value);
    case 'undefined':
      throw codedError('ERR_CC_INVALID_VALUE', 'undefined cannot be cached: it means "not there"; use null or delete');
    default:
      throw codedError('ERR_CC_DATA_CLONE', `${String(value)} could not be cloned.`);
  }
}

function encodeObject(value: object): Encoded {
  if (Buffer.isBuffer(value)) return { form: Form.Plain, payload: attached(value) };
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Uint8Array.prototype) return { form: Form.Bytes, payload: attached(value as Uint8Array) };
  const isPlain = prototype === Object.prototype || prototype === Array.prototype;
  return (isPlain ? encodePlain(value) : undefined) ?? { form: Form.V8, payload: serialize(value) };
}

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
    // A view on a detached buffer cannot be made; on an empty one it can.
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
}

function serialize(value: object): Buffer {
  const serializer = new DefaultSerializer();
  try {
    serializer.writeHeader();
    serializer.writeValue(value);
  } catch (error) {
    throw isCloneFailure(error) ? codedError('ERR_CC_DATA_CLONE', error.message, { cause: error }) : error;
  }
  return serializer.releaseBuffer();
}

/** V8 reports what it cannot clone by errors of its own; what a getter threw is another's error and passes. */
function isCloneFailure(error: unknown): error is Error {
  return (
    error instanceof Error && /could not be cloned|Unserializable host object|detached ArrayBuffer/.test(error.message)
  );
}

/** V8's reader, except that bytes come back in memory of their own instead of as views of the whole message. */
class Deserializer extends DefaultDeserializer {
  // Node names the hook so; it is documented under v8.Deserializer.
  _readHostObject(): unknown {
    const read = (DefaultDeserializer.prototype as unknown as { _readHostObject(): ArrayBufferView })._readHostObject;
    const view = read.call(this);
    const memory = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer;
    if (Buffer.isBuffer(view)) return Buffer.from(memory);
    if (view instanceof DataView) return new DataView(memory);
    const View = view.constructor as new (memory: ArrayBuffer) => ArrayBufferView;
    return new View(memory);
  }
}

/** The value that native code answered. */
export function decode(form: Form, payload: unknown): unknown {
  switch (form) {
    case Form.Plain:
      return payload;
    case Form.Json:
      return JSON.parse(payload as string);
    case Form.V8:
      return deserialize(payload as Buffer);
    default:
      return form >= Form.Record ? readRecord(form - Form.Record, payload) : undefined;
  }
}

function deserialize(bytes: Buffer): unknown {
  try {
    const deserializer = new Deserializer(bytes);
    deserializer.readHeader();
    return deserializer.readValue();
  } catch (cause) {
    throw codedError(
      'ERR_CC_DATA_CLONE',
      `a cached value cannot be read by Node.js ${process.versions.node}; it was written by a newer version: ` +
        'run all processes on one, or clear the cache',
      { cause },
    );
  }
}
