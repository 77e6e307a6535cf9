/** Values that many callers may share because they are immutable, and the memory that they take. */

import { Form } from '../native.js';

// Bytes on the heap of V8, without the characters of strings: of an object, an array, one of their members, a string,
// a number that is not small. Strings of records are views of a common text.
const OBJECT = 40;
const ARRAY = 64;
const MEMBER = 8;
const STRING = 32;
const NUMBER = 16;

/**
 * About how many bytes of memory a decoded value takes, if it can be shared; it is then deeply frozen. -1 if it cannot:
 * plain objects and arrays can be frozen, and primitives need no freezing; but bytes, dates, maps and sets cannot, so a
 * value that holds one is left as it is. `payload` is what it was decoded from.
 */
export function freeze(form: Form, value: unknown, payload: unknown): number {
  if (typeof value !== 'object' || value === null) return sizeOfMember(value) + characters(payload);
  // JSON and records contain only plain objects, each of them once.
  if (form === Form.Json || form >= Form.Record) return freezePlain(value) + characters(payload);
  if (form !== Form.V8) return -1;
  const objects = new Set<object>();
  if (!collectPlain(value, objects)) return -1;
  let bytes = characters(payload);
  for (const object of objects) {
    Object.freeze(object);
    bytes += sizeOf(object);
  }
  return bytes;
}

/** Bytes that the characters in a payload take: one that is not ASCII makes all of them take two. */
function characters(payload: unknown): number {
  if (ArrayBuffer.isView(payload)) return payload.byteLength;
  if (Array.isArray(payload)) return characters(payload[1]);
  if (typeof payload !== 'string') return 0;
  return Buffer.byteLength(payload) === payload.length ? payload.length : payload.length * 2;
}

function freezePlain(value: object): number {
  const isArray = Array.isArray(value);
  const members = isArray ? value : Object.values(value);
  let bytes = isArray ? ARRAY : OBJECT;
  for (const member of members) {
    bytes += MEMBER;
    bytes += typeof member === 'object' && member !== null ? freezePlain(member as object) : sizeOfMember(member);
  }
  Object.freeze(value);
  return bytes;
}

/** Without the objects in it. */
function sizeOf(value: object): number {
  let bytes = Array.isArray(value) ? ARRAY : OBJECT;
  for (const member of Object.values(value)) bytes += MEMBER + sizeOfMember(member);
  return bytes;
}

function sizeOfMember(member: unknown): number {
  if (typeof member === 'string') return STRING;
  if (typeof member === 'bigint') return NUMBER;
  return typeof member === 'number' && (member | 0) !== member ? NUMBER : 0;
}

/** Collects all objects that belong to a value; `false` when one of them is not plain. */
function collectPlain(value: object, objects: Set<object>): boolean {
  if (objects.has(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return false;
  objects.add(value);
  return Object.values(value).every(
    (member) => typeof member !== 'object' || member === null || collectPlain(member as object, objects),
  );
}
