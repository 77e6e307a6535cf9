/**
 * The near cache: decoded values that one instance keeps in its own process. Each is valid as long as its slot in the
 * shared table shows the version that it was read with, which is one look into memory; so nobody has to be told of
 * changes, and a change of one key leaves all others as they are.
 */

import { asValue, type Read } from './answers.js';
import { keepable } from './frozen.js';
import type { Link, Operation } from './link.js';
import type { NativeCache } from './native.js';
import { GET } from './operations.js';

type Key = string | number;

/** Where native code writes what a value was read of; see `mark_numbers` in `src/link.rs`. */
const MARK = 4;
const TABLE = 8;
/** 32-bit numbers of one slot. */
const STRIDE = 8;
/** Hits that one report tells of; a power of two. */
const REPORT = 256;
/** The host learns of hits no later than this, in ms, and no more often than this when they are many. */
const REPORT_DELAY = 100;
const REPORT_PAUSE = 1;
/** Entries that are given a second chance before one goes whatever its merits. */
const CHANCES = 16;

/** Milliseconds by which `performance.now()` is behind the clock of the deadlines. */
let clockOffset: number | undefined;

class Entry {
  readonly value: unknown;
  /** Where the version is among the slots. */
  readonly at: number;
  readonly version: number;
  /** When it ends, in ms of `performance.now()`. */
  readonly deadline: number;
  /** The low half of the key's hash, for the host. */
  readonly hash: number;
  /** It was read since it last had its chance. */
  used = false;

  constructor(value: unknown, at: number, version: number, deadline: number, hash: number) {
    this.value = value;
    this.at = at;
    this.version = version;
    this.deadline = deadline;
    this.hash = hash;
  }
}

export class Near {
  /** `get` that keeps what it finds; {@link asking} names the key first. */
  readonly get: Operation<unknown>;
  readonly #native: NativeCache;
  readonly #link: Link;
  readonly #max: number;
  readonly #entries = new Map<Key, Entry>();
  /** The slots of the table that the entries were read of. */
  #slots = new Int32Array(0);
  #table = 0;
  /** The connection that the table came over; what is kept counts only as long as it is there. */
  readonly #generation: Int32Array;
  #connection = 0;
  #key: Key = '';
  /** The last hits, `slot, hash` each. */
  readonly #reads = new Uint32Array(REPORT * 2);
  #hits = 0;
  #reported = 0;
  /** The number of hits at which something has to be done about reports. */
  #checkpoint = 1;
  #timer: NodeJS.Timeout | undefined;
  #lastReport = 0;

  constructor(native: NativeCache, link: Link, max: number) {
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
    const entry = this.#entries.get(key);
    if (entry === undefined || !this.#isValid(key, entry)) return undefined;
    entry.used = true;
    const at = (this.#hits & (REPORT - 1)) * 2;
    this.#reads[at] = entry.at / STRIDE;
    this.#reads[at + 1] = entry.hash;
    if (++this.#hits >= this.#checkpoint) this.#onCheckpoint();
    return entry.value;
  }

  /** The value of `key`, without counting it, or `undefined`. */
  peek(key: Key): unknown {
    const entry = this.#entries.get(key);
    return entry !== undefined && this.#isValid(key, entry) ? entry.value : undefined;
  }

  /** Names the key that native code is about to be asked for. */
  asking(key: Key): void {
    this.#key = key;
  }

  /** Somebody here changes `key`: from now on the host is asked, until it has answered. */
  forget(key: Key): void {
    this.#entries.delete(key);
  }

  /** Forgets everything. */
  clear(): void {
    this.#entries.clear();
  }

  /** Tells the host of the hits that it does not know of. */
  report(): void {
    const hits = this.#hits - this.#reported;
    // Only the host whose table was read is told; whether the next one is another, `disown` says.
    if (hits === 0 || Atomics.load(this.#generation, 0) !== this.#connection) return;
    const told = Math.min(hits, REPORT);
    const reads = new Uint32Array(told * 2);
    for (let index = 0; index < told; index++) {
      const from = ((this.#hits - told + index) & (REPORT - 1)) * 2;
      reads[index * 2] = this.#reads[from] as number;
      reads[index * 2 + 1] = this.#reads[from + 1] as number;
    }
    this.#reported = this.#hits;
    this.#native.seen(this.#link.nextId(), hits, reads);
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

  #isValid(key: Key, entry: Entry): boolean {
    if (Atomics.load(this.#generation, 0) !== this.#connection) {
      this.#leave();
      return false;
    }
    // Atomically: a plain load in a loop of the caller need never be made again.
    if (
      Atomics.load(this.#slots, entry.at) === entry.version &&
      (entry.deadline === Infinity || performance.now() < entry.deadline)
    ) {
      return true;
    }
    this.#entries.delete(key);
    return false;
  }

  /** Reads an answer; what native code found itself, just now, comes with a mark and is kept. */
  readonly #keep: Read<unknown> = (form, answer, numbers, at) => {
    const value = asValue(form, answer, numbers, at);
    if (at !== 1 || (numbers[MARK] as number) < 0 || value === undefined || !keepable(form, value)) return value;
    if (numbers[TABLE] !== this.#table && !this.#adopt(numbers[TABLE] as number)) return value;
    const [place, version, hash] = [numbers[MARK], numbers[MARK + 1], numbers[MARK + 3]] as [number, number, number];
    // A table may be larger than what JavaScript sees of it.
    if (place >= this.#slots.length) return value;
    const deadline = toPerformanceTime(numbers[MARK + 2] as number);
    this.#entries.delete(this.#key);
    this.#makeRoom();
    this.#entries.set(this.#key, new Entry(value, place, version, deadline, hash));
    return value;
  };

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
    this.#entries.clear();
    this.#table = 0;
    this.#slots = new Int32Array(0);
  }

  /** The oldest entries go that were not read since they last had a chance. */
  #makeRoom(): void {
    for (let chances = CHANCES; this.#entries.size >= this.#max; chances--) {
      const [oldest] = this.#entries;
      if (!oldest) return;
      const [key, entry] = oldest;
      this.#entries.delete(key);
      if (chances <= 0 || !entry.used) return;
      entry.used = false;
      this.#entries.set(key, entry);
    }
  }

  #onCheckpoint(): void {
    this.#checkpoint = this.#hits + REPORT;
    if (this.#timer === undefined) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#checkpoint = this.#hits + 1;
        this.report();
      }, REPORT_DELAY);
      this.#timer.unref();
      return;
    }
    const now = performance.now();
    if (now - this.#lastReport < REPORT_PAUSE) return;
    this.#lastReport = now;
    this.report();
  }
}

function toPerformanceTime(deadline: number): number {
  if (deadline === Infinity) return Infinity;
  // Both clocks are the machine's monotonic one, with different beginnings.
  clockOffset ??= Number(process.hrtime.bigint()) / 1e6 - performance.now();
  return deadline / 1e3 - clockOffset;
}
