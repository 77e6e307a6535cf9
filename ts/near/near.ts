/**
 * The near cache: decoded values that one instance keeps in its own process. Each is valid as long as its slot in the
 * shared table shows the version that it was read with, which is one look into memory; so nobody has to be told of
 * changes, and a change of one key leaves all others as they are.
 */

import { asValue, type Read } from '../operations/answers.js';
import { keepable } from '../values/frozen.js';
import type { NativeCache } from '../native.js';
import type { Operation } from '../operations/operation.js';
import { GET } from '../operations/table.js';

type Key = string | number;

/** Where native code writes what a value was read of; see `mark_numbers` in `src/link.rs`. */
const MARK = 4;
const TABLE = 8;
/** Logarithm of the number of 32-bit numbers of one slot. */
const STRIDE_BITS = 3;
/** Values that one message to the host tells of; see `MAX_SEEN` in `crates/core/src/config.rs`. */
const REPORT = 1_024;
/** The host learns of hits no later than this, in ms. */
const REPORT_DELAY = 100;
/** Values that are given a second chance before one goes whatever its merits. */
const CHANCES = 16;

/** Milliseconds by which `performance.now()` is behind the clock of the deadlines. */
let clockOffset: number | undefined;

/**
 * Numbers kept of each value: its slot, the version it was read with, the number of the hit that last found it (0 is
 * none), its hash.
 */
const FIELDS = 4;
const VERSION = 1;
const FOUND = 2;
const HASH = 3;
/** In the place of a version: the value ends, so there is more to look at. Versions of whole entries are even. */
const ENDING = 1;

/** What a near cache asks of its link. */
export interface NearLink {
  /** Memory whose number changes when the connection to the host is made or lost. */
  generation(): Int32Array;
  nextId(): number;
  /** Sends what was asked, now. */
  flush(): void;
}

export class Near {
  /** `get` that keeps what it finds; {@link asking} names the key first. */
  readonly get: Operation<unknown>;
  readonly #native: NativeCache;
  readonly #link: NearLink;
  readonly #max: number;
  /** Where a key's value is, in the order in which they came. */
  readonly #places = new Map<Key, number>();
  // By place. Numbers in typed arrays take a quarter of the memory that objects would, and so of the processor's cache.
  readonly #values: unknown[] = [];
  #fields = new Int32Array(FIELDS * 64);
  /** Version and deadline, in ms of `performance.now()`, of those that end. */
  readonly #endings = new Map<number, { version: number; deadline: number }>();
  readonly #freePlaces: number[] = [];
  /** Goes round the values in their order. An iterator of its own: a new one would pass all that were deleted in front. */
  #hand = this.#places.entries();
  /**
   * The slots of the table that the values were read of. Other threads change them, and the number of the connection,
   * and both are read plainly, for `Atomics.load` is a call and costs as much as all the rest. It is as good: whatever
   * tells this thread that a write was acknowledged is a call, and no engine carries a load over one.
   */
  #slots = new Int32Array(0);
  #table = 0;
  /** The connection that the table came over; what is kept counts only as long as it is there. */
  readonly #generation: Int32Array;
  #connection = 0;
  #key: Key = '';
  #hits = 0;
  #reported = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(native: NativeCache, link: NearLink, max: number) {
    this.#native = native;
    this.#link = link;
    this.#max = max;
    this.#generation = link.generation();
    this.get = { ...GET, read: this.#keep };
  }

  /** How often a value was found here. */
  get hits(): number {
    return this.#hits;
  }

