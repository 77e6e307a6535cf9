/**
 * Plain data: objects and arrays of what JSON has. One walk decides whether a value is plain throughout, and writes it
 * as a record if possible; a plain value that cannot be a record, because it is large or its keys are unique, is left
 * to JSON.
 */

import { Form } from '../native.js';
import { MAX_TEXT, arrayHead, booleanLeaf, nullLeaf, numberLeaf, objectHead, stringHead } from './record.js';
import { NO_LISTS, areSame, type Keys, type Shape } from './shapes.js';

/** A value ready for native code. */
export interface Encoded {
  /** Values from {@link Form.Record} on also contain the shape of the record. */
  form: Form;
  payload: unknown;
}

/** Nested objects up to which a value counts as plain; larger ones go to V8's serializer, which has no such bound. */
const MAX_OBJECTS = 10_000;
const MAX_DEPTH = 100;
/** Up to this many nested objects, shared ones are looked up in a list; beyond it, in a set. */
const LINEAR_SEARCH = 8;

/** A plain value as a record or as JSON; `undefined` if it is not plain. */
export function encodePlain(value: object): Encoded | undefined {
  const walk = new Walk();
  if (!walk.accepts(value, 0)) return undefined;
  return walk.record() ?? { form: Form.Json, payload: JSON.stringify(value) };
}

/**
 * Decides whether a value would survive a round trip unchanged: plain objects and arrays without holes, extra
 * properties, `undefined`, -0, NaN, accessors, or objects that are reached twice.
 */
class Walk {
  #seen: object[] | Set<object> = [];
  #count = 0;
  /** The shape of the objects visited so far; `undefined` once the value cannot be a record. */
  #shape: Shape | undefined = NO_LISTS;
  /** The objects visited so far. */
  #text = '';

  record(): Encoded | undefined {
    const number = this.#shape?.number ?? 0;
    return number === 0 ? undefined : { form: (Form.Record + number) as Form, payload: this.#text };
  }

  accepts(value: object, depth: number): boolean {
    if (depth > MAX_DEPTH || !this.#isNew(value)) return false;
    if (Array.isArray(value)) return this.#acceptsArray(value, depth);
    if (Object.getPrototypeOf(value) !== Object.prototype || 'toJSON' in value) return false;
    const keys = Object.keys(value);
    if (this.#shape) this.#writeObjectHead(this.#shape, keys);
    for (const key of keys) {
      // Read through its descriptor: an accessor must be called only once, as in structured clone, and not again by
      // JSON.
      const property = Object.getOwnPropertyDescriptor(value, key);
      if (property?.get !== undefined || !this.#acceptsMember(property?.value, depth)) return false;
    }
    return true;
  }

  #acceptsArray(array: unknown[], depth: number): boolean {
    if (Object.getPrototypeOf(array) !== Array.prototype || 'toJSON' in array) return false;
    const { length } = array;
    // Holes make fewer keys than elements, extra properties make more.
    if (Object.keys(array).length !== length) return false;
    if (length > MAX_TEXT) this.#leaveToJson();
    if (this.#shape) this.#write(arrayHead(length));
    for (let index = 0; index < length; index++) {
      if (!this.#acceptsMember(array[index], depth)) return false;
    }
    return true;
  }

  #acceptsMember(member: unknown, depth: number): boolean {
    switch (typeof member) {
      case 'string':
        this.#writeString(member);
        return true;
      case 'boolean':
        this.#write(booleanLeaf(member));
        return true;
      case 'number':
        if (!Number.isFinite(member) || Object.is(member, -0)) return false;
        if (this.#shape) this.#write(numberLeaf(member));
        return true;
      case 'object':
        if (member !== null) return this.accepts(member, depth + 1);
        this.#write(nullLeaf);
        return true;
      default:
        return false;
    }
  }

  #isNew(value: object): boolean {
    if (++this.#count > MAX_OBJECTS) return false;
    if (Array.isArray(this.#seen)) {
      if (this.#seen.includes(value)) return false;
      this.#seen.push(value);
      if (this.#seen.length > LINEAR_SEARCH) this.#seen = new Set(this.#seen);
      return true;
    }
    const before = this.#seen.size;
    return this.#seen.add(value).size > before;
  }

  #writeObjectHead(shape: Shape, keys: Keys): void {
    const { lists } = shape;
    for (let list = 0; list < lists.length; list++) {
      if (areSame(lists[list] as Keys, keys)) return this.#write(objectHead(list));
    }
    this.#shape = shape.with(keys);
    this.#write(objectHead(lists.length));
  }

  #writeString(string: string): void {
    if (this.#shape === undefined) return;
    if (string.length > MAX_TEXT) return this.#leaveToJson();
    this.#write(stringHead(string.length));
    this.#write(string);
  }

  #write(text: string): void {
    if (this.#shape === undefined) return;
    this.#text += text;
    if (this.#text.length > MAX_TEXT) this.#leaveToJson();
  }

  #leaveToJson(): void {
    this.#shape = undefined;
    this.#text = '';
  }
}
