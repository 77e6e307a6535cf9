/**
 * Node's own channel between a process and those it started, as this package uses it beside the application: nobody's
 * messages are lost because we listen too, and no process lives longer for it.
 */

import process from 'node:process';

/** The only property of our messages, so that applications can tell them apart. */
const MESSAGE = 'clustered-cache';

/** This process, which its parent talks to, or a child. */
type End = NodeJS.EventEmitter;

/** What is in our messages. */
type Taker = (content: unknown) => void;

/** A message as our own. */
export function wrapped(content: unknown): object {
  return { [MESSAGE]: content };
}

/** What is in a message of ours; `undefined` for all others. */
export function contentOf(message: unknown): unknown {
  return isOurs(message) ? message[MESSAGE] : undefined;
}

const ears = new WeakMap<End, Ear>();

/** Calls `take` with the content of each message of ours that arrives at `end`. Returns how to stop. */
export function overhear(end: End, take: Taker): () => void {
  let ear = ears.get(end);
  if (!ear) ears.set(end, (ear = new Ear(end)));
  ear.add(take);
  return () => ear.remove(take);
}

/**
 * The one listener of ours at an end. Node keeps messages until somebody listens; since we do, the application's own
 * are kept here until the application does.
 */
class Ear {
  readonly #end: End;
  readonly #takers = new Set<Taker>();
  /** The application's messages that came before its first listener, or between two of them. */
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
    // A listener keeps this process alive, which is for the application to decide; children are alive by themselves.
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
    // As Node does: when the turn that begins to listen is over.
    if (event === 'message' && listener !== this.#onMessage) process.nextTick(() => this.#pass());
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

  /** Nobody of ours listens, and nothing is left to pass on. */
  #rest(): void {
    if (this.#takers.size === 0 && this.#held.length === 0) this.#end.off('newListener', this.#onNewListener);
  }
}

/** A channel as it counts who needs it; an explicit `unref()` would hold for the application's listeners too. */
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
