/** Values as V8's serializer writes them: everything that structured clone accepts. */

import type * as V8 from 'node:v8';
import { codedError } from '../errors.js';
import { clonable, type ErrorParts } from './clonable.js';
import { undecodable } from './undecodable.js';

let loaded: typeof V8 | undefined;

/** Loaded with the first value that needs it; most values are plain data. */
const v8 = () => (loaded ??= require('node:v8') as typeof V8);

/**
 * The first byte of a value that is followed by the parts of errors which V8 does not write. Without them, the first
 * byte is V8's own, 0xff.
 */
const WITH_PARTS = 1;

/** Encodes what structured clone accepts, unless it would not come back equal; see `clonable.ts`. */
export function serialize(given: object): Buffer {
  const { value, parts } = clonable(given);
  const serializer = new (v8().DefaultSerializer)();
  try {
    if (parts.length > 0) serializer.writeUint32(WITH_PARTS);
    serializer.writeHeader();
    serializer.writeValue(value);
    // The serializer refers to the errors that it has written.
    if (parts.length > 0) serializer.writeValue(parts);
  } catch (cause) {
    // The value was checked and has no accessors: what is thrown here is V8's refusal.
    throw codedError('ERR_CC_DATA_CLONE', isOutOfStack(cause) ? NO_STACK : messageOf(cause), { cause });
  }
  return serializer.releaseBuffer();
}

/** The message for a value that needs more stack than its caller has left. */
export const NO_STACK = 'the value is nested too deeply for the stack that is left here; flatten it';

export const isOutOfStack = (error: unknown) => messageOf(error).startsWith('Maximum call stack');

const messageOf = (error: unknown) => String((error as { message?: unknown } | undefined)?.message);

const OTHER_VERSION =
  `a cached value cannot be read by Node.js ${process.versions.node}: another version wrote it, or its bytes are ` +
  'damaged; run all processes on one version, or delete the value';

/** Decodes what {@link serialize} wrote, here or in another process. */
export function deserialize(bytes: Buffer): unknown {
  try {
    const deserializer = new (Deserializer ??= makeDeserializer())(bytes);
    const hasParts = bytes[0] === WITH_PARTS;
    if (hasParts) deserializer.readUint32();
    deserializer.readHeader();
    const value: unknown = deserializer.readValue();
    if (hasParts) for (const parts of deserializer.readValue() as ErrorParts[]) restore(parts);
    return value;
  } catch (cause) {
    throw undecodable(isOutOfStack(cause) ? NO_STACK : OTHER_VERSION, cause);
  }
}

/** Gives an error the parts that V8 has not written. */
function restore([error, fields, errors]: ErrorParts): void {
  if (errors !== null) {
    Object.setPrototypeOf(error, AggregateError.prototype);
    Object.defineProperty(error, 'errors', { value: errors, writable: true, configurable: true });
  }
  for (const [key, value] of Object.entries(fields)) {
    Object.defineProperty(error, key, { value, writable: true, enumerable: true, configurable: true });
  }
}

let Deserializer: ReturnType<typeof makeDeserializer> | undefined;

/** V8's reader, except that bytes are returned in memory of their own instead of as views of the whole message. */
function makeDeserializer() {
  const { DefaultDeserializer } = v8();
  return class Deserializer extends DefaultDeserializer {
    // Node prescribes the name of this hook; it is documented under v8.Deserializer.
    _readHostObject(): unknown {
      const read = (DefaultDeserializer.prototype as unknown as { _readHostObject(): ArrayBufferView })._readHostObject;
      const view = read.call(this);
      const memory = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer;
      if (Buffer.isBuffer(view)) return Buffer.from(memory);
      if (view instanceof DataView) return new DataView(memory);
      const View = view.constructor as new (memory: ArrayBuffer) => ArrayBufferView;
      return new View(memory);
    }
  };
}
