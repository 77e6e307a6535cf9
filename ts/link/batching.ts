/**
 * Batches the requests of one turn of the event loop: they are sent in one write, after the turn's microtasks have run.
 */

import { nextTick, now } from '../time.js';

/**
 * A batch of this size is sent before the turn ends. The end may be far off, or never come: a loop in which memory
 * answers every `await` never returns to the event loop.
 */
const MOST = 1_024;
/** If a turn takes longer than this, in ms, its duration is not counted against the timeouts of its requests. */
const LONG = 10;

export class RequestBatch {
  readonly #send: () => void;
  readonly #delayed: (first: number, by: number) => void;
  #isOpen = false;
  #first = 0;
  #requests = 0;
  #begin = 0;

  /**
   * `send` writes the batch; `delayed` is told how many ms after the beginning of the turn the requests from number
   * `first` on are sent.
   */
  constructor(send: () => void, delayed: (first: number, by: number) => void) {
    this.#send = send;
    this.#delayed = delayed;
  }

  /** Adds request `id`. Returns when the turn began, in ms of `performance.now()`; the clock is read once per turn. */
  take(id: number): number {
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#first = id;
      this.#requests = 0;
      this.#begin = now();
      nextTick(() => this.end());
    }
    this.#requests += 1;
    return this.#begin;
  }

  /** Whether the batch is so large that it should be sent now. */
  get isFull(): boolean {
    return this.#requests >= MOST;
  }

  /** Sends the batch. */
  end(): void {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#requests = 0;
      const took = now() - this.#begin;
      if (took > LONG) this.#delayed(this.#first, took);
    }
    this.#send();
  }
}
