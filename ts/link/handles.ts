/**
 * The handles by which the host knows what a link has open: one for each namespace and declaration, shared by all
 * instances that use it.
 */

import type { Settings } from '../operations/answers.js';
import { native, type NativeCache, type NativeLink, type NativeOptions } from '../native.js';

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

/** One native cache, and the instances that share it. */
export class Handle {
  readonly number: number;
  readonly cache: NativeCache;
  /** The name by which the host knows the namespace. */
  readonly namespace: string;
  readonly declared: NativeOptions;
  /** The instances, each by its listener. */
  readonly users = new Set<LinkListener>();
  /** The options in force when the host accepted the declaration; `undefined` before. */
  settings: Settings | undefined;
  /** Whether the last instance has left: the handle is being released, or has been. */
  isRetired = false;

  constructor(number: number, cache: NativeCache, namespace: string, declared: NativeOptions) {
    this.number = number;
    this.cache = cache;
    this.namespace = namespace;
    this.declared = declared;
  }
}

export class Handles {
  readonly #link: NativeLink;
  /** Those that an instance may join, by namespace and declaration. */
  readonly #joinable = new Map<string, Handle>();
  /** All that are not released. */
  readonly #byNumber = new Map<number, Handle>();
  #last = 0;
  /** Numbers that the host has released. They are reused, because native code keeps a slot for every number ever given. */
  readonly #free: number[] = [];

  constructor(link: NativeLink) {
    this.#link = link;
  }

  /** The handle of these options, for one more instance. */
  join(namespace: string, declared: NativeOptions, listener: LinkListener): Handle {
    const key = keyOf(namespace, declared);
    const handle = this.#joinable.get(key) ?? this.#create(key, namespace, declared);
    handle.users.add(listener);
    return handle;
  }

  /** An instance leaves. `true` if it was the last one: the handle is to be released, and no other instance joins it. */
  leave(handle: Handle, listener: LinkListener): boolean {
    if (!handle.users.delete(listener) || handle.users.size > 0) return false;
    handle.isRetired = true;
    this.#joinable.delete(keyOf(handle.namespace, handle.declared));
    return true;
  }

  /**
   * Forgets a handle that {@link leave} has retired. With `isReleased`, the host has confirmed the release, so no answer
   * to a request through it can still arrive.
   */
  giveBack({ number }: Handle, isReleased: boolean): void {
    if (this.#byNumber.delete(number) && isReleased) this.#free.push(number);
  }

  get isEmpty(): boolean {
    return this.#byNumber.size === 0;
  }

  get(number: number): Handle | undefined {
    return this.#byNumber.get(number);
  }

  /** Whether the application listens to any of the instances. */
  get isHeard(): boolean {
    for (const { users } of this.#byNumber.values()) for (const user of users) if (user.isHeard()) return true;
    return false;
  }

  /** Calls all listeners; one of them may leave while they are called. */
  announce(tell: (listener: LinkListener) => void): void {
    for (const handle of [...this.#byNumber.values()]) for (const listener of [...handle.users]) tell(listener);
  }

  #create(key: string, namespace: string, declared: NativeOptions): Handle {
    const number = this.#free.pop() ?? ++this.#last;
    const cache = new native.ClusteredCache(this.#link, number) as NativeCache;
    cache.defineReads();
    const handle = new Handle(number, cache, namespace, declared);
    this.#joinable.set(key, handle);
    this.#byNumber.set(number, handle);
    return handle;
  }
}

/** Declared options have the order of their definition. */
function keyOf(namespace: string, declared: NativeOptions): string {
  return `${JSON.stringify(declared)} ${namespace}`;
}
