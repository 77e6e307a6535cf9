/** Values as V8's serializer writes them: everything that structured clone accepts. */

import type * as V8 from 'node:v8';
import { codedError } from '../errors.js';

let loaded: typeof V8 | undefined;

/** Loaded with the first value that needs it; most values are plain data. */
const v8 = () => (loaded ??= require('node:v8') as typeof V8);

/** Encodes what structured clone accepts. */
export function serialize(value: object): Buffer {
  const serializer = new (v8().DefaultSerializer)();
  try {
    serializer.writeHeader();
    serializer.writeValue(value);
  } catch (error) {
    throw isCloneFailure(error) ? codedError('ERR_CC_DATA_CLONE', error.message, { cause: error }) : error;
  }
  return serializer.releaseBuffer();
}

/** V8 reports values that it cannot clone with its own errors; errors thrown by getters are passed on unchanged. */
function isCloneFailure(error: unknown): error is Error {
  return (
    error instanceof Error && /could not be cloned|Unserializable host object|detached ArrayBuffer/.test(error.message)
  );
}

/** Decodes what {@link serialize} wrote, here or in another process. */
export function deserialize(bytes: Buffer): unknown {
  try {
    const deserializer = new (Deserializer ??= makeDeserializer())(bytes);
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
