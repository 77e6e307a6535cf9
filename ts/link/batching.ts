/** What one turn of the event loop asks of the host: it goes out in one write, when the turn's microtasks are done. */

/**
 * So many requests go out without waiting for the end of the turn. It may be long, or never come: a loop in which
 * memory answers every `await` gives the event loop no turn.
 */
const MOST = 1_024;
/** Ms after which a turn was so long that its requests must not pay for it with the time the host has for them. */
const LONG = 10;

export class TurnBatch {
  readonly #send: () => void;
  readonly #delayed: (first: number, by: number) => void;
  #isOpen = false;
  #first = 0;
  #requests = 0;
  #begin = 0;

  /**
   * `send` writes what has been asked; `delayed` is told by how many ms the requests from number `first` on go out later
   * than the turn began.
   */
  constructor(send: () => void, delayed: (first: number, by: number) => void) {
    this.#send = send;
    this.#delayed = delayed;
  }

  /** Takes request `id`. One look at the clock serves a whole turn: when it began, in ms of `performance.now()`. */
  take(id: number): number {
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#first = id;
      this.#requests = 0;
      this.#begin = performance.now();
      process.nextTick(() => this.end());
    }
    this.#requests += 1;
    return this.#begin;
  }

  /** It has gone on for so many requests that they should not wait any longer. */
  get isFull(): boolean {
    return this.#requests >= MOST;
  }

  /** Sends all that was asked. */
  end(): void {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#requests = 0;
      const took = performance.now() - this.#begin;
      if (took > LONG) this.#delayed(this.#first, took);
    }
    this.#send();
  }
}
