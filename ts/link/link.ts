/**
 * One JavaScript environment's way to a store. Requests are numbered here, kept until they are answered, and ended by a
 * deadline or by the loss of the host; native code transports them.
 */

import { answeredError, settingsOf, type Read } from '../operations/answers.js';
import { HOST, PING_HOST } from '../operations/host.js';
import type { Operation, Policy, Settling } from '../operations/operation.js';
import { debug } from '../debug.js';
import { codedError, fromNative, knownCode } from '../errors.js';
import {
  fallback,
  keyOf,
  noHostMessage,
  placeOf,
  settle,
  unknownOutcome,
  withoutHost,
  withoutHostNow,
  type Outcome,
} from './failures.js';
import {
  Form,
  LinkChange,
  Sharing,
  native,
  translated,
  type NativeCache,
  type NativeLink,
  type NativeOptions,
} from '../native.js';
import { NearRegistries, type NearRegistry } from '../near/registry.js';
import { Pending, PendingRequests } from './pending.js';
import { isolate } from '../discovery/isolate.js';
import { placed } from '../values/place.js';
import { shapeTable } from '../values/shapes.js';
import { warnOfAbsence } from './absence.js';
import { RequestBatch } from './batching.js';
import { Handles, type Handle, type LinkListener } from './handles.js';
import { Outbox } from './outbox.js';
import { Probe } from './probe.js';
import { IMMEDIATE, drain, immediateForm, makeRegister, readMany, type TakeAnswer } from './register.js';
import { LinkState } from './state.js';
import { nextTick, now } from '../time.js';

const log = debug('link');

const { REOPEN_BASE } = native;

/** Whether the event loop is libuv. Another engine may export its functions without carrying them out. */
const HAS_LIBUV = process.versions['bun'] === undefined;

/** Where a client looks for its host. */
export interface Place {
  /** Differs from those of all other hosts. */
  readonly name: string;
  /** What to do if there is no host. */
  readonly remedy: string;
  /** When a host ends, another one takes its place at once. */
  readonly elected?: boolean;
}

