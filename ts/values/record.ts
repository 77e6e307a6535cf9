/**
 * Records: how most plain values are stored. The keys of a value's objects are in its shape (`shapes.ts`), and
 * everything else is one text. It is read without a parser: strings are cut out of it, and objects are created by
 * functions that are compiled for their keys.
 *
 * The text is one leaf, for the value itself. A leaf is one character that gives its kind, and what that kind needs:
 *
 * | character | what | followed by |
 * | --- | --- | --- |
 * | 0 to 95 | string of that many UTF-16 units | the string |
 * | 96 | longer string | its length in two digits, the string |
 * | 97, 98, 99 | `null`, `true`, `false` | |
 * | 100, 101, 102 | integer from 0 | one, two or four digits |
 * | 103 | other number | ten digits: five for the low 32 bits of its double, five for the high ones |
 * | 104 | array | its length in two digits, a leaf for each element |
 * | 105 to 120 | object with the keys of that list of the shape | a leaf for each of them |
 *
 * A digit is a character of 7 bits, the lowest digit comes first; so a text without other strings is ASCII throughout.
 *
 * In V8, a substring of 13 characters or more refers to the string it was cut from: a caller that keeps it keeps the
 * whole text alive. That is why long texts are not stored as records.
 */

import { LEAF } from './body.js';
import { MAX_LISTS, shapeTable, type Keys } from './shapes.js';
import { undecodable } from './undecodable.js';

// As constants of this module, which the engine puts in the place of their names.
const { short: SHORT, long: LONG, null: NULL, true: TRUE, false: FALSE } = LEAF;
const { digits1: DIGITS_1, digits2: DIGITS_2, digits4: DIGITS_4, double: DOUBLE, array: ARRAY, object: OBJECT } = LEAF;

/** A double, and its bits. */
const double = new Float64Array(1);
const bits = new Uint32Array(double.buffer);

// --- reading -----------------------------------------------------------------------------------------------------

/** Reads the members of an object, from where the text is being read. */
type ObjectReader = (text: string) => object;

/** How the objects of one shape are read. */
interface ShapeReader {
  lists: readonly Keys[];
  objects: ObjectReader[];
  /** How many more texts are read before it is compiled. */
  countdown: number;
}

/** After this many reads a shape is compiled, which takes as long as about a hundred reads. */
const READS_BEFORE_COMPILING = 100;

/** By number of the shape. */
const readers: (ShapeReader | undefined)[] = [];
/** The position in the text. Reading calls only code of this module, so one text is read at a time. */
let at = 0;
let objects: ObjectReader[] = [];

/** The message for bytes that nothing could have written. */
export const DAMAGED = 'a cached value cannot be read: its bytes are damaged; delete it';

/**
 * The value of a record. `payload` is the text, or for shape 0, which is not kept, `[descriptor, text]`.
 *
 * @throws `ERR_CC_DATA_CLONE` when it is damaged.
 */
export function readRecord(shape: number, payload: unknown): unknown {
  try {
    if (shape !== 0) return readWhole(payload as string, readers[shape] ?? readerOf(shape));
    const [descriptor, text] = payload as [string, string];
    return readWhole(text, makeReader(descriptor));
  } catch (cause) {
    throw undecodable(DAMAGED, cause);
  }
}

function readWhole(text: string, reader: ShapeReader): unknown {
  if (--reader.countdown === 0) compile(reader);
  at = 0;
  objects = reader.objects;
  const value = readLeaf(text);
  if (at !== text.length) throw damaged();
  return value;
}

/** Past the end there is no character, and so no leaf: reading ends there, however the text is damaged. */
function readLeaf(text: string): unknown {
  const what = text.charCodeAt(at++);
  return what <= SHORT ? text.substring(at, (at += what)) : readOther(text, what);
}

