/** The users of a link: the handles by which the host knows its instances, and the listeners for its connection. */

import { native, type NativeCache, type NativeLink } from '../native.js';

/** A listener for changes of the link. */
export interface LinkListener {
  degraded(error: Error): void;
  /** Whether the application listens to what {@link degraded} tells. */
  isHeard(): boolean;
  restored(): void;
  epoch(epoch: number): void;
  /** Process `pid` has declared these options otherwise, and its declaration counts. */
  differs(pid: number, options: ReadonlyMap<string, unknown>): void;
  /** The answer to opening the namespace again after a reconnect. */
  reopened(error: Error | undefined): void;
}

export class Handles {
  readonly #link: NativeLink;
  readonly #users = new Map<number, LinkListener>();
  #last = 0;
  /**
   * Handles that the host has released. They are reused, because native code keeps a slot for every number ever given.
   */
  readonly #free: number[] = [];

  constructor(link: NativeLink) {
    this.#link = link;
  }

  /** Creates a native cache under a handle of its own. */
  take(listener: LinkListener): { cache: NativeCache; handle: number } {
    const handle = this.#free.pop() ?? ++this.#last;
    const cache = new native.ClusteredCache(this.#link, handle) as NativeCache;
    cache.defineReads();
    this.#users.set(handle, listener);
    return { cache, handle };
  }

  /**
   * Releases a handle; `false` if it was released before. With `isReleased`, the host has confirmed the release, so no
   * answer to the former user of the handle can still arrive.
   */
  giveBack(handle: number, isReleased: boolean): boolean {
    if (!this.#users.delete(handle)) return false;
    if (isReleased) this.#free.push(handle);
    return true;
  }

  get isEmpty(): boolean {
    return this.#users.size === 0;
  }

  listenerOf(handle: number): LinkListener | undefined {
    return this.#users.get(handle);
  }

  /** Whether the application listens to any of the users. */
  get isHeard(): boolean {
    for (const listener of this.#users.values()) if (listener.isHeard()) return true;
    return false;
  }

  /** Calls all listeners; one of them may release its handle while they are called. */
  announce(tell: (listener: LinkListener) => void): void {
    for (const listener of [...this.#users.values()]) tell(listener);
  }
}
