/** Requests that wait for their answers: kept by number, ended by a deadline, and keeping the process alive. */

import type { Policy, Settling } from '../operations/operation.js';
import { clearTimeout, now, setTimeout } from '../time.js';
import { placed, rejection } from '../values/place.js';
import { placeOf, spare } from './failures.js';

/** A waiting request. */
export class Pending {
  readonly id: number;
  /** Its deadline, in ms of `performance.now()`. */
  deadline = 0;
  /**
   * The host has answered that another caller loads the key: the lease, not this deadline, limits how long that takes.
   */
  waits = false;
  readonly operation: Settling<unknown>;
  readonly policy: Policy;
  /** The key, if it is about one. */
  readonly key: unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  /** Whether it keeps the process alive. */
  readonly holds: boolean;
  /** What the caller awaits; `undefined` for one that waits synchronously. */
  promise: Promise<unknown> | undefined = undefined;

  constructor(
    id: number,
    operation: Settling<unknown>,
    policy: Policy,
    key: unknown,
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
    holds: boolean,
  ) {
    this.id = id;
    this.operation = operation;
    this.policy = policy;
    this.key = key;
    this.resolve = resolve;
    this.reject = reject;
    this.holds = holds;
  }

  /** Ends it with an error of its own, which names its place. */
  fail(error: unknown): void {
    const place = placeOf(this.operation, this.policy, this.key);
    const { promise, policy } = this;
    if (promise) this.resolve(rejection(error, place, () => spare(promise, error, policy)) as never);
    else this.reject(placed(error, place));
  }
}

/**
 * Requests by number. Numbers rise by one and most requests are short, so a ring finds nearly all of them by the low
 * bits of their number; requests that outlast a round of the ring are moved to a map beside it.
 *
 * A `Map` alone would do, but it is rebuilt after every few deletions. Once it is old, so is every rebuilt table, and
 * a discarded table keeps the answers of its time alive until the next full collection.
 */
class Ring {
  readonly #ring = new Array<Pending | undefined>(RING).fill(undefined);
  readonly #beside = new Map<number, Pending>();

  add(pending: Pending): void {
    const at = pending.id & (RING - 1);
    const before = this.#ring[at];
    if (before) this.#beside.set(before.id, before);
    this.#ring[at] = pending;
  }

  get(id: number): Pending | undefined {
    const pending = this.#ring[id & (RING - 1)];
    return pending?.id === id ? pending : this.#beside.get(id);
  }

  delete(id: number): void {
    const at = id & (RING - 1);
    if (this.#ring[at]?.id === id) this.#ring[at] = undefined;
    else this.#beside.delete(id);
  }

  /** In the order in which they were asked. */
  all(): Pending[] {
    const all = [...this.#beside.values()];
    for (const pending of this.#ring) if (pending) all.push(pending);
    return all.sort((one, other) => one.id - other.id);
  }
}

/** A power of two, larger than the number of requests that most applications have in flight. */
const RING = 4_096;

/** Milliseconds for which the process is kept alive after the last request was answered. */
const LINGER = 1;

/** What the requests need from their link. */
export interface PendingOwner {
  /** Keep the process alive. */
  hold(): void;
  /** Let the process end. */
  release(): void;
  /** A deadline may have passed: answers that have arrived in the meantime are taken first. */
  beforeDeadlines(): void;
  /** The deadline of a request has passed. It is still kept. */
  overdue(pending: Pending): void;
}

export class PendingRequests {
  readonly #owner: PendingOwner;
  readonly #requests = new Ring();
  #holding = 0;
  /** Whether the owner keeps the process alive. */
  #isHeld = false;
  #lingering: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The deadline that the timer is set to. */
  #timerEnd = Infinity;

  constructor(owner: PendingOwner) {
    this.#owner = owner;
  }

  add(pending: Pending): void {
    this.#requests.add(pending);
    if (pending.holds) this.hold();
    this.arm(pending.deadline);
  }

  get(id: number): Pending | undefined {
    return this.#requests.get(id);
  }

  /** Removes a request: it has its answer, or will get none. */
  take(id: number): Pending | undefined {
    const pending = this.#requests.get(id);
    if (!pending) return undefined;
    this.#requests.delete(id);
    if (pending.holds) this.release();
    return pending;
  }

  /** All waiting requests; the table may change during the iteration. */
  all(): Pending[] {
    return this.#requests.all();
  }

  /** Moves the deadlines of the requests from number `first` on by `by` ms. */
  postpone(first: number, by: number): void {
    for (const pending of this.all()) if (pending.id >= first) pending.deadline += by;
  }

  /** Keeps the process alive until {@link release}. */
  hold(): void {
    this.#holding++;
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.#owner.hold();
  }

  /** Ends a {@link hold}; the owner lets the process end a moment later, because the next request mostly follows at once. */
  release(): void {
    if (--this.#holding > 0 || this.#lingering !== undefined) return;
    this.#lingering = setTimeout(() => {
      this.#lingering = undefined;
      if (this.#holding > 0) return;
      this.#isHeld = false;
      this.#owner.release();
    }, LINGER).unref();
  }

  /** Sets the timer so that deadlines are checked no later than at `deadline`. It is reset only for an earlier one. */
  arm(deadline: number): void {
    if (deadline >= this.#timerEnd) return;
    clearTimeout(this.#timer);
    this.#timerEnd = deadline;
    const delay = Math.max(0, Math.ceil(deadline - now()));
    this.#timer = setTimeout(() => this.#onTimer(), delay);
    this.#timer.unref();
  }

  /** Stops the timer. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timerEnd = -Infinity;
  }

  #onTimer(): void {
    this.#timerEnd = Infinity;
    this.#owner.beforeDeadlines();
    const time = now();
    let next = Infinity;
    for (const pending of this.all()) {
      if (pending.deadline > time) next = Math.min(next, pending.deadline);
      else this.#owner.overdue(pending);
    }
    if (next < Infinity) this.arm(next);
  }
}
