/** The base of every cache instance: its link, its namespace, its life cycle and its events. */

import { codedError, withPlace } from './errors.js';
import { Events, type CacheEvents } from './events.js';
import { showAs, type Stage } from './inspect.js';
import { closing, isOfApplication, opened } from './instances.js';
import { spare } from './link/failures.js';
import type { Link } from './link/link.js';
import { Use } from './link/use.js';
import { hostLink, linkFor } from './discovery/link-registry.js';
import { scoped } from './discovery/environment.js';
import { Sharing, type NativeCache } from './native.js';
import { Near, type NearBounds } from './near/near.js';
import type { Changed, NearRegistry } from './near/registry.js';
import type { Composite, Operation, Policy, Scope } from './operations/operation.js';
import { ACCESS_REPORT } from './operations/namespace.js';
import type { FetchContext } from './operations/lease.js';
import { checkOptions, type CacheOptions } from './options/instance.js';
import { placed } from './values/place.js';
import { LEFT_OUT } from './values/undecodable.js';

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the static block below defines it
export interface Instance {
  /**
   * As {@link Instance.close}, for `await using`. Node.js has the symbol from 20.5 on.
   *
   * @example
   * ```ts
   * await using cache = new ClusteredCache({ namespace: 'report' });
   * ```
   */
  [Symbol.asyncDispose](): Promise<void>;
}

export abstract class Instance {
  /** The shared name. */
  readonly namespace: string;
  protected readonly link: Link;
  protected readonly native: NativeCache;
  protected readonly policy: Policy;
  /** The near cache, if the instance was opened with one. */
  protected readonly near: Near | undefined;
  /** The near caches of all instances of this namespace in this JavaScript environment. */
  protected readonly nears: NearRegistry;
  /** What its loads need. */
  protected readonly loading: FetchContext;
  protected readonly handle: number;
  readonly #use: Use;
  readonly #events = new Events();
  readonly #ready: Promise<void>;
  #stage: 'opening' | 'open' | 'refused' = 'opening';
  #closing: Promise<void> | undefined;
  /** Entries that could not be decoded. */
  protected undecodable = 0;

