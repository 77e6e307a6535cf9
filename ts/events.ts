/** The events of one instance, and what keeps it open while there are listeners. */

import { EventEmitter } from 'node:events';
import { codedError } from './errors.js';
import { show } from './options/checks.js';
import { nextTick } from './time.js';

/** Events of a cache and the arguments of their listeners. */
export interface CacheEvents {
  /** The host cannot be reached: `failsafe` decides what operations do from now on. */
  degraded: [error: Error];
  /** The host is back. */
  restored: [];
  /** A new host has taken over, or the host was restarted: earlier entries may be gone. */
  epoch: [epoch: number];
  /** A call has left out an entry, or loaded it again, because it cannot be decoded. */
  undecodable: [undecodable: UndecodableEvent];
}

/** An entry that cannot be decoded: another version of Node.js wrote it, or its bytes are damaged. */
export interface UndecodableEvent {
  /** Its key. */
  key: string | number;
  /** Why: an error with code `ERR_CC_DATA_CLONE`, or that of a codec of `wrap`. */
  error: unknown;
  /** The method that left it out or loaded it again. */
  operation: string;
}

/** The name of an event. */
export type EventName = keyof CacheEvents;

const NAMES = Object.keys({ degraded: 0, restored: 0, epoch: 0, undecodable: 0 } satisfies Record<EventName, 0>);

export class Events {
  /** Most instances have no listeners. */
  #emitter: EventEmitter | undefined;
  /** The instance, as long as it has listeners. Its link refers to these events, and so to it. */
  readonly #owners = new Set<object>();

  /** Adds a listener to the instance `owner`. */
  add(owner: object, event: string, listener: unknown, once: boolean): void {
    if (!isEvent(event, listener)) return;
    this.#emitter ??= new EventEmitter();
    if (once) this.#emitter.once(event, listener);
    else this.#emitter.on(event, listener);
    this.#owners.add(owner);
  }

  remove(event: string, listener: unknown): void {
    if (!isEvent(event, listener)) return;
    this.#emitter?.off(event, listener);
    this.#release();
  }

  removeAll(): void {
    this.#emitter?.removeAllListeners();
    this.#owners.clear();
  }

  /** Calls the listeners, after the callback that is running. */
  emit<E extends EventName>(event: E, ...args: CacheEvents[E]): void {
    // A listener that throws must not prevent other callers from getting their answers.
    nextTick(() => {
      this.#emitter?.emit(event, ...args);
      this.#release();
    });
  }

  /** Whether there is a listener for the event. */
  isHeard(event: EventName): boolean {
    return (this.#emitter?.listenerCount(event) ?? 0) > 0;
  }

  #release(): void {
    if (this.#emitter?.eventNames().length === 0) this.#owners.clear();
  }
}

/** Checks the arguments. `false` for `'error'`, which is never emitted, but which `events.once` listens to as well. */
function isEvent(event: string, listener: unknown): listener is (...args: unknown[]) => void {
  if (typeof listener !== 'function') {
    throw codedError('ERR_CC_INVALID_ARGUMENT', `the listener is ${show(listener)}; it must be a function`);
  }
  if (event === 'error') return false;
  if (NAMES.includes(event)) return true;
  const allowed = NAMES.map((name) => `'${name}'`).join(', ');
  throw codedError('ERR_CC_INVALID_ARGUMENT', `there is no event ${show(event)}; the events are ${allowed}`);
}
