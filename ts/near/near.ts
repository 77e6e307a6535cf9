/**
 * The near cache: decoded values that one instance keeps in its own process. Each is valid as long as its slot in the
 * shared table shows the version that it was read with, which takes one read from memory; so no process has to be
 * notified of changes, and a change of one key does not affect others.
 */

import { asValue, type Read } from '../operations/answers.js';
import { keepable } from '../values/frozen.js';
import { native as addon, type NativeCache } from '../native.js';
import type { Operation } from '../operations/operation.js';
import { GET } from '../operations/entries.js';

type Key = string | number;

const { MAX_REPORTED, REGISTER_STAMP, REPORT_DELAY, SLOT_STRIDE } = addon;

/** The index in the register of the table that a value was read from. */
const TABLE = REGISTER_STAMP + 4;
/** How many recently found values are spared before one is evicted anyway. */
const CHANCES = 16;

/** Milliseconds by which `performance.now()` is behind the clock of the deadlines. */
let clockOffset: number | undefined;

/** Used instead of a version: the value expires, so more has to be checked. Versions of complete entries are even. */
const ENDS = 1;

/** When a value expires, in ms of `performance.now()`, and the version it was read with. */
interface Ending {
  version: number;
  deadline: number;
}

/**
 * A kept value: one object, so that a hit touches two cache lines of the processor, the map's and this one. Fields that
 * a hit does not read are kept elsewhere, or come last.
 */
class Entry {
  // Only declared: V8 does not store fields that begin as `undefined` as plain integers.
  declare readonly value: unknown;
  /** The index of its slot's version in the slots. */
  declare readonly at: number;
  /** The version it was read with, or {@link ENDS}. */
  declare readonly version: number;
  /** The number of its last hit, in 32 bits; 0 is none. */
  declare found: number;
  declare readonly hash: number;

  constructor(value: unknown, at: number, version: number, hash: number) {
    this.value = value;
    this.at = at;
    this.version = version;
    this.found = 0;
    this.hash = hash;
  }
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
  /** In insertion order. */
  readonly #entries = new Map<Key, Entry>();
  /** The ends of the values that expire. */
  readonly #endings = new Map<Key, Ending>();
  /**
   * Cycles through the values in their order. It is kept, because a new iterator would pass all deleted places at the
   * front.
   */
  #hand = this.#entries.entries();
  /**
   * The slots of the table that the values were read from. The host changes their versions, and native code the number
   * of the connection, while JavaScript reads both with plain loads: `Atomics.load` would cost as much as all the rest
   * of a hit. `crates/shm/src/slots.rs` explains why a hit cannot miss a change that this thread has been notified of.
   */
  #slots = new Int32Array(0);
  #table = 0;
  /** The number of the connection over which the table was received; kept values are valid only while it lasts. */
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

  /** How many hits there were. */
  get hits(): number {
    return this.#hits;
  }

  /** The value of `key`, counted as a hit, or `undefined`. */
  find(key: Key): unknown {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const version = this.#slots[entry.at];
    if (version !== entry.version || this.#generation[0] !== this.#connection) {
      if (!this.#isValid(key, version)) return undefined;
    }
    if (this.#hits === this.#reported) this.#plan();
    entry.found = ++this.#hits | 0;
    return entry.value;
  }

  /** The value of `key`, without counting it, or `undefined`. */
  peek(key: Key): unknown {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const version = this.#slots[entry.at];
    const isSame = version === entry.version && this.#generation[0] === this.#connection;
    return isSame || this.#isValid(key, version) ? entry.value : undefined;
  }

  /** Sets the key that native code is about to be asked for. */
  asking(key: Key): void {
    this.#key = key;
  }

  /** This process changes `key`: reads go to the host until it has answered. */
  forget(key: Key): void {
    this.#entries.delete(key);
    if (this.#endings.size > 0) this.#endings.delete(key);
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
    this.#endings.clear();
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
    this.clear();
  }

  /**
   * Checks what the fast path leaves open: values that expire, and a lost connection. Drops a value that is not valid.
   */
  #isValid(key: Key, version: number | undefined): boolean {
    if (this.#generation[0] !== this.#connection) {
      this.#leave();
      return false;
    }
    const ending = this.#endings.get(key);
    if (ending !== undefined && ending.version === version && performance.now() < ending.deadline) return true;
    this.forget(key);
    return false;
  }

  /** Reads an answer; a value that native code has just read from the table comes with a version stamp and is kept. */
  readonly #keep: Read<unknown> = (form, answer, numbers, at) => {
    const value = asValue(form, answer, numbers, at);
    if (at !== 1 || (numbers[REGISTER_STAMP] as number) < 0 || value === undefined || !keepable(form, value))
      return value;
    if (numbers[TABLE] !== this.#table && !this.#adopt(numbers[TABLE] as number)) return value;
    // A table may be larger than the part that JavaScript sees.
    if ((numbers[REGISTER_STAMP] as number) < this.#slots.length) this.#store(this.#key, value, numbers);
    return value;
  };

  #store(key: Key, value: unknown, numbers: Float64Array): void {
    this.forget(key);
    if (this.#entries.size >= this.#max) this.#makeRoom();
    // As 32-bit integers: V8 stores other numbers in objects of their own.
    const at = (numbers[REGISTER_STAMP] as number) >>> 0;
    const version = (numbers[REGISTER_STAMP + 1] as number) | 0;
    const deadline = numbers[REGISTER_STAMP + 2] as number;
    const hash = (numbers[REGISTER_STAMP + 3] as number) | 0;
    const ends = deadline !== Infinity;
    this.#entries.set(key, new Entry(value, at, ends ? ENDS : version, hash));
    if (ends) this.#endings.set(key, { version, deadline: toPerformanceTime(deadline) });
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
    this.#slots = new Int32Array(0);
  }

  /** Evicts a value that has not been found since the hand last passed it. */
  #makeRoom(): void {
    for (let chances = CHANCES; ; chances--) {
      let next = this.#hand.next();
      if (next.done) {
        this.#hand = this.#entries.entries();
        next = this.#hand.next();
        if (next.done) return;
      }
      const [key, entry] = next.value;
      if (chances <= 0 || entry.found === 0) return this.forget(key);
      // A hit that has not been reported yet keeps its number.
      if (!isAfter(entry.found, this.#reported)) entry.found = 0;
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
    const found: Entry[] = [];
    for (const entry of this.#entries.values()) if (isAfter(entry.found, hits)) found.push(entry);
    found.sort((one, other) => (one.found - other.found) | 0);
    return found.flatMap(({ at, hash }) => [at / SLOT_STRIDE, hash]);
  }
}

/** Whether a hit came after another; hit numbers are kept in 32 bits. */
const isAfter = (hit: number, hits: number) => hit !== 0 && ((hit - hits) | 0) > 0;

function toPerformanceTime(deadline: number): number {
  // Both are the machine's monotonic clock, with different origins.
  clockOffset ??= Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return deadline / 1e3 - clockOffset;
}