export class Link {
  readonly isHost: boolean;
  /** Whether reads may be answered from memory. */
  readonly canRead: boolean;
  readonly #native: NativeLink;
  readonly #register = makeRegister();
  readonly #pending: PendingRequests;
  /** Requests whose callers have given up, but whose answers matter to other callers. */
  readonly #lateAnswers = new Map<number, (form: Form, number: number) => void>();
  readonly #handles: Handles;
  readonly #nears = new NearRegistries();
  #lastId = 0;
  /** Requests that native code has not taken over yet. */
  readonly #outbox: Outbox;
  readonly #batch = new RequestBatch(
    () => this.#outbox.send(),
    (first, by) => this.#pending.postpone(first, by),
  );
  #isDraining = false;
  readonly #state: LinkState;
  readonly #probe = new Probe();
  /** Where the host is looked for; `undefined` in the host. */
  readonly #place: Place | undefined;
  /** Why there is no host, if known. */
  #noHostReason: string | undefined;
  /** What listeners were told last of a host that cannot be reached. */
  #failure: Error | undefined;
  readonly #onIdle: () => void;
  /** Called when the host was reached, or could not be reached where it was said to be. */
  onReach: (isReached: boolean) => void = () => {};
  /** What native code calls when there is something to read. */
  readonly #wake = new Wake();
  #isClosed = false;

  /**
   * `share`: whether a client reads the host's tables itself. `onIdle` is called when the last user has left; the link
   * is then closed. `place`: where a client looks for the host.
   */
  constructor(role: 'host' | 'client', grace: number, share: boolean, onIdle: () => void, place?: Place) {
    this.#pending = new PendingRequests({
      hold: () => this.#native.ref(),
      release: () => this.#native.unref(),
      // After the loop was blocked, timers run before the answers that arrived in the meantime.
      beforeDeadlines: () => this.#drain(),
      overdue: (pending) => this.#expire(pending),
    });
    this.isHost = role === 'host';
    this.canRead = this.isHost || share;
    this.#state = new LinkState(grace);
    this.#onIdle = onIdle;
    this.#place = place;
    const elected = place?.elected ?? false;
    const wake = this.#wake.function;
    this.#wake.drain = () => this.#drain();
    this.#native = translated(() =>
      this.isHost
        ? native.Link.host(wake, this.#register, shapeTable, isolate())
        : native.Link.client(wake, this.#register, shapeTable, { grace, share, elected }, HAS_LIBUV ? wake : null),
    ) as NativeLink;
    this.#outbox = new Outbox(this.#native);
    this.#handles = new Handles(this.#native);
  }

  /** The handle for one more instance of `namespace` that declares these options. */
  attach(namespace: string, declared: NativeOptions, listener: LinkListener): { handle: Handle; nears: NearRegistry } {
    const handle = this.#handles.join(namespace, declared, listener);
    if (this.#state.isDegraded) nextTick(() => this.#catchUp(handle, listener));
    return { handle, nears: this.#nears.enter(namespace) };
  }

  /** An instance leaves its handle. `true` if it was the last one: then the handle is released, and given back. */
  leave(handle: Handle, listener: LinkListener): boolean {
    return this.#handles.leave(handle, listener);
  }

  /** Takes a handle back whose last instance has left. `isReleased`: the host has confirmed its release. */
  giveBack(handle: Handle, isReleased: boolean): void {
    this.#handles.giveBack(handle, isReleased);
  }

  /** Ends the use of `namespace` that {@link attach} began, and with the last handle the link. */
  detach(namespace: string): void {
    this.#nears.leave(namespace);
    if (!this.#handles.isEmpty || this.isHost || this.#isClosed) return;
    this.#isClosed = true;
    this.#batch.end();
    this.#native.close();
    this.#wake.drain = () => {};
    this.#pending.close();
    for (const { id } of this.#pending.all()) {
      this.#fail(id, codedError('ERR_CC_CLOSED', 'the cache was closed before the host answered'));
    }
    this.#onIdle();
  }

  /** Whether the host can be asked now. */
  get isConnected(): boolean {
    return this.isHost || this.#state.isConnected;
  }

  /** Whether listeners have been told that the host is away. */
  get isDegraded(): boolean {
    return this.#state.isDegraded;
  }

  /** Sets where the host is, and as which user it runs. */
  connect(endpoint: string, secret?: string, user?: number): void {
    log('connecting to %s', endpoint);
    translated(() => this.#native.connect(endpoint, secret, user));
  }

  /**
   * Sets why there is no host to connect to, for the errors of requests that wait in vain; `undefined`: there is one.
   */
  setNoHostReason(reason: string | undefined): void {
    this.#noHostReason = reason;
  }

  /** Reports a host that refuses this process: until it accepts it, requests fail at once. */
  refuse(error: Error): void {
    const isNews = this.#state.refused(error);
    for (const { id } of this.#pending.all()) {
      this.#forget(id);
      this.#fail(id, error);
    }
    if (isNews) this.#degrade(error);
    this.#warn(error);
  }

  /** The number for the next request; numbers only grow, so that a late answer never matches another request. */
  nextId(): number {
    return ++this.#lastId;
  }

  // --- asking ------------------------------------------------------------------------------------------------------

  /**
   * Sends `operation` through `handle`, as request `id`. The host in this process answers at once; otherwise the
   * request is sent with the batch of this turn. With `holds` the process stays alive until it is answered.
   */
  ask<T, A extends readonly unknown[]>(
    id: number,
    handle: number,
    operation: Operation<T, A>,
    policy: Policy,
    first?: A[0],
    second?: A[1],
    third?: A[2],
    fourth?: A[3],
  ): Promise<T> {
    const key = keyOf(operation, first);
    try {
      this.#outbox.write(id, handle, operation, first, second, third, fourth);
      if (this.isHost) return this.outcome(id, this.#outbox.submit(), operation, policy, key);
      const { reason } = this.#state;
      if (reason === undefined) return this.#promise(id, operation, policy, key, true);
      this.#outbox.discard();
      return withoutHost(reason, operation, policy, key);
    } catch (error) {
      return Promise.reject(placed(error, placeOf(operation, policy, key)) as Error);
    }
  }

  /** As {@link ask}, but only in the host, and answered before this returns. */
  askNow<T, A extends readonly unknown[]>(
    handle: number,
    operation: Operation<T, A>,
    policy: Policy,
    first?: A[0],
    second?: A[1],
    third?: A[2],
    fourth?: A[3],
  ): T {
    const key = keyOf(operation, first);
    try {
      this.#outbox.write(this.nextId(), handle, operation, first, second, third, fourth);
    } catch (error) {
      throw placed(error, placeOf(operation, policy, key));
    }
    return this.immediate(this.#outbox.submit(), operation, policy, key);
  }

  /** Sends a message that has no answer, with the next {@link flush}. */
  tell<A extends readonly unknown[]>(
    handle: number,
    operation: Operation<unknown, A>,
    first: A[0],
    second: A[1],
  ): void {
    this.#outbox.write(0, handle, operation, first, second);
    if (this.isHost) this.#outbox.submit();
  }

  /** Hands the written frames to native code, before any other call into it, so that requests keep their order. */
  takeOver(): void {
    this.#outbox.takeOver();
  }

  #promise<T>(id: number, operation: Settling<T>, policy: Policy, key: unknown, holds: boolean): Promise<T> {
    let pending!: Pending;
    const promise = new Promise<T>((resolve, reject) => {
      pending = new Pending(id, operation, policy, key, resolve as never, reject, holds);
    });
    pending.promise = promise;
    this.#keep(pending);
    return promise;
  }

  /** Ends request `id` because its caller has given up. `true` when the host may have carried it out. */
  #forget(id: number): boolean {
    this.#outbox.takeOver();
    return this.#native.forget(id);
  }

  // --- immediate answers -------------------------------------------------------------------------------------------

  /** The outcome of request `id`, from native code's immediate answer. `key`: what the operation is about. */
  outcome<T>(
    id: number,
    value: unknown,
    operation: Settling<T>,
    policy: Policy,
    key?: unknown,
    holds = true,
  ): Promise<T> {
    const form = immediateForm(this.#register);
    if (form !== Form.Pending && form !== Form.Waiting) return this.settled(value, operation, policy, key);
    const { reason } = this.#state;
    if (reason) {
      this.#forget(id);
      return withoutHost(reason, operation, policy, key);
    }
    const outcome = this.#promise(id, operation, policy, key, holds);
    if (form === Form.Waiting) this.#wait(id);
    return outcome;
  }

  /** The outcome of a request that native code has answered at once, for a caller that awaits it. */
  settled<T>(value: unknown, operation: Settling<T>, policy: Policy, key?: unknown): Promise<T> {
    const form = immediateForm(this.#register);
    if (form === Form.Error) return withoutHost(answeredError(value), operation, policy, key);
    try {
      return Promise.resolve(operation.read(form, value, this.#register, IMMEDIATE, policy));
    } catch (error) {
      return Promise.reject(placed(error, placeOf(operation, policy, key)) as Error);
    }
  }

  /** The same, for a caller that does not await it. */
  immediate<T>(value: unknown, operation: Settling<T>, policy: Policy, key?: unknown): T {
    const form = immediateForm(this.#register);
    if (form === Form.Error) return withoutHostNow(answeredError(value), operation, policy, key);
    try {
      return operation.read(form, value, this.#register, IMMEDIATE, policy);
    } catch (error) {
      throw placed(error, placeOf(operation, policy, key));
    }
  }

  /** What memory holds for the key, read by `operation`, for a caller that loads a missing value. */
  found<T>(cache: NativeCache, key: unknown, { read }: Settling<T>, policy: Policy): T | undefined {
    if (!this.canRead) return undefined;
    this.takeOver();
    const value = cache.find(key);
    const form = immediateForm(this.#register);
    if (form === Form.Pending) return undefined;
    if (form === Form.Error) throw answeredError(value);
    return read(form, value, this.#register, IMMEDIATE, policy);
  }

  /** Adds the values of `keys` that `cache` can read from memory to `values`, in order, and returns the other keys. */
  readMany<K extends string | number>(
    cache: NativeCache,
    keys: K[],
    values: Map<K, unknown>,
    read: Read<unknown>,
    policy: Policy,
  ): K[] {
    if (!this.canRead) return keys;
    this.takeOver();
    return readMany(cache, this.#register, keys, values, read, policy);
  }

  /**
   * Called before a synchronous read: a caller that never returns to the event loop learns here that there is a host
   * again, and reads its own writes.
   */
  catchUp(): void {
    if (!this.#state.isConnected && !this.isHost) this.#drain();
    this.takeOver();
  }

  /** Whether native code has just reported that the answer comes later. */
  get isPending(): boolean {
    return immediateForm(this.#register) === Form.Pending;
  }

  /**
   * The outcome of a synchronous read of `cache` that memory cannot answer at the moment: the host is asked and this
   * thread blocks. Where memory can never answer, `refusal` is thrown.
   */
  awaited<T, K>(
    handle: number,
    operation: Operation<T, [key: K]>,
    key: K,
    policy: Policy,
    cache: NativeCache,
    refusal: () => Error,
  ): T {
    const { isConnected, hasConnected, reason } = this.#state;
    if (isConnected && cache.sharing() !== Sharing.Without) {
      const id = this.nextId();
      this.#outbox.write(id, handle, operation, key);
      return this.#block(id, operation, policy, key);
    }
    if (reason) return withoutHostNow(reason, operation, policy, key);
    if (isConnected || !hasConnected) throw refusal();
    const lost = codedError('ERR_CC_DISCONNECTED', 'the connection to the host is lost; it is restored by itself');
    return withoutHostNow(lost, operation, policy, key);
  }

  #block<T>(id: number, operation: Settling<T>, policy: Policy, key: unknown): T {
    const outcomes: Outcome<T>[] = [];
    const resolve = (value: T) => outcomes.push({ value });
    const reject = (error: unknown) => outcomes.push({ error });
    const pending = new Pending(id, operation, policy, key, resolve as never, reject, false);
    this.#batch.end();
    pending.deadline = now() + policy.timeout;
    this.#pending.add(pending);
    for (;;) {
      const [outcome] = outcomes;
      if (outcome) return settle(outcome);
      const left = pending.deadline - now();
      if (left <= 0) this.#expire(pending);
      else if (this.#native.wait(left)) this.#drain();
    }
  }

  /** Shared memory with a number that changes when the connection to the host is made or lost. */
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

  /** Sends all queued requests now. */
  flush(): void {
    this.#batch.end();
  }

  /** For the end of the process: no queued request or access report is lost. */
  finish(): void {
    this.#nears.report();
    this.takeOver();
    this.#native.finish();
  }

  /** The waiting requests that were made with `policy`. */
  requestsOf(policy: Policy): Pending[] {
    const { leftOut } = policy;
    return leftOut ? this.#pending.all().filter((pending) => pending.policy.leftOut === leftOut) : [];
  }

  /** Ends request `id` without an answer from the host. `false` when it has already ended. */
  abandon(id: number, error: unknown): boolean {
    const pending = this.#pending.take(id);
    if (!pending) return false;
    this.#expectLateAnswer(id, pending);
    pending.reject(error);
    return true;
  }

  /** The host will not answer the abandoned request `id`. */
  disown(id: number): void {
    this.#lateAnswers.delete(id);
  }

  // --- sending ---------------------------------------------------------------------------------------------------

  #keep(pending: Pending): void {
    const begin = this.isHost ? now() : this.#batch.take(pending.id);
    pending.deadline = begin + pending.policy.timeout;
    this.#pending.add(pending);
    if (this.#outbox.isLarge) this.takeOver();
    if (!this.#batch.isFull) return;
    this.#batch.end();
    // While answers are being taken, the remaining ones follow anyway.
    if (!this.#isDraining) this.#drain();
  }

  // --- receiving -------------------------------------------------------------------------------------------------

  #drain(): void {
    this.#isDraining = true;
    try {
      drain(this.#native, this.#register, this.#onAnswer);
    } catch (error) {
      // The answers cannot be read, so it is unknown which requests they would have ended.
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
    // Without a connection, native code itself answers that there is no host.
    if (this.#state.isConnected && this.#state.isDegraded && this.#state.answered()) this.#restore();
    const pending = this.#pending.take(id);
    if (!pending) return this.#onOrphan(id, form, numbers[at] as number);
    try {
      if (form === Form.Error) end(pending, fallback(answeredError(value), pending.operation, pending.policy));
      else pending.resolve(pending.operation.read(form, value, numbers, at, pending.policy) as never);
    } catch (error) {
      pending.fail(error);
    }
  };

  /** Takes the answer to a request whose caller has given up. */
  #onOrphan(id: number, form: Form, number: number): void {
    const take = this.#lateAnswers.get(id);
    this.#lateAnswers.delete(id);
    take?.(form, number);
  }

  #expectLateAnswer(id: number, { operation: { onLateAnswer } }: Pending): void {
    if (onLateAnswer) this.#lateAnswers.set(id, onLateAnswer);
  }

  #onReopened(number: number, form: Form, answer: unknown): void {
    const handle = this.#handles.get(number);
    if (!handle) return;
    const error = form === Form.Error ? answeredError(answer) : undefined;
    handle.settings = error ? undefined : settingsOf(answer);
    for (const listener of [...handle.users]) listener.reopened(error);
  }

  #onChange(change: number, details: unknown[]): void {
    if (change === LinkChange.Connected) return this.#onConnected(...(details as [number, boolean]));
    if (change === LinkChange.OptionsDiffer) return this.#onOptionsDiffer(details as [number, number, ...unknown[]]);
    const [through, code, message] = details as [number, string, string];
    const isLost = change === LinkChange.Lost;
    log('%s: %s', isLost ? 'lost' : 'unreachable', message);
    const isAbsent = code === 'ERR_CC_NO_HOST' && this.#place !== undefined;
    const error = codedError(knownCode(code), isAbsent ? `${message}; ${this.#place.remedy}` : message);
    const isNews = isLost ? this.#state.lost() : this.#state.refused(error);
    this.#lateAnswers.clear();
    for (const { id } of this.#pending.all()) {
      if (id <= through) this.#fail(id, error, isLost);
    }
    if (isNews) this.#degrade(error);
    // What was lost may be back in a moment.
    if (isLost) return;
    this.#warn(error);
    this.onReach(false);
  }

  #onOptionsDiffer([number, pid, ...rest]: [number, number, ...unknown[]]): void {
    const options = new Map<string, unknown>();
    for (let at = 0; at < rest.length; at += 2) options.set(rest[at] as string, rest[at + 1]);
    for (const listener of this.#handles.get(number)?.users ?? []) listener.differs(pid, options);
  }

  #onConnected(epoch: number, isChanged: boolean): void {
    log('connected, epoch %d', epoch);
    this.onReach(true);
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

  /** Asks the host for a sign of life; without one, all waiting requests end. */
  #askForLife({ timeout }: Policy): void {
    const ask = () => this.ask(this.nextId(), HOST, PING_HOST, { timeout, failsafe: 'reject' });
    this.#probe.start(ask, (error) => {
      for (const { id, waits } of this.#pending.all()) if (waits) this.#fail(id, error);
    });
  }

  #expire(pending: Pending): void {
    const { id, policy } = pending;
    if (pending.waits) {
      pending.deadline = now() + policy.timeout;
      this.#pending.arm(pending.deadline);
      return this.#askForLife(policy);
    }
    const sent = this.#forget(id);
    const error = this.#state.isConnected
      ? codedError('ERR_CC_TIMEOUT', `the host did not answer within ${policy.timeout} ms; see option \`timeout\``)
      : codedError('ERR_CC_NO_HOST', noHostMessage(policy.timeout, this.#whyAbsent()));
    const isNews = this.#state.overdue(error);
    if (sent) this.#expectLateAnswer(id, pending);
    this.#fail(id, error, sent);
    if (isNews) this.#degrade(error);
    if (!this.#state.isConnected) this.#warn(error);
  }

  // --- without a host --------------------------------------------------------------------------------------------

  /** Ends request `id` without an answer; `sent`: the host may have carried it out. */
  #fail(id: number, error: Error, sent = false): void {
    const pending = this.#pending.take(id);
    if (!pending) return;
    const { operation, policy } = pending;
    const reason = sent && operation.writes ? unknownOutcome(error) : error;
    end(pending, fallback(reason, operation, policy));
  }

  #degrade(error: Error): void {
    this.#failure = error;
    this.#handles.announce((listener) => listener.degraded(error));
  }

  /** Why there is no host, as far as it is known. */
  #whyAbsent(): string | undefined {
    const missed = this.#native.whyMissed();
    return missed === null ? this.#noHostReason : `${missed}; ${this.#place?.remedy}`;
  }

  /** Tells the listener of a new user what the others have been told. */
  #catchUp(handle: Handle, listener: LinkListener): void {
    if (handle.users.has(listener) && this.#state.isDegraded && this.#failure) listener.degraded(this.#failure);
  }

  /** Warns that there is no host, if no user tells the application of it. */
  #warn(error: Error): void {
    const isSettled = () => !this.#state.isDegraded || this.#handles.isEmpty || this.#handles.isHeard;
    if (this.#place) warnOfAbsence(this.#place.name, error, isSettled);
  }

  #restore(): void {
    this.#handles.announce((listener) => listener.restored());
  }
}

/**
 * The function that native code calls. Native code keeps it until it is collected itself, so it must not keep the link,
 * which keeps native code.
 */
class Wake {
  drain = () => {};
  readonly function = () => this.drain();
}

/** Ends a waiting request. */
function end(pending: Pending, outcome: Outcome<unknown>): void {
  if ('error' in outcome) pending.fail(outcome.error);
  else pending.resolve(outcome.value as never);
}
