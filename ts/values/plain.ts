/**
 * Plain data: objects and arrays of what JSON has. One walk decides whether a value is plain throughout, and writes it
 * as a record if possible; a plain value that cannot be a record, because it is large or its keys are unique, is left
 * to JSON.
 */

import { Form } from '../native.js';
import { BodyWriter, LEAF, MAX_TEXT } from './body.js';
import { copyOf, hasAccessor, met, readMembers, type Members } from './members.js';
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

/** Where bodies are written; `undefined` while one is, so that an accessor that encodes a value gets a writer of its own. */
let writer: BodyWriter | undefined = new BodyWriter();

/** A plain value as a record or as JSON; what is not plain is left to `otherwise`. A record's body is {@link Body}. */
export function encodePlain(value: object, otherwise: (value: object) => Encoded): Encoded {
  const members = Array.isArray(value) ? undefined : readMembers(value);
  const walk = new Walk(writer ?? new BodyWriter());
  writer = undefined;
  try {
    const isPlain = members ? walk.acceptsMembers(value, members) : walk.accepts(value, 0);
    const record = isPlain ? walk.record() : undefined;
    if (record) return record;
    // What has been asked already is not asked again.
    const whole = members && hasAccessor(value, members.keys) ? copyOf(members) : value;
    return isPlain ? { form: Form.Json, payload: JSON.stringify(whole) } : otherwise(whole);
  } finally {
    writer = walk.writer;
  }
}

/**
 * Decides whether a value would survive a round trip unchanged: plain objects and arrays without holes, extra
 * properties, `undefined`, -0, NaN, accessors, or objects that are reached twice.
 */
class Walk {
  readonly writer: BodyWriter;
  #seen: object[] | Set<object> = [];
  #count = 0;
  /** The shape of the objects visited so far; `undefined` once the value cannot be a record. */
  #shape: Shape | undefined = NO_LISTS;

  constructor(writer: BodyWriter) {
    writer.begin();
    this.writer = writer;
  }

  record(): Encoded | undefined {
    const number = this.#shape?.number ?? 0;
    return number === 0 ? undefined : { form: (Form.Record + number) as Form, payload: this.writer };
  }

  accepts(value: object, depth: number): boolean {
    if (depth > MAX_DEPTH || !this.#isNew(value)) return false;
    if (Array.isArray(value)) return this.#acceptsArray(value, depth);
    if (Object.getPrototypeOf(value) !== Object.prototype || 'toJSON' in value) return false;
    const keys = Object.keys(value);
    if (this.#shape) this.#writeObjectHead(this.#shape, keys);
    // The shape's own list is the same one each time.
    if (depth === 0 && this.#shape) met(this.#shape.lists[0] as Keys);
    for (const key of keys) {
      // Read through its descriptor: an accessor must be called only once, as in structured clone, and not again by
      // JSON.
      const property = Object.getOwnPropertyDescriptor(value, key);
      if (property?.get !== undefined || !this.#acceptsMember(property?.value, depth)) return false;
    }
    return true;
  }

  /** As {@link accepts}, for an object whose members were read. */
  acceptsMembers(value: object, { keys, values }: Members): boolean {
    if (Object.getPrototypeOf(value) !== Object.prototype || 'toJSON' in value || !this.#isNew(value)) return false;
    if (this.#shape) this.#writeObjectHead(this.#shape, keys);
    for (const member of values) if (!this.#acceptsMember(member, 0)) return false;
    return true;
  }

  #acceptsArray(array: unknown[], depth: number): boolean {
    if (Object.getPrototypeOf(array) !== Array.prototype || 'toJSON' in array) return false;
    const { length } = array;
    // Holes make fewer keys than elements, extra properties make more.
    if (Object.keys(array).length !== length) return false;
    if (length > MAX_TEXT || (this.#shape && !this.writer.array(length))) this.#leaveToJson();
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
        this.#constant(member ? LEAF.true : LEAF.false);
        return true;
      case 'number':
        if (!Number.isFinite(member) || Object.is(member, -0)) return false;
        if (this.#shape && !this.writer.number(member)) this.#leaveToJson();
        return true;
      case 'object':
        if (member !== null) return this.accepts(member, depth + 1);
        this.#constant(LEAF.null);
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
      if (areSame(lists[list] as Keys, keys)) return this.#constant(LEAF.object + list);
    }
    this.#shape = shape.with(keys);
    this.#constant(LEAF.object + lists.length);
  }

  #writeString(string: string): void {
    if (this.#shape === undefined) return;
    // JSON has an escape for lone surrogates, UTF-8 has not.
    if (string.length > MAX_TEXT || !this.writer.string(string)) this.#leaveToJson();
  }

  #constant(leaf: number): void {
    if (this.#shape && !this.writer.constant(leaf)) this.#leaveToJson();
  }

  #leaveToJson(): void {
    this.#shape = undefined;
  }
}
