/**
 * The near cache: decoded values that one instance keeps in its own process. Each is valid as long as its slot in the
 * shared table shows the version that it was read with; so no process has to be notified of changes, and a change of
 * one key does not affect others. While nothing in the table has changed since a value was last found valid, the hit
 * reads only the table's count of changes, and not the slot.
 */

import { asValue, type Read } from '../operations/answers.js';
import { freeze } from '../values/frozen.js';
import { native as addon, type NativeCache } from '../native.js';
import type { Operation } from '../operations/operation.js';
import { GET } from '../operations/entries.js';
import { enlarged, isAfter, isAtRest, toPerformanceTime } from './numbers.js';
import { Sweeping } from './sweeping.js';
import { clearTimeout, now, setTimeout } from '../time.js';

type Key = string | number;

const { MAX_REPORTED, REGISTER_STAMP, REPORT_DELAY, SLOT_STRIDE } = addon;

/** The index in the register of the table that a value was read from. */
const TABLE = REGISTER_STAMP + 4;
/** How many recently found values are spared before one is evicted anyway. */
const CHANCES = 16;

/** Used instead of a version: the value expires, so more has to be checked. Versions of complete entries are even. */
const ENDS = 1;
/** Where the slots have the count of changes of the table: a multiple of 4, or one more during a change. */
const CHANGES = 0;
/** Used instead of a count of changes: it has none. */
const UNNOTED = 2;

/** When a value expires, in ms of `performance.now()`, and the version it was read with. */
interface Ending {
  version: number;
  deadline: number;
}

/**
 * What a hit reads of a kept value in addition to it, in numbers of 32 bits: the count of changes at which its slot had
 * its version, or {@link UNNOTED}; and the number of its last hit, of which 0 is none. They are adjacent and few,
 * because a hit among many values consists of waiting for memory. An object would take eight times as much of it.
 */
const COUNT = 0;
const FOUND = 1;
/** The numbers of a value begin at its place, shifted by this. */
const SHIFT = 1;

/**
 * What else is known of it, in numbers of 32 bits: where its slot's version is in the slots; the version it was read
 * with, or {@link ENDS}; its hash; about how many bytes of memory it takes.
 */
const AT = 0;
const VERSION = 1;
const HASH = 2;
const BYTES = 3;
/** The facts of one value. */
const FACTS = 4;
/** Values for which there is room at first. */
const FIRST_ROOM = 64;

/** About how many bytes a value takes here in addition to its own. */
const OVERHEAD = 160;
/** How many values are checked at each insertion, and at each sweep between them. */
const CHECKED_AT_INSERTION = 4;
const CHECKED_AT_SWEEP = 10_000;

/** Bytes that a near cache takes by default: as many as its namespace, but not fewer or more than these. */
const LEAST_BYTES = 8 * 2 ** 20;
const MOST_BYTES = 64 * 2 ** 20;

/** How much a near cache keeps. */
export interface NearBounds {
  /** The maximum number of values. */
  max: number;
  /** The maximum number of bytes; `undefined` is the default, which depends on the bound of the namespace. */
  maxSize: number | undefined;
}

/** What a near cache needs from its link. */
export interface NearLink {
  /** Shared memory with a number that changes when the connection to the host is made or lost. */
  generation(): Int32Array;
  /** Reports a number of hits to the host, and the values that were found: `slot, hash` of each. */
  report(hits: number, reads: Uint32Array): void;
  /** Sends the reports now. */
  flush(): void;
}

export class Near {
  /** `get` that keeps what it finds; {@link asking} names the key first. */
  readonly get: Operation<unknown, [key: Key]>;
  readonly #native: NativeCache;
  readonly #link: NearLink;
  readonly #max: number;
  #maxBytes: number;
  readonly #hasDefaultSize: boolean;
  /** The place of each value in the arrays, in insertion order. */
  readonly #places = new Map<Key, number>();
  readonly #values: unknown[] = [];
  #marks: Int32Array = new Int32Array(FIRST_ROOM << SHIFT);
  #facts: Int32Array = new Int32Array(FIRST_ROOM * FACTS);
  /** Places of values that were dropped; the next one to be used again last. */
  readonly #free: number[] = [];
  /** The ends of the values that expire. */
  readonly #endings = new Map<Key, Ending>();
  /**
   * Cycles through the values in their order. It is kept, because a new iterator would pass all deleted places at the
   * front.
   */
  #hand = this.#places.entries();
  /** The same for the check of values that are not read. */
  #broom = this.#places.entries();
  readonly #sweeping = new Sweeping();
  #bytes = 0;
  /**
   * The slots of the table that the values were read from. The host changes their versions and the count of changes, and
   * native code the number of the connection, while JavaScript reads all of them with plain loads: `Atomics.load` would
   * cost as much as all the rest of a hit. `crates/shm/src/slots.rs` explains why a hit cannot miss a change that this thread has been notified of.
   */
  #slots = new Int32Array(0);
  /** A count of changes that was loaded before any version that is looked at from here on. */
  #changes = UNNOTED;
  #table = 0;
  /** The number of the connection over which the table was received; kept values are valid only while it lasts. */
  readonly #generation: Int32Array;
  #connection = 0;
  #key: Key = '';
  #hits = 0;
  #reported = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(native: NativeCache, link: NearLink, { max, maxSize }: NearBounds) {
    this.#native = native;
    this.#link = link;
    this.#max = max;
    this.#maxBytes = maxSize ?? MOST_BYTES;
    this.#hasDefaultSize = maxSize === undefined;
    this.#generation = link.generation();
    this.get = { ...GET, read: this.#keep };
  }

