/**
 * Node's IPC channel between a process and its children, shared by this package and the application: no message of the
 * application is lost because this package listens too, and no process is kept alive by it.
 */

import process from 'node:process';
import { nextTick } from '../time.js';

/** The only property of this package's messages, so that applications can tell them apart. */
const MESSAGE = 'clustered-cache';

/** One end of a channel: this process, to which its parent sends messages, or a child. */
type End = NodeJS.EventEmitter;

/** The content of this package's messages. */
type Taker = (content: unknown) => void;

/** Wraps content as a message of this package. */
export function wrapped(content: unknown): object {
  return { [MESSAGE]: content };
}

/** The content of a message of this package; `undefined` for any other message. */
export function contentOf(message: unknown): unknown {
  return isOurs(message) ? message[MESSAGE] : undefined;
}

const ears = new WeakMap<End, Ear>();

/**
 * Calls `take` with the content of each message of this package that arrives at `end`. Returns a function that stops
 * it.
 */
export function overhear(end: End, take: Taker): () => void {
  let ear = ears.get(end);
  if (!ear) ears.set(end, (ear = new Ear(end)));
  ear.add(take);
  return () => ear.remove(take);
}

/**
 * This package's only listener at an end. Node keeps messages until there is a listener. As this package listens, it
 * keeps the application's messages until the application listens too.
 */
class Ear {
  readonly #end: End;
  readonly #takers = new Set<Taker>();
  /** The application's messages that arrived while it had no listener. */
  readonly #held: unknown[][] = [];
  #isPassing = false;

  constructor(end: End) {
    this.#end = end;
  }

  add(take: Taker): void {
    this.#takers.add(take);
    if (this.#takers.size > 1) return;
    if (this.#held.length === 0) this.#end.prependListener('newListener', this.#onNewListener);
    this.#end.prependListener('message', this.#onMessage);
    // A listener would keep this process alive, which is the application's decision; children stay alive by themselves.
    if (this.#end === process) counted(process.channel)?.unrefCounted?.();
  }

  remove(take: Taker): void {
    if (!this.#takers.delete(take) || this.#takers.size > 0) return;
    if (this.#end === process) counted(process.channel)?.refCounted?.();
    this.#end.off('message', this.#onMessage);
    this.#rest();
  }

  readonly #onMessage = (...message: unknown[]): void => {
    if (this.#isPassing) return;
    const [first] = message;
    if (isOurs(first)) for (const take of [...this.#takers]) take(first[MESSAGE]);
    else if (!this.#isHeard) this.#held.push(message);
  };

  readonly #onNewListener = (event: string | symbol, listener: unknown): void => {
    // As Node does: after the code that adds the listener has run.
    if (event === 'message' && listener !== this.#onMessage) nextTick(() => this.#pass());
  };

  /** Whether the application listens. */
  get #isHeard(): boolean {
    return this.#end.listenerCount('message') > (this.#takers.size > 0 ? 1 : 0);
  }

  #pass(): void {
    while (this.#held.length > 0 && this.#isHeard) {
      const message = this.#held.shift() as unknown[];
      this.#isPassing = true;
      try {
        this.#end.emit('message', ...message);
      } finally {
        this.#isPassing = false;
      }
    }
    this.#rest();
  }

  /** This package has no listener left, and no message is left to pass on. */
  #rest(): void {
    if (this.#takers.size === 0 && this.#held.length === 0) this.#end.off('newListener', this.#onNewListener);
  }
}

/** A channel with Node's count of its users; an explicit `unref()` would affect the application's listeners too. */
interface Counted {
  refCounted?(): void;
  unrefCounted?(): void;
}

function counted(channel: object | null | undefined): Counted | null | undefined {
  return channel;
}

function isOurs(message: unknown): message is Record<string, unknown> {
  return typeof message === 'object' && message !== null && Object.hasOwn(message, MESSAGE);
}
