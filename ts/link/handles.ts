/** Who uses a link: the handles that the host knows its instances by, and who hears of the connection. */

import { native, type NativeCache, type NativeLink } from '../native.js';

/** Who wants to hear of the link. */
export interface LinkListener {
  degraded(error: Error): void;
  restored(): void;
  epoch(epoch: number): void;
  /** The answer to opening the namespace again after a reconnect. */
  reopened(error: Error | undefined): void;
}

export class Handles {
  readonly #link: NativeLink;
  readonly #users = new Map<number, LinkListener>();
  #last = 0;
  /** Numbers that the host knows to be free: native code keeps a place for each number there ever was. */
  readonly #free: number[] = [];

  constructor(link: NativeLink) {
    this.#link = link;
  }

  /** A native cache under a handle of its own. */
  take(listener: LinkListener): { cache: NativeCache; handle: number } {
    const handle = this.#free.pop() ?? ++this.#last;
    const cache = new native.ClusteredCache(this.#link, handle) as NativeCache;
    cache.defineReads();
    this.#users.set(handle, listener);
    return { cache, handle };
  }

  /**
   * Gives a handle back; `false` if it was given back before. With `isReleased` the host has said that it knows the handle
   * no more, so that no answer to its former user is on its way.
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

  /** Tells all listeners; one of them may give its handle back meanwhile. */
  announce(tell: (listener: LinkListener) => void): void {
    for (const listener of [...this.#users.values()]) tell(listener);
  }
}