  /** The value of `key`, counted as a hit, or `undefined`. */
  find(key: Key): unknown {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const fields = this.#fields;
    const at = place * FIELDS;
    const version = this.#slots[((fields[at] as number) << STRIDE_BITS) >>> 0];
    if (version !== fields[at + VERSION] || this.#generation[0] !== this.#connection) {
      if (!this.#isValid(key, place, version)) return undefined;
    }
    if (this.#hits === this.#reported) this.#plan();
    fields[at + FOUND] = ++this.#hits;
    return this.#values[place];
  }

  /** The value of `key`, without counting it, or `undefined`. */
  peek(key: Key): unknown {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const at = place * FIELDS;
    const version = this.#slots[((this.#fields[at] as number) << STRIDE_BITS) >>> 0];
    const isSame = version === this.#fields[at + VERSION] && this.#generation[0] === this.#connection;
    return isSame || this.#isValid(key, place, version) ? this.#values[place] : undefined;
  }

  /** Names the key that native code is about to be asked for. */
  asking(key: Key): void {
    this.#key = key;
  }

  /** Somebody here changes `key`: from now on the host is asked, until it has answered. */
  forget(key: Key): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    this.#values[place] = undefined;
    this.#endings.delete(place);
    this.#freePlaces.push(place);
  }

  /** Forgets everything. */
  clear(): void {
    this.#places.clear();
    this.#values.length = 0;
    this.#endings.clear();
    this.#freePlaces.length = 0;
  }

  /** Tells the host of the hits that it does not know of. */
  report(): void {
    const hits = this.#hits - this.#reported;
    // Only the host whose table was read is told; whether the next one is another, `disown` says.
    if (hits === 0 || this.#generation[0] !== this.#connection) return;
    const found = this.#foundSince(this.#reported);
    this.#reported = this.#hits;
    for (let from = 0; from === 0 || from < found.length; from += REPORT * 2) {
      const part = Uint32Array.from(found.slice(from, from + REPORT * 2));
      this.#native.seen(this.#link.nextId(), from === 0 ? hits : 0, part);
    }
    this.#link.flush();
  }

  /** Another host is there: it has no part in the hits that were not told yet. */
  disown(): void {
    this.#reported = this.#hits;
  }

  /** Ends the use of this near cache. */
  close(): void {
    this.report();
    clearTimeout(this.#timer);
    this.clear();
  }

  /** What the first look leaves open: values that end, and a connection that is gone. What is not valid is dropped. */
  #isValid(key: Key, place: number, version: number | undefined): boolean {
    if (this.#generation[0] !== this.#connection) {
      this.#leave();
      return false;
    }
    const ending = this.#endings.get(place);
    if (ending !== undefined && ending.version === version && performance.now() < ending.deadline) return true;
    this.forget(key);
    return false;
  }

  /** Reads an answer; what native code found itself, just now, comes with a mark and is kept. */
  readonly #keep: Read<unknown> = (form, answer, numbers, at) => {
    const value = asValue(form, answer, numbers, at);
    if (at !== 1 || (numbers[MARK] as number) < 0 || value === undefined || !keepable(form, value)) return value;
    if (numbers[TABLE] !== this.#table && !this.#adopt(numbers[TABLE] as number)) return value;
    // A table may be larger than what JavaScript sees of it.
    if ((numbers[MARK] as number) < this.#slots.length) this.#store(this.#key, value, numbers);
    return value;
  };

  #store(key: Key, value: unknown, numbers: Float64Array): void {
    this.forget(key);
    if (this.#places.size >= this.#max) this.#makeRoom();
    const place = this.#freePlaces.pop() ?? this.#values.length;
    const at = place * FIELDS;
    if (at >= this.#fields.length) this.#grow();
    const version = numbers[MARK + 1] as number;
    const deadline = numbers[MARK + 2] as number;
    this.#places.set(key, place);
    this.#values[place] = value;
    this.#fields[at] = (numbers[MARK] as number) >>> STRIDE_BITS;
    this.#fields[at + VERSION] = deadline === Infinity ? version : ENDING;
    this.#fields[at + FOUND] = 0;
    this.#fields[at + HASH] = numbers[MARK + 3] as number;
    if (deadline !== Infinity) this.#endings.set(place, { version, deadline: toPerformanceTime(deadline) });
  }

  #grow(): void {
    const fields = this.#fields;
    this.#fields = new Int32Array(fields.length * 2);
    this.#fields.set(fields);
  }

  /** Goes over to another table. */
  #adopt(table: number): boolean {
    this.#leave();
    // Looked at first: if it changes meanwhile, nothing that is kept from here on counts.
    const connection = Atomics.load(this.#generation, 0);
    const found = this.#native.slots();
    if (found === null || found[1] !== table) return false;
    this.#slots = new Int32Array(found[0]);
    this.#table = table;
    this.#connection = connection;
    return true;
  }

  #leave(): void {
    this.clear();
    this.#table = 0;
    this.#slots = new Int32Array(0);
  }

  /** A value goes that was not found since the hand last passed it. */
  #makeRoom(): void {
    for (let chances = CHANCES; ; chances--) {
      let next = this.#hand.next();
      if (next.done) {
        this.#hand = this.#places.entries();
        next = this.#hand.next();
        if (next.done) return;
      }
      const [key, place] = next.value;
      const at = place * FIELDS + FOUND;
      const hit = this.#fields[at] as number;
      if (chances <= 0 || hit === 0) return this.forget(key);
      // What the host has not been told of yet keeps its number.
      if (!isAfter(hit, this.#reported)) this.#fields[at] = 0;
    }
  }

  /** A first hit since the last report: the next one is due in a while. */
  #plan(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.report();
    }, REPORT_DELAY);
    this.#timer.unref();
  }

  /** `slot, hash` of all values found since so many hits, in the order of their last ones. */
  #foundSince(hits: number): number[] {
    const fields = this.#fields;
    const found: number[] = [];
    for (const place of this.#places.values()) {
      if (isAfter(fields[place * FIELDS + FOUND] as number, hits)) found.push(place * FIELDS);
    }
    found.sort((one, other) => (fields[one + FOUND] as number) - (fields[other + FOUND] as number));
    return found.flatMap((at) => [fields[at] as number, fields[at + HASH] as number]);
  }
}

/** Whether a hit came after so many; its number is kept in 32 bits. */
const isAfter = (hit: number, hits: number) => hit !== 0 && ((hit - hits) | 0) > 0;

function toPerformanceTime(deadline: number): number {
  if (deadline === Infinity) return Infinity;
  // Both clocks are the machine's monotonic one, with different beginnings.
  clockOffset ??= Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return deadline / 1e3 - clockOffset;
}