function readOther(text: string, what: number): unknown {
  switch (what) {
    case LONG: {
      const length = readDigit(text) | (readDigit(text) << 7);
      return text.substring(at, (at += length));
    }
    case NULL:
      return null;
    case TRUE:
      return true;
    case FALSE:
      return false;
    case DIGITS_1:
      return readDigit(text);
    case DIGITS_2:
      return readDigit(text) | (readDigit(text) << 7);
    case DIGITS_4:
      return readDigit(text) | (readDigit(text) << 7) | (readDigit(text) << 14) | (readDigit(text) << 21);
    case DOUBLE:
      bits[0] = readHalf(text);
      bits[1] = readHalf(text);
      return double[0];
    case ARRAY:
      return readArray(text);
    default:
      return readObject(text, what - OBJECT);
  }
}

const readDigit = (text: string) => text.charCodeAt(at++);

/** 32 bits. */
const readHalf = (text: string) =>
  readDigit(text) |
  (readDigit(text) << 7) |
  (readDigit(text) << 14) |
  (readDigit(text) << 21) |
  (readDigit(text) << 28);

function readArray(text: string): unknown[] {
  const length = readDigit(text) | (readDigit(text) << 7);
  // Literals are allocated at their final size.
  if (length === 1) return [readLeaf(text)];
  if (length === 2) return [readLeaf(text), readLeaf(text)];
  if (length === 3) return [readLeaf(text), readLeaf(text), readLeaf(text)];
  const array: unknown[] = [];
  for (let index = 0; index < length; index++) array.push(readLeaf(text));
  return array;
}

function readObject(text: string, list: number): object {
  const read = objects[list];
  if (read === undefined) throw damaged();
  return read(text);
}

function damaged(): Error {
  return new Error(`there is nothing that can be read at ${at}`);
}

// --- readers of objects ------------------------------------------------------------------------------------------

function readerOf(shape: number): ShapeReader {
  return (readers[shape] = makeReader(shapeTable.descriptor(shape) ?? ''));
}

function makeReader(descriptor: string): ShapeReader {
  const lists = JSON.parse(descriptor) as Keys[];
  if (!Array.isArray(lists) || lists.length > MAX_LISTS || !lists.every(isKeys)) throw damaged();
  return { lists, objects: lists.map(interpreted), countdown: READS_BEFORE_COMPILING };
}

const isKeys = (list: unknown) => Array.isArray(list) && list.every((key) => typeof key === 'string');

/** Reads objects with these keys. */
function interpreted(keys: Keys): ObjectReader {
  return (text) => {
    const object: Record<string, unknown> = {};
    for (const key of keys) {
      const value = readLeaf(text);
      // A key that the prototype also has, perhaps as a setter, must be defined: it could not be assigned.
      if (key in object) Object.defineProperty(object, key, { value, ...ORDINARY });
      else object[key] = value;
    }
    return object;
  };
}

const ORDINARY = { writable: true, enumerable: true, configurable: true };

let mayCompile = true;

/** Replaces the generic readers, which are half as fast, by compiled ones, unless code generation is forbidden. */
function compile(reader: ShapeReader): void {
  if (!mayCompile) return;
  try {
    reader.objects = reader.lists.map(compiled);
  } catch {
    mayCompile = false;
  }
}

/**
 * Creates a function whose source is an object literal: the engine creates such an object in one step, with all members
 * in place. The only outside input in the source are keys, each as a JSON string literal, which JavaScript reads as
 * JSON does.
 */
function compiled(keys: Keys): ObjectReader {
  const members = keys.map((key) => `${memberName(key)}: readLeaf(text)`);
  const source = `'use strict'; return (text) => ({ ${members.join(', ')} });`;
  return new Function('readLeaf', source)(readLeaf) as ObjectReader;
}

/** `__proto__` is an ordinary key only in brackets; otherwise it would set the prototype. */
const memberName = (key: string) => (key === '__proto__' ? '["__proto__"]' : JSON.stringify(key));
