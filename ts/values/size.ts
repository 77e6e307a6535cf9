/** The sizes of encoded values. */

import { Form, native } from '../native.js';
import type { Encoded } from './plain.js';
import type { Body } from './body.js';
import { shapeBytes } from './shapes.js';

const { MAX_ENTRY_BYTES, REQUEST_PART_BYTES } = native;

/** Whether a value exceeds the bound of every namespace, so that it can be refused without being sent. */
export function isOversize(encoded: Encoded): boolean {
  return encodedBytes(encoded) > MAX_ENTRY_BYTES;
}

/** Sent in the place of a value that {@link isOversize}; with {@link OVERSIZE} the host refuses it as it would that one. */
export const UNSENT: Encoded = { form: Form.Plain, payload: '' };
/** A size that no bound of a namespace reaches. */
export const OVERSIZE = 2 ** 63;

/** Bytes of an encoded value; exact only where it matters, near the bound. */
export function encodedBytes({ form, payload }: Encoded): number {
  if (form >= Form.Record) return shapeBytes(form - Form.Record) + (payload as Body).length;
  if (typeof payload === 'string') {
    return payload.length * 3 <= REQUEST_PART_BYTES ? payload.length : Buffer.byteLength(payload);
  }
  return ArrayBuffer.isView(payload) ? payload.byteLength : 16;
}