  constructor(options?: CacheOptions) {
    const { instance, shared } = checkOptions(options);
    this.namespace = instance.namespace;
    const { namespace, timeout, failsafe } = instance;
    const policy = { namespace, timeout, failsafe };
    // It refers to the instance, so that its requests, which all have the policy, keep it from being collected.
    this.policy = { ...policy, leftOut: (...entry) => this[LEFT_OUT](...entry) };
    const name = scoped(namespace);
    this.link = isOfApplication() ? linkFor(instance) : hostLink();
    const use = new Use(this.link, name, shared, { namespace, events: this.#events });
    this.#use = use;
    this.native = use.handle.cache;
    this.handle = use.handle.number;
    this.nears = use.nears;
    this.near = instance.near > 0 ? this.#newNear({ max: instance.near, maxSize: instance.nearMaxSize }) : undefined;
    if (this.near) use.keepNear(this.near);
    this.loading = use.loading(this.policy);
    opened(this, use, policy);
    this.#ready = use.open(this.policy);
    // A caller that ignores `ready` learns of a refusal from the first operation.
    this.#ready.then(
      () => (this.#stage = 'open'),
      () => (this.#stage = 'refused'),
    );
  }

  static {
    showAs(this.prototype, (cache) => cache.#shownStage());
    // Older releases of Node.js do not have the symbol.
    if (Symbol.asyncDispose) {
      const value = function (this: Instance) {
        return this.close();
      };
      Object.defineProperty(this.prototype, Symbol.asyncDispose, { value, configurable: true, writable: true });
    }
  }

  /** Resolves when the namespace is open on the host; rejects on conflicting options, or when no host answers. */
  get ready(): Promise<void> {
    // Opening alone does not keep the process alive; waiting for it does.
    return this.link.isHost ? this.#ready : this.link.holdOpenWhile(this.#ready);
  }

  /** `'host'`: the data is in this process. `'client'`: it is in another. */
  get role(): 'host' | 'client' {
    return this.link.isHost ? 'host' : 'client';
  }

  /**
   * How reads get to the data: `'direct'` in the host, `'shared'` in clients that read the host's memory, `'socket'` in
   * those that ask the host over the socket.
   */
  get transport(): 'direct' | 'shared' | 'socket' {
    if (this.link.isHost) return 'direct';
    return this.native.sharing() === Sharing.Without ? 'socket' : 'shared';
  }

  /**
   * Detaches this instance; the namespace and its data stay. Using the instance afterwards rejects with
   * `ERR_CC_CLOSED`; closing twice is fine. An instance that is dropped without being closed is detached when it is
   * collected, unless it has listeners.
   *
   * @example
   * ```js
   * await cache.close();
   * ```
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * Adds a listener for `'degraded'`, `'restored'`, `'epoch'` or `'undecodable'`. An instance with listeners stays open
   * until it is closed, or they are removed.
   *
   * @throws `ERR_CC_INVALID_ARGUMENT` for an event that does not exist.
   * @example
   * ```js
   * cache.on('degraded', (error) => console.warn('cache without host:', error.message));
   * ```
   */
  on<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this {
    this.#events.add(this, event, listener, false);
    return this;
  }

  /** As {@link on}, but for the next event only. */
  once<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this {
    this.#events.add(this, event, listener, true);
    return this;
  }

  /** Removes a listener that was added with {@link on} or {@link once}. */
  off<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this {
    this.#events.remove(event, listener);
    return this;
  }

  /** As {@link off}: `events.once(cache, event)` and `events.on(cache, event)` of Node.js need it. */
  removeListener<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this {
    return this.off(event, listener);
  }

  // --- for the operations ----------------------------------------------------------------------------------------

  /** The error for operations on a closed instance; `undefined` while it is open. */
  protected get closedError(): Error | undefined {
    if (this.#closing === undefined) return undefined;
    const { namespace } = this;
    const error = codedError('ERR_CC_CLOSED', `the cache "${namespace}" is closed; open a new one`);
    return withPlace(error, { namespace });
  }

  /**
   * Counts and reports an entry that a call has left out, or is about to load again.
   *
   * @internal Views of `wrap` call it too.
   */
  [LEFT_OUT](key: string | number, error: unknown, operation: string): void {
    this.undecodable += 1;
    const told = placed(error, { namespace: this.namespace, key, operation });
    this.#events.emit('undecodable', { key, error: told, operation });
  }

  /** Runs `operation` on the host. */
  protected call<T, A extends readonly unknown[]>(
    operation: Operation<T, A>,
    first?: A[0],
    second?: A[1],
    third?: A[2],
    fourth?: A[3],
  ): Promise<T> {
    return this.#ask(this.policy, operation, first, second, third, fourth);
  }

  #ask<T, A extends readonly unknown[]>(
    policy: Policy,
    operation: Operation<T, A>,
    first?: A[0],
    second?: A[1],
    third?: A[2],
    fourth?: A[3],
  ): Promise<T> {
    if (this.closedError) return Promise.reject(this.closedError);
    const { link, handle } = this;
    const answer = link.ask(link.nextId(), handle, operation, policy, first, second, third, fourth);
    if (operation.writes) this.#forget(operation, first);
    return answer;
  }

  /** Runs `operation` on the host in this process, and returns its answer. */
  protected callNow<T, A extends readonly unknown[]>(
    operation: Operation<T, A>,
    first?: A[0],
    second?: A[1],
    third?: A[2],
    fourth?: A[3],
  ): T {
    return this.#askNow(this.policy, operation, first, second, third, fourth);
  }

  #askNow<T, A extends readonly unknown[]>(
    policy: Policy,
    operation: Operation<T, A>,
    first?: A[0],
    second?: A[1],
    third?: A[2],
    fourth?: A[3],
  ): T {
    if (this.closedError) throw this.closedError;
    try {
      return this.link.askNow(this.handle, operation, policy, first, second, third, fourth);
    } finally {
      if (operation.writes) this.#forget(operation, first);
    }
  }

  /** Runs an operation of several steps. */
  protected run<T, A extends readonly unknown[]>(composite: Composite<T, A>, ...args: A): Promise<T> {
    const promise = this.#take(composite, args, (error) => spare(promise, error, this.policy));
    return promise;
  }

  async #take<T, A extends readonly unknown[]>(
    composite: Composite<T, A>,
    args: A,
    onFailure: (error: unknown) => void,
  ): Promise<T> {
    if (this.closedError) throw this.closedError;
    const policy = { ...this.policy, operation: composite.method };
    // Before the host was asked, only the caller can have failed, which has no promise yet.
    let hasAsked = false;
    try {
      const steps = composite.run(...args);
      let next = steps.next();
      while (!next.done) {
        const step = next.value;
        if ('leftOut' in step) this[LEFT_OUT](step.leftOut, step.error, composite.method);
        hasAsked = true;
        const answer = 'leftOut' in step ? undefined : await this.#ask(policy, step.operation, ...(step.args as []));
        next = steps.next(answer as never);
      }
      return next.value;
    } catch (error) {
      if (hasAsked) onFailure(error);
      throw placed(error, { namespace: this.namespace, operation: composite.method });
    }
  }

  /** Runs an operation of several steps in the host. */
  protected runNow<T, A extends readonly unknown[]>(composite: Composite<T, A>, ...args: A): T {
    if (this.closedError) throw this.closedError;
    const policy = { ...this.policy, operation: composite.method };
    try {
      const steps = composite.run(...args);
      let next = steps.next();
      while (!next.done) {
        const step = next.value;
        if ('leftOut' in step) this[LEFT_OUT](step.leftOut, step.error, composite.method);
        const answer = 'leftOut' in step ? undefined : this.#askNow(policy, step.operation, ...(step.args as []));
        next = steps.next(answer as never);
      }
      return next.value;
    } catch (error) {
      throw placed(error, { namespace: this.namespace, operation: composite.method });
    }
  }

  /**
   * Called when a request that changes entries was written: the near caches of this process drop them, so that its own
   * reads see the change. Not earlier, because a getter of the arguments may read the entry, and a near cache keep it.
   */
  #forget(operation: { scope: Scope }, about: unknown): void {
    switch (operation.scope) {
      case 'Key':
        return this.nears.forget(about as string | number);
      case 'Keys':
        return this.nears.forgetEach(about as readonly Changed[]);
      case 'Namespace':
        return this.nears.clear();
      case 'Host':
      case 'Load':
      case 'Scan':
        return;
    }
  }

  // --- life ------------------------------------------------------------------------------------------------------

  async #close(): Promise<void> {
    closing(this.#use);
    await this.#use.close(this.policy, true);
    this.#events.removeAll();
  }

  #shownStage(): Stage {
    if (this.#closing) return 'closed';
    return this.#stage === 'open' && this.link.isDegraded ? 'degraded' : this.#stage;
  }

  #newNear(bounds: NearBounds): Near {
    const { link, handle, native } = this;
    const report = (hits: number, reads: Uint32Array) => link.tell(handle, ACCESS_REPORT, hits, reads);
    return new Near(native, { generation: () => link.generation(), report, flush: () => link.flush() }, bounds);
  }
}
