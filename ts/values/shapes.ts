/**
 * Shapes of plain values, for records (`record.ts`). A shape is the lists of keys of the objects in a value, each list
 * once, in the order in which a walk meets them. Native code knows shapes by number; here they are a tree in which each
 * step adds a list, so that a walk finds the shape of a value without putting its keys into a text.
 */

import { native } from '../native.js';

/** Own enumerable keys of an object, in their order. */
export type Keys = readonly string[];

/** The numbers of shapes. They are this copy's of the package, in this thread; all its links answer with them. */
export const shapeTable = new native.Shapes();

/** Lists of one shape; their places go into one character each. */
export const MAX_LISTS = 16;
const MAX_KEYS = 64;
/** Characters of all keys of a shape: a record carries them with it. */
const MAX_KEY_CHARACTERS = 1_024;
/** Shapes kept for writing, those that are only on the way to others included; native code numbers fewer. */
const MAX_SHAPES = 4_096;
/** Shapes that differ only in what is between the first and the last key of their last list; each is compared. */
const MAX_SIMILAR = 32;
/** A list of keys gets a shape when it has come so often. */
const SIGHTINGS = 3;
/** Lists whose sightings are counted at a time; a power of two. */
const SIGHTED = 8_192;

/** Descriptors as they cross the wire, by number. */
const descriptors: Uint8Array[] = [];
let shapes = 0;

export class Shape {
  readonly lists: readonly Keys[];
  readonly #characters: number;
  /** Shapes of one more list, by its first and its last key. */
  readonly #longer = new Map<string | undefined, Map<string | undefined, Shape[]>>();
  #number: number | undefined;

  constructor(lists: readonly Keys[], characters: number) {
    this.lists = lists;
    this.#characters = characters;
  }

  /** What native code calls it; 0 when it has no room for it. */
  get number(): number {
    return (this.#number ??= this.#name());
  }

  /** The shape with one more list; `undefined` when there is none, and none is to be. */
  with(keys: Keys): Shape | undefined {
    const similar = this.#longer.get(keys[0])?.get(keys[keys.length - 1]);
    if (similar) {
      for (const shape of similar) if (areSame(shape.lists[this.lists.length] as Keys, keys)) return shape;
    }
    return this.#grow(keys, similar);
  }

  /**
   * Objects that serve as maps have other keys each time. They are not worth a shape, and must not use up the places of
   * those that are.
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

/** Counts how often lists of keys came lately. */
class Sightings {
  readonly #hashes = new Int32Array(SIGHTED);
  readonly #counts = new Uint8Array(SIGHTED);

  /** Counts one more; `true` when it has come often enough. */
  areEnough(keys: Keys): boolean {
    const hash = hashOf(keys);
    const at = hash & (SIGHTED - 1);
    // Whoever comes later takes the place: what comes often comes back before it is forgotten.
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

/** Bytes that a record of the shape `number` has beside its body. */
export const shapeBytes = (number: number) => shapeDescriptor(number).length;

export function areSame(one: Keys, other: Keys): boolean {
  if (one.length !== other.length) return false;
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false;
  return true;
}

/** A hash of the UTF-16 units, with an end after each key. Ids that count up must not meet, as in simpler ones they do. */
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
