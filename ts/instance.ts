/** The base of every cache instance: its link, its namespace, its life cycle and its events. */

import { EventEmitter } from 'node:events';
import { codedError, withPlace } from './errors.js';
import type { LinkListener } from './link/handles.js';
import type { Link } from './link/link.js';
import { linkFor } from './discovery/link-registry.js';
import { scoped, transportWish } from './discovery/environment.js';
import { Sharing, type NativeCache, type NativeOptions } from './native.js';
import { Near, type NearBounds } from './near/near.js';
import type { Changed, NearRegistry } from './near/registry.js';
import {
  REJECT,
  type Composite,
  type Operation,
  type Policy,
  type Scope,
  type Settling,
} from './operations/operation.js';
import { asFlag, asSettings, type Settings } from './operations/answers.js';
import { ACCESS_REPORT } from './operations/namespace.js';
import { Leases, giveAllBack, type FetchContext } from './operations/lease.js';
import { warnOfDifferences } from './options/differences.js';
import { checkOptions, type CacheOptions } from './options/instance.js';
import { nextTick } from './time.js';
import { placed } from './values/place.js';
import { LEFT_OUT } from './values/undecodable.js';

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

const OPEN: Settling<Settings> = { read: asSettings, withoutHost: REJECT, writes: false };
const RELEASE: Settling<boolean> = { read: asFlag, withoutHost: false, writes: false };

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
  protected readonly leases = new Leases();
  /** What its loads need. */
  protected readonly loading: FetchContext;
  protected readonly handle: number;
  /** The name by which the host knows the namespace. */
  readonly #name: string;
  readonly #events = new EventEmitter<CacheEvents>();
  readonly #ready: Promise<void>;
  #closing: Promise<void> | undefined;
  /** Entries that could not be decoded. */
  protected undecodable = 0;

  constructor(options?: CacheOptions) {
    const { instance, shared } = checkOptions(options);
    this.namespace = instance.namespace;
    this.#name = scoped(instance.namespace);
    const { namespace, timeout, failsafe } = instance;
    this.policy = { namespace, timeout, failsafe, leftOut: (...entry) => this[LEFT_OUT](...entry) };
    this.link = linkFor(instance);
    const { cache, handle, nears } = this.link.attach(this.#name, this.#listener(shared));
    this.native = cache;
    this.handle = handle;
    this.nears = nears;
    this.near = instance.near > 0 ? this.#newNear({ max: instance.near, maxSize: instance.nearMaxSize }) : undefined;
    if (this.near) nears.add(this.near);
    const { link, native, policy, leases, near } = this;
    this.loading = { link, handle, native, policy, leases, near };
    this.#ready = this.#open(shared);
    // A caller that ignores `ready` learns of a refusal from the first operation.
    this.#ready.catch(() => {});
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
   * `ERR_CC_CLOSED`; closing twice is fine.
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
   * Adds a listener for `'degraded'`, `'restored'` or `'epoch'`.
   *
   * @example
   * ```js
   * cache.on('degraded', (error) => console.warn('cache without host:', error.message));
   * ```
   */
  on<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this {
    this.#events.on(event, listener as never);
    return this;
  }

  /** As {@link on}, but for the next event only. */
  once<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this {
    this.#events.once(event, listener as never);
    return this;
  }

  /** Removes a listener that was added with {@link on} or {@link once}. */
  off<E extends keyof CacheEvents>(event: E, listener: (...args: CacheEvents[E]) => void): this {
    this.#events.off(event, listener as never);
    return this;
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
    nextTick(() => this.#events.emit('undecodable', { key, error: told, operation }));
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
  protected async run<T, A extends readonly unknown[]>(composite: Composite<T, A>, ...args: A): Promise<T> {
    if (this.closedError) throw this.closedError;
    const policy = { ...this.policy, operation: composite.method };
    try {
      const steps = composite.run(...args);
      let next = steps.next();
      while (!next.done) {
        const step = next.value;
        if ('leftOut' in step) this[LEFT_OUT](step.leftOut, step.error, composite.method);
        const answer = 'leftOut' in step ? undefined : await this.#ask(policy, step.operation, ...(step.args as []));
        next = steps.next(answer as never);
      }
      return next.value;
    } catch (error) {
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

  async #open(shared: NativeOptions): Promise<void> {
    const { link, native, policy } = this;
    const id = link.nextId();
    // This request belongs to native code, which opens the namespace again after a reconnect.
    link.takeOver();
    const settings = await link.outcome(id, native.open(id, this.#name, shared), OPEN, policy, undefined, false);
    this.near?.fit(settings.maxSize);
    if (transportWish() === 'shared' && this.transport === 'socket') {
      throw codedError(
        'ERR_CC_NO_SHARED_TABLE',
        "CLUSTERED_CACHE_TRANSPORT is shared, but the host's memory cannot be read from here; leave it unset to read " +
          'over the socket',
      );
    }
  }

  async #close(): Promise<void> {
    // Release the loads that run here, so that the next waiter need not wait until the lease expires.
    const { link, native, policy } = this;
    if (this.near) {
      this.near.close();
      this.nears.remove(this.near);
    }
    await giveAllBack(this.loading);
    const id = link.nextId();
    link.takeOver();
    const released = link.outcome(id, native.release(id), RELEASE, policy);
    // Without a host there is nothing to release.
    const isReleased = await released.catch(() => false);
    this.link.detach(this.handle, this.#name, isReleased);
    this.#events.removeAllListeners();
  }

  #newNear(bounds: NearBounds): Near {
    const { link, handle, native } = this;
    const report = (hits: number, reads: Uint32Array) => link.tell(handle, ACCESS_REPORT, hits, reads);
    return new Near(native, { generation: () => link.generation(), report, flush: () => link.flush() }, bounds);
  }

  #listener(declared: NativeOptions): LinkListener {
    // In a later task: a listener that throws must not prevent other callers from getting their answers.
    const emit = <E extends keyof CacheEvents>(event: E, ...args: CacheEvents[E]) =>
      nextTick(() => this.#events.emit(event, ...(args as never)));
    return {
      degraded: (error) => {
        this.near?.clear();
        emit('degraded', error);
      },
      isHeard: () => this.#events.listenerCount('degraded') > 0,
      restored: () => emit('restored'),
      epoch: (epoch) => {
        this.near?.disown();
        emit('epoch', epoch);
      },
      differs: (pid, options) => warnOfDifferences(this.namespace, declared, pid, options),
      reopened: (error) => error && emit('degraded', error),
    };
  }
}