  /** How many hits there were. */
  get hits(): number {
    return this.#hits;
  }

  /** The namespace keeps at most `maxSize` bytes; by default, that also bounds what is kept here. */
  fit(maxSize: number): void {
    if (this.#hasDefaultSize) this.#maxBytes = Math.min(Math.max(maxSize, LEAST_BYTES), MOST_BYTES);
    while (this.#bytes > this.#maxBytes) this.#makeRoom();
  }

  /** The value of `key`, counted as a hit, or `undefined`. */
  find(key: Key): unknown {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const marks = this.#marks;
    const first = place << SHIFT;
    if (marks[first] !== this.#slots[CHANGES] || this.#generation[0] !== this.#connection) {
      if (!this.#isValid(key, place)) return undefined;
    }
    if (this.#hits === this.#reported) this.#plan();
    marks[first + FOUND] = ++this.#hits;
    return this.#values[place];
  }

  /** The value of `key`, without counting it, or `undefined`. */
  peek(key: Key): unknown {
    const place = this.#places.get(key);
    if (place === undefined) return undefined;
    const count = this.#marks[place << SHIFT];
    const isSame = count === this.#slots[CHANGES] && this.#generation[0] === this.#connection;
    return isSame || this.#isValid(key, place) ? this.#values[place] : undefined;
  }

  /** Sets the key that native code is about to be asked for. */
  asking(key: Key): void {
    this.#key = key;
  }

  /** This process changes `key`: reads go to the host until it has answered. */
  forget(key: Key): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    this.#values[place] = undefined;
    this.#marks[(place << SHIFT) + FOUND] = 0;
    this.#bytes -= this.#facts[place * FACTS + BYTES] as number;
    this.#free.push(place);
    if (this.#endings.size > 0) this.#endings.delete(key);
  }

  /** Forgets everything. */
  clear(): void {
    this.#places.clear();
    this.#endings.clear();
    this.#values.length = 0;
    this.#free.length = 0;
    this.#bytes = 0;
    this.#marks = new Int32Array(FIRST_ROOM << SHIFT);
    this.#facts = new Int32Array(FIRST_ROOM * FACTS);
  }

  /** Reports to the host the hits that it does not know of. */
  report(): void {
    const hits = this.#hits - this.#reported;
    // Only the host whose table was read gets the report; `disown` is called when another host has taken its place.
    if (hits === 0 || this.#generation[0] !== this.#connection) return;
    const found = this.#foundSince(this.#reported);
    this.#reported = this.#hits;
    for (let from = 0; from === 0 || from < found.length; from += MAX_REPORTED * 2) {
      const part = Uint32Array.from(found.slice(from, from + MAX_REPORTED * 2));
      this.#link.report(from === 0 ? hits : 0, part);
    }
    this.#link.flush();
  }

  /** Another host has taken over: hits that have not been reported do not concern it. */
  disown(): void {
    this.#reported = this.#hits;
  }

  /** Ends the use of this near cache. */
  close(): void {
    this.report();
    clearTimeout(this.#timer);
    this.#sweeping.end();
    this.#leave();
  }

  /** Drops values that have been changed, evicted or have expired, and that no read has found so. */
  sweep(): boolean {
    this.#check(CHECKED_AT_SWEEP);
    return this.#places.size > 0;
  }

  /** Checks the next values, and drops those that are not valid. */
  #check(count: number): void {
    for (let left = Math.min(count, this.#places.size); left > 0 && this.#places.size > 0; left--) {
      let next = this.#broom.next();
      if (next.done) next = (this.#broom = this.#places.entries()).next();
      if (!next.done) this.#isValid(...next.value);
    }
  }

  /**
   * Checks what the fast path leaves open: changes of the table since the last check, values that expire, and a lost
   * connection. Drops a value that is not valid.
   */
  #isValid(key: Key, place: number): boolean {
    if (this.#generation[0] !== this.#connection) {
      this.#leave();
      return false;
    }
    const slots = this.#slots;
    const first = place * FACTS;
    // Atomic, so that the versions are loaded after it; an older count is only noted in vain.
    if (slots[CHANGES] !== this.#changes) this.#changes = Atomics.load(slots, CHANGES);
    const version = slots[this.#facts[first + AT] as number];
    if (version === this.#facts[first + VERSION]) {
      if (isAtRest(this.#changes)) this.#marks[place << SHIFT] = this.#changes;
      return true;
    }
    const ending = this.#endings.get(key);
    if (ending !== undefined && ending.version === version && now() < ending.deadline) return true;
    this.forget(key);
    return false;
  }

  /** Reads an answer; a value that native code has just read from the table comes with a version stamp and is kept. */
  readonly #keep: Read<unknown> = (form, answer, numbers, at, policy) => {
    const value = asValue(form, answer, numbers, at, policy);
    if (at !== 1 || (numbers[REGISTER_STAMP] as number) < 0 || value === undefined) return value;
    const bytes = freeze(form, value, answer);
    if (bytes < 0) return value;
    if (numbers[TABLE] !== this.#table && !this.#adopt(numbers[TABLE] as number)) return value;
    // A table may be larger than the part that JavaScript sees.
    if ((numbers[REGISTER_STAMP] as number) < this.#slots.length) this.#store(this.#key, value, bytes, numbers);
    return value;
  };

  #store(key: Key, value: unknown, ownBytes: number, numbers: Float64Array): void {
    this.forget(key);
    const bytes = ownBytes + OVERHEAD + (typeof key === 'string' ? key.length : 0);
    if (bytes > this.#maxBytes) return;
    this.#check(CHECKED_AT_INSERTION);
    while (this.#places.size >= this.#max || this.#bytes + bytes > this.#maxBytes) this.#makeRoom();
    this.#sweeping.begin(this);
    const version = (numbers[REGISTER_STAMP + 1] as number) | 0;
    const deadline = numbers[REGISTER_STAMP + 2] as number;
    const ends = deadline !== Infinity;
    const place = this.#free.pop() ?? this.#values.length;
    if (place << SHIFT >= this.#marks.length) this.#grow();
    this.#marks[(place << SHIFT) + COUNT] = UNNOTED;
    this.#marks[(place << SHIFT) + FOUND] = 0;
    const first = place * FACTS;
    this.#facts[first + AT] = numbers[REGISTER_STAMP] as number;
    this.#facts[first + VERSION] = ends ? ENDS : version;
    this.#facts[first + HASH] = numbers[REGISTER_STAMP + 3] as number;
    this.#facts[first + BYTES] = bytes;
    this.#bytes += bytes;
    this.#values[place] = value;
    this.#places.set(key, place);
    if (ends) this.#endings.set(key, { version, deadline: toPerformanceTime(deadline) });
  }

  /** Makes room for what is known of more values. */
  #grow(): void {
    this.#marks = enlarged(this.#marks);
    this.#facts = enlarged(this.#facts);
  }

  /** Switches to another table. */
  #adopt(table: number): boolean {
    this.#leave();
    // Read first: if it changes in the meantime, nothing that is kept from here on is valid.
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
    this.#changes = UNNOTED;
    this.#slots = new Int32Array(0);
  }

  /** Evicts a value that has not been found since the hand last passed it. */
  #makeRoom(): void {
    for (let chances = CHANCES; ; chances--) {
      let next = this.#hand.next();
      if (next.done) {
        this.#hand = this.#places.entries();
        next = this.#hand.next();
        if (next.done) return;
      }
      const [key, place] = next.value;
      const at = (place << SHIFT) + FOUND;
      const found = this.#marks[at] as number;
      if (chances <= 0 || found === 0) return this.forget(key);
      // A hit that has not been reported yet keeps its number.
      if (!isAfter(found, this.#reported)) this.#marks[at] = 0;
    }
  }

  /** Schedules the next report, at the first hit since the last one. */
  #plan(): void {
    if (this.#timer !== undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.report();
    }, REPORT_DELAY);
    this.#timer.unref();
  }

  /** `slot, hash` of all values found after hit number `since`, in the order of their last hits. */
  #foundSince(hits: number): number[] {
    const found: number[] = [];
    const number = (place: number) => this.#marks[(place << SHIFT) + FOUND] as number;
    const fact = (place: number, which: number) => this.#facts[place * FACTS + which] as number;
    for (let place = 0; place < this.#values.length; place++) if (isAfter(number(place), hits)) found.push(place);
    found.sort((one, other) => (number(one) - number(other)) | 0);
    return found.flatMap((place) => [fact(place, AT) / SLOT_STRIDE, fact(place, HASH)]);
  }
}
