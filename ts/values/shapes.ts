/**
 * Shapes of plain values, for records (`record.ts`). A shape is the lists of keys of the objects in a value, each list
 * once, in the order in which a walk meets them. Native code knows shapes by number; here they are a tree in which each
 * step adds a list, so that a walk finds the shape of a value without joining its keys.
 */

import { native } from '../native.js';

/** The own enumerable keys of an object, in order. */
export type Keys = readonly string[];

/** The numbers of shapes. They belong to this copy of the package, in this thread; all its links use them. */
export const shapeTable = new native.Shapes();

/** The maximum number of lists in a shape; a record refers to each by one character. */
export const MAX_LISTS = 16;
const MAX_KEYS = 64;
/** The maximum number of characters in all keys of a shape: each record carries them. */
const MAX_KEY_CHARACTERS = 1_024;
/** The maximum number of shapes kept for writing, including inner nodes of the tree; native code numbers fewer. */
const MAX_SHAPES = 4_096;
/** The maximum number of shapes that have the same first and last key in their last list; each has to be compared. */
const MAX_SIMILAR = 32;
/** How often a list of keys has to occur before it gets a shape. */
const SIGHTINGS = 3;
/** How many lists are counted at a time; a power of two. */
const SIGHTED = 8_192;

/** Descriptors as they cross the wire, by number. */
const descriptors: Uint8Array[] = [];
let shapes = 0;

export class Shape {
  readonly lists: readonly Keys[];
  readonly #characters: number;
  /** Shapes with one more list, by the first and last key of that list. */
  readonly #longer = new Map<string | undefined, Map<string | undefined, Shape[]>>();
  #number: number | undefined;

  constructor(lists: readonly Keys[], characters: number) {
    this.lists = lists;
    this.#characters = characters;
  }

  /** Its number in native code; 0 when native code has no room for it. */
  get number(): number {
    return (this.#number ??= this.#name());
  }

  /** The shape with one more list; `undefined` when there is none and none should be created. */
  with(keys: Keys): Shape | undefined {
    const similar = this.#longer.get(keys[0])?.get(keys[keys.length - 1]);
    if (similar) {
      for (const shape of similar) if (areSame(shape.lists[this.lists.length] as Keys, keys)) return shape;
    }
    return this.#grow(keys, similar);
  }

  /**
   * Objects that serve as maps have different keys each time. They are not worth a shape, and must not take the places
   * of those that are.
   */
  #grow(keys: Keys, similar: Shape[] | undefined): Shape | undefined {
    if (shapes >= MAX_SHAPES || this.lists.length >= MAX_LISTS || keys.length > MAX_KEYS) return undefined;
    if (similar && similar.length >= MAX_SIMILAR) return undefined;
    let characters = this.#characters;
    for (const key of keys) characters += key.length;
    if (characters > MAX_KEY_CHARACTERS || !sightings.areEnough(keys)) return undefined;
    shapes += 1;
    const shape = new Shape([...this.lists, keys], characters);
    if (similar) similar.push(shape);
    else this.#putFirst(shape, keys);
    return shape;
  }

  #putFirst(shape: Shape, keys: Keys): void {
    const byLast = this.#longer.get(keys[0]) ?? new Map<string | undefined, Shape[]>();
    this.#longer.set(keys[0], byLast.set(keys[keys.length - 1], [shape]));
  }

  #name(): number {
    const descriptor = JSON.stringify(this.lists);
    const number = shapeTable.numberOf(descriptor);
    descriptors[number] = Buffer.from(descriptor);
    return number;
  }
}

/** Counts how often lists of keys occurred recently. */
class Sightings {
  readonly #hashes = new Int32Array(SIGHTED);
  readonly #counts = new Uint8Array(SIGHTED);

  /** Counts one occurrence; `true` when the list has occurred often enough. */
  areEnough(keys: Keys): boolean {
    const hash = hashOf(keys);
    const at = hash & (SIGHTED - 1);
    // A later list takes the place: a frequent list occurs again before it is replaced.
    const count = this.#hashes[at] === hash ? (this.#counts[at] as number) + 1 : 1;
    this.#hashes[at] = hash;
    this.#counts[at] = Math.min(count, SIGHTINGS);
    return count >= SIGHTINGS;
  }
}

const sightings = new Sightings();

/** The shape of values without objects, from which all others grow. */
export const NO_LISTS = new Shape([], 0);

/** The descriptor of the shape `number`, which this copy of the package has named. */
export const shapeDescriptor = (number: number): Uint8Array => descriptors[number] ?? NO_DESCRIPTOR;

const NO_DESCRIPTOR = new Uint8Array(0);

/** Bytes that a record of the shape `number` has in addition to its body. */
export const shapeBytes = (number: number) => shapeDescriptor(number).length;

export function areSame(one: Keys, other: Keys): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false;
  return true;
}

/**
 * A hash of the UTF-16 units, with an end after each key. Sequential ids must not collide, as they do in simpler
 * hashes.
 */
function hashOf(keys: Keys): number {
  let hash = 0;
  for (const key of keys) {
    for (let at = 0; at < key.length; at++) hash = mixed(hash, key.charCodeAt(at));
    hash = mixed(hash, 0x10000);
  }
  return hash;
}

function mixed(hash: number, unit: number): number {
  const product = Math.imul(hash ^ unit, 0x5bd1e995);
  return product ^ (product >>> 13);
}
