/** Values that many callers may share because they are immutable. */

import { Form } from '../native.js';

/**
 * Whether a decoded value can be shared; if so, it is deeply frozen. Primitives need no freezing. Plain
 * objects and arrays can be frozen. Bytes, dates, maps and sets cannot, so a value that holds one is left as it is.
 */
export function keepable(form: Form, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  // JSON and records contain only plain objects, each of them once.
  if (form === Form.Json || form >= Form.Record) return freezePlain(value);
  if (form !== Form.V8) return false;
  const objects = new Set<object>();
  if (!collectPlain(value, objects)) return false;
  for (const object of objects) Object.freeze(object);
  return true;
}

function freezePlain(value: object): true {
  for (const member of Array.isArray(value) ? value : Object.values(value)) {
    if (typeof member === 'object' && member !== null) freezePlain(member as object);
  }
  Object.freeze(value);
  return true;
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
