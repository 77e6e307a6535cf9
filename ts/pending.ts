/** Requests that wait for their answers: kept by number, ended by a deadline, and keeping the process alive. */

import type { Operation, Policy } from './link.js';

/** A request that waits. */
export interface Pending {
  operation: Operation<unknown>;
  policy: Policy;
  resolve: (value: never) => void;
  reject: (error: unknown) => void;
  /** When it has taken too long, in ms of `performance.now()`. */
  deadline: number;
  /** It keeps the process alive. */
  holds: boolean;
  /** The host has answered that another loads the key: how long that takes is the lease's affair. */
  waits: boolean;
}

/** What the requests ask of their link. */
export interface PendingOwner {
  /** Keep the process alive. */
  hold(): void;
  /** Let the process end. */
  release(): void;
  /** A deadline may have passed: what has arrived meanwhile comes first. */
  beforeDeadlines(): void;
  /** The deadline of a request has passed. It is still kept. */
  overdue(id: number, pending: Pending): void;
}

export class PendingRequests {
  readonly #owner: PendingOwner;
  readonly #requests = new Map<number, Pending>();
  #holding = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The deadline that the timer is set to. */
  #timerEnd = Infinity;

  constructor(owner: PendingOwner) {
    this.#owner = owner;
  }

  add(id: number, pending: Pending): void {
    this.#requests.set(id, pending);
    if (pending.holds) this.hold();
    this.arm(pending.deadline);
  }

  get(id: number): Pending | undefined {
    return this.#requests.get(id);
  }

  /** Takes a request out: it has its answer, or will get none. */
  take(id: number): Pending | undefined {
    const pending = this.#requests.get(id);
    if (!pending) return undefined;
    this.#requests.delete(id);
    if (pending.holds) this.release();
    return pending;
  }

  /** All that wait now; the table may change while they are gone through. */
  all(): [id: number, pending: Pending][] {
    return [...this.#requests];
  }

  /** Keeps the process alive until {@link release}. */
  hold(): void {
    if (this.#holding++ === 0) this.#owner.hold();
  }

  release(): void {
    if (--this.#holding === 0) this.#owner.release();
  }

  /** Looks at the deadlines no later than at `deadline`. The timer is reset only for an earlier one. */
  arm(deadline: number): void {
    if (deadline >= this.#timerEnd) return;
    clearTimeout(this.#timer);
    this.#timerEnd = deadline;
    const delay = Math.max(0, Math.ceil(deadline - performance.now()));
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
    const now = performance.now();
    let next = Infinity;
    for (const [id, pending] of this.all()) {
      if (pending.deadline > now) next = Math.min(next, pending.deadline);
      else this.#owner.overdue(id, pending);
    }
    if (next < Infinity) this.arm(next);
  }
}
