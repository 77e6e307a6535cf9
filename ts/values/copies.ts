/** Copies of values by way of what they are encoded to. */

import { Form } from '../native.js';
import { decode } from './codec.js';
import type { Encoded } from './plain.js';

/** The value that was encoded, with memory of its own. */
export function decodeOwn({ form, payload }: Encoded): unknown {
  if (form === Form.Plain && Buffer.isBuffer(payload)) return Buffer.from(payload);
  if (form === Form.Bytes) return Uint8Array.from(payload as Uint8Array);
  return decode(form, payload);
}
