/**
 * One JavaScript environment's way to a store. Requests are numbered here, kept until they are answered, and ended
 * by a deadline or by the loss of the host; native code carries them.
 */

import { answeredError } from '../operations/answers.js';
import type { Operation, Policy } from '../operations/operation.js';
import { debug } from '../debug.js';
import { codedError, fromNative, knownCode } from '../errors.js';
import { fallback, noHostMessage, settle, unknownOutcome, withoutHost, type Outcome } from './failures.js';
import { Form, LinkChange, Sharing, native, translated, type NativeCache, type NativeLink } from '../native.js';
import { NearRegistries, type NearRegistry } from '../near/registry.js';
import { Pending, PendingRequests } from './pending.js';
import { isolate } from '../discovery/isolate.js';
import { shapeTable } from '../values/shapes.js';
import { TurnBatch } from './batching.js';
import { Handles, type LinkListener } from './handles.js';
import { PROBE, Probe } from './probe.js';
import { IMMEDIATE, drain, immediateForm, makeRegister, readMany, type TakeAnswer } from './register.js';
import { LinkState } from './state.js';

const log = debug('link');

/** Ids from here on are native code's own: it opens namespaces again after a reconnect. */
const REOPEN_BASE = 2 ** 52;

export class Link {
  readonly isHost: boolean;
  readonly #native: NativeLink;
  readonly #register = makeRegister();
  readonly #pending: PendingRequests;
  /** Requests whose callers have given up, but whose answers matter to others. */
  readonly #orphans = new Map<number, (form: Form, number: number) => void>();
  readonly #handles: Handles;
  readonly #nears = new NearRegistries();
  #lastId = 0;
  readonly #batch = new TurnBatch(
    () => this.#native.flush(),
    (first, by) => this.#pending.postpone(first, by),
  );
  #isDraining = false;
  readonly #state: LinkState;
  readonly #probe = new Probe();
  /** Why there is no host, as far as it is known. */
  #blame: string | undefined;
  readonly #onIdle: () => void;

  /**
   * `share`: whether a client reads the host's tables by itself. `onIdle` is called when the last user has left; the
   * link is closed then. `elected`: where a host ends, another one takes its place at once.
   */
  constructor(role: 'host' | 'client', grace: number, share: boolean, onIdle: () => void, elected = false) {
    this.#pending = new PendingRequests({
      hold: () => this.#native.ref(),
      release: () => this.#native.unref(),
      // After a blocked loop timers run before the answers that arrived meanwhile.
      beforeDeadlines: () => this.#drain(),
      overdue: (pending) => this.#expire(pending),
    });
    this.isHost = role === 'host';
    this.#state = new LinkState(grace);
    this.#onIdle = onIdle;
    const wake = () => this.#drain();
    this.#native = translated(() =>
      this.isHost
        ? native.Link.host(wake, this.#register, shapeTable, isolate())
        : native.Link.client(wake, this.#register, shapeTable, grace, share, elected),
    );
    this.#handles = new Handles(this.#native);
  }

  /** A native cache on this link, for an instance of `namespace`. */
  attach(namespace: string, listener: LinkListener): { cache: NativeCache; handle: number; nears: NearRegistry } {
    return { ...this.#handles.take(listener), nears: this.#nears.enter(namespace) };
  }

  /**
   * Ends the use that {@link attach} began. With `isReleased` the host has said that it knows the handle no more, so that
   * no answer to its former user is on its way.
   */
  detach(handle: number, namespace: string, isReleased: boolean): void {
    if (!this.#handles.giveBack(handle, isReleased)) return;
    this.#nears.leave(namespace);
    if (!this.#handles.isEmpty || this.isHost) return;
    this.#batch.end();
    this.#native.close();
    this.#pending.close();
    for (const { id } of this.#pending.all()) {
      this.#fail(id, codedError('ERR_CC_CLOSED', 'the cache was closed before the host answered'));
    }
    this.#onIdle();
  }

  /** Tells where the host is, and as which user it runs. */
  connect(endpoint: string, secret?: string, user?: number): void {
    log('connecting to %s', endpoint);
    translated(() => this.#native.connect(endpoint, secret, user));
  }

  /** Tells why there is no host to connect to, for those who wait for it in vain; `undefined`: there is one. */
  blame(reason: string | undefined): void {
    this.#blame = reason;
  }

  /** Tells that there is a host that may not be connected to: until it may, nobody waits for it. */
  refuse(error: Error): void {
    const isNews = this.#state.refused(error);
    for (const { id } of this.#pending.all()) {
      this.#native.forget(id);
      this.#fail(id, error);
    }
    if (isNews) this.#degrade(error);
  }

  /** A number for the next request; numbers grow, so that a late answer can never meet another request. */
  nextId(): number {
    return ++this.#lastId;
  }

  /** The outcome of request `id`, given native code's immediate answer. */
  outcome<T>(id: number, value: unknown, operation: Operation<T>, policy: Policy, holds = true): Promise<T> {
    const form = immediateForm(this.#register);
    if (form === Form.Pending || form === Form.Waiting) {
      const { reason } = this.#state;
      if (reason) {
        this.#native.forget(id);
        return withoutHost(reason, operation, policy);
      }
      return new Promise<T>((resolve, reject) => {
        this.#keep(new Pending(id, operation, policy, resolve as never, reject, holds));
        if (form === Form.Waiting) this.#wait(id);
      });
    }
    try {
      if (form !== Form.Error) return Promise.resolve(operation.read(form, value, this.#register, IMMEDIATE));
      return withoutHost(answeredError(value), operation, policy);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** The outcome of a request that native code has answered at once. */
  immediate<T>(value: unknown, operation: Operation<T>, policy: Policy): T {
    const form = immediateForm(this.#register);
    if (form === Form.Error) return settle(fallback(answeredError(value), operation, policy));
    return operation.read(form, value, this.#register, IMMEDIATE);
  }

  /** Adds the values of `keys` that `cache` has at hand to `values`, in order, and returns the other keys. */
  readMany<K>(cache: NativeCache, keys: K[], values: Map<K, unknown>, { read }: Operation<unknown>): K[] {
    return readMany(cache, this.#register, keys, values, read);
  }

  /** Before a read at once: a caller that gives the event loop no turn learns here that there is a host again. */
  catchUp(): void {
    if (!this.#state.isConnected && !this.isHost) this.#drain();
  }

  /** Whether native code has just said that the answer comes later. */
  get isPending(): boolean {
    return immediateForm(this.#register) === Form.Pending;
  }

  /**
   * The outcome of the pending read `id` of `cache`, before this returns. Where memory cannot answer for the moment, the
   * host is asked and this thread waits; where it never can, `refusal` is thrown.
   */
  awaited<T>(id: number, operation: Operation<T>, policy: Policy, cache: NativeCache, refusal: () => Error): T {
    const { isConnected, hasConnected, reason } = this.#state;
    if (isConnected && cache.sharing() !== Sharing.Without) return this.#block(id, operation, policy);
    this.#native.forget(id);
    if (reason) return settle(fallback(reason, operation, policy));
    if (isConnected || !hasConnected) throw refusal();
    const lost = codedError('ERR_CC_DISCONNECTED', 'the connection to the host is lost; it is restored by itself');
    return settle(fallback(lost, operation, policy));
  }

  #block<T>(id: number, operation: Operation<T>, policy: Policy): T {
    const outcomes: Outcome<T>[] = [];
    const resolve = (value: T) => outcomes.push({ value });
    const reject = (error: unknown) => outcomes.push({ error });
    const pending = new Pending(id, operation, policy, resolve as never, reject, false);
    this.#batch.end();
    pending.deadline = performance.now() + policy.timeout;
    this.#pending.add(pending);
    for (;;) {
      const [outcome] = outcomes;
      if (outcome) return settle(outcome);
      const left = pending.deadline - performance.now();
      if (left <= 0) this.#expire(pending);
      else if (this.#native.wait(left)) this.#drain();
    }
  }

  /** Memory whose number changes when the connection to the host is made or lost. */
  generation(): Int32Array {
    return new Int32Array(this.#native.generation() ?? new ArrayBuffer(4));
  }

  /** Keeps the process alive until `promise` settles. */
  async holdOpenWhile<T>(promise: Promise<T>): Promise<T> {
    this.#pending.hold();
    try {
      return await promise;
    } finally {
      this.#pending.release();
    }
  }

  /** Sends what was asked, now. */
  flush(): void {
    this.#batch.end();
  }

  /** For the end of the process: nothing asked or read before it is lost. */
  finish(): void {
    this.#nears.report();
    this.#native.finish();
  }

  /** Ends the wait of request `id` without an outcome from the host. `false` when it has ended already. */
  abandon(id: number, error: unknown): boolean {
    const pending = this.#pending.take(id);
    if (!pending) return false;
    this.#orphan(id, pending);
    pending.reject(error);
    return true;
  }

  /** The host will not answer the abandoned request `id` any more. */
  disown(id: number): void {
    this.#orphans.delete(id);
  }

  // --- sending ---------------------------------------------------------------------------------------------------

  #keep(pending: Pending): void {
    const begin = this.isHost ? performance.now() : this.#batch.take(pending.id);
    pending.deadline = begin + pending.policy.timeout;
    this.#pending.add(pending);
    if (!this.#batch.isFull) return;
    this.#batch.end();
    // In the midst of answers the others are next anyway.
    if (!this.#isDraining) this.#drain();
  }

  // --- receiving -------------------------------------------------------------------------------------------------

  #drain(): void {
    this.#isDraining = true;
    try {
      drain(this.#native, this.#register, this.#onAnswer);
    } catch (error) {
      // What has arrived cannot be told: nobody knows to whom it would have been an answer.
      const failure = fromNative(error) as Error;
      for (const { id } of this.#pending.all()) this.#fail(id, failure, true);
    } finally {
      this.#isDraining = false;
    }
  }

  readonly #onAnswer: TakeAnswer = (id, form, value, numbers, at) => {
    if (id === 0) return this.#onChange(form as number, value as unknown[]);
    if (id >= REOPEN_BASE) return this.#onReopened(id - REOPEN_BASE, form, value);
    if (form === Form.Waiting) return this.#wait(id);
    if (this.#state.isDegraded && this.#state.answered()) this.#restore();
    const pending = this.#pending.take(id);
    if (!pending) return this.#onOrphan(id, form, numbers[at] as number);
    try {
      if (form === Form.Error) pending.reject(answeredError(value));
      else pending.resolve(pending.operation.read(form, value, numbers, at) as never);
    } catch (error) {
      pending.reject(error);
    }
  };

  /** The answer to a request that was given up. */
  #onOrphan(id: number, form: Form, number: number): void {
    const take = this.#orphans.get(id);
    this.#orphans.delete(id);
    take?.(form, number);
  }

  #orphan(id: number, { operation: { orphaned } }: Pending): void {
    if (orphaned) this.#orphans.set(id, orphaned);
  }

  #onReopened(handle: number, form: Form, answer: unknown): void {
    this.#handles.listenerOf(handle)?.reopened(form === Form.Error ? answeredError(answer) : undefined);
  }

  #onChange(change: number, details: unknown[]): void {
    if (change === LinkChange.Connected) return this.#onConnected(...(details as [number, boolean]));
    const isNews = this.#state.lost();
    this.#orphans.clear();
    const [through, code, message] = details as [number, string, string];
    log('%s: %s', change === LinkChange.Lost ? 'lost' : 'unreachable', message);
    const error = codedError(knownCode(code), message);
    for (const { id } of this.#pending.all()) {
      if (id <= through) this.#fail(id, error, change === LinkChange.Lost);
    }
    if (isNews) this.#degrade(error);
  }

  #onConnected(epoch: number, isChanged: boolean): void {
    log('connected, epoch %d', epoch);
    if (this.#state.connected()) this.#restore();
    if (isChanged) this.#handles.announce((listener) => listener.epoch(epoch));
  }

  // --- deadlines -------------------------------------------------------------------------------------------------

  #wait(id: number): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    pending.waits = true;
    if (this.isHost) pending.deadline = Infinity;
  }

  /** Asks the host for a sign of life; without one all waits end. */
  #askForLife({ timeout }: Policy): void {
    const cache = this.#handles.anyCache();
    if (!cache) return;
    const ask = () => {
      const id = this.nextId();
      return this.outcome(id, cache.ping(id), PROBE, { timeout, failsafe: 'reject' });
    };
    this.#probe.start(ask, (error) => {
      for (const { id, waits } of this.#pending.all()) if (waits) this.#fail(id, error);
    });
  }

  #expire(pending: Pending): void {
    const { id, policy } = pending;
    if (pending.waits) {
      pending.deadline = performance.now() + policy.timeout;
      this.#pending.arm(pending.deadline);
      return this.#askForLife(policy);
    }
    const sent = this.#native.forget(id);
    const error = this.#state.isConnected
      ? codedError('ERR_CC_TIMEOUT', `the host did not answer within ${policy.timeout} ms; see option \`timeout\``)
      : codedError('ERR_CC_NO_HOST', noHostMessage(policy.timeout, this.#blame));
    const isNews = this.#state.overdue(error);
    if (sent) this.#orphan(id, pending);
    this.#fail(id, error, sent);
    if (isNews) this.#degrade(error);
  }

  // --- without a host --------------------------------------------------------------------------------------------

  /** Ends request `id` without an answer; `sent` when the host may have carried it out. */
  #fail(id: number, error: Error, sent = false): void {
    const pending = this.#pending.take(id);
    if (!pending) return;
    const { operation, policy } = pending;
    const reason = sent && operation.writes ? unknownOutcome(error) : error;
    const outcome = fallback(reason, operation, policy);
    if ('error' in outcome) pending.reject(outcome.error);
    else pending.resolve(outcome.value as never);
  }

  #degrade(error: Error): void {
    this.#handles.announce((listener) => listener.degraded(error));
  }

  #restore(): void {
    this.#handles.announce((listener) => listener.restored());
  }
}
