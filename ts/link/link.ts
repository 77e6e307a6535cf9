/**
 * One JavaScript environment's way to a store. Requests are numbered here, kept until they are answered, and ended
 * by a deadline or by the loss of the host; native code carries them.
 */

import { answeredError } from '../operations/answers.js';
import { HOST, PING_HOST } from '../operations/host.js';
import type { Operation, Policy, Settling } from '../operations/operation.js';
import { debug } from '../debug.js';
import { codedError, fromNative, knownCode } from '../errors.js';
import {
  fallback,
  isLinkFailure,
  noHostMessage,
  settle,
  unknownOutcome,
  withoutHost,
  type Outcome,
} from './failures.js';
import { Form, LinkChange, Sharing, native, translated, type NativeCache, type NativeLink } from '../native.js';
import { NearRegistry } from '../near/registry.js';
import { Pending, PendingRequests } from './pending.js';
import { isolate } from '../discovery/isolate.js';
import { shapeTable } from '../values/shapes.js';
import { FrameWriter } from '../wire/frames.js';
import { TurnBatch } from './batching.js';

const log = debug('link');

const { ANSWER_NUMBERS, MAX_READ_MANY, REGISTER_BATCH, REGISTER_FORMS, REOPEN_BASE } = native;

/** Answers taken from native code at a time. */
const ANSWERS = 512;
/** Frames of so many bytes are taken over before the end of the turn: their memory is used again. */
const MUCH = 256 * 1024;

/** Who wants to hear of the link. */
export interface LinkListener {
  degraded(error: Error): void;
  restored(): void;
  epoch(epoch: number): void;
  /** The answer to opening the namespace again after a reconnect. */
  reopened(error: Error | undefined): void;
}

export class Link {
  readonly isHost: boolean;
  readonly #native: NativeLink;
  /** Native code writes here what needs no JavaScript value; see `src/answer.rs` and `src/link.rs`. */
  readonly #register = new Float64Array(REGISTER_BATCH + 1 + ANSWERS * ANSWER_NUMBERS);
  readonly #pending: PendingRequests;
  /** Requests whose callers have given up, but whose answers matter to others. */
  readonly #orphans = new Map<number, (form: Form, number: number) => void>();
  readonly #listeners = new Map<number, LinkListener>();
  readonly #caches = new Map<number, NativeCache>();
  /** By namespace. */
  readonly #nears = new Map<string, NearRegistry>();
  #lastId = 0;
  #lastHandle = 0;
  /** Numbers that the host knows to be free: native code keeps a place for each number there ever was. */
  readonly #freeHandles: number[] = [];
  /** Requests that were written and that native code has not taken over yet. */
  readonly #frames = new FrameWriter();
  readonly #batch = new TurnBatch(
    () => this.#send(),
    (first, by) => this.#pending.postpone(first, by),
  );
  /** Reads may be answered from memory. */
  readonly canRead: boolean;
  #isDraining = false;
  #isConnected = false;
  #hasConnected = false;
  /** Why there is no host, as far as it is known. */
  #reason: string | undefined;
  /** Nobody has told where the host is, for longer than the grace time: until somebody does, requests fail at once. */
  #away: Error | undefined;
  /** Native code has given up for now: requests fail at once, until there is a host. */
  #unreachable: Error | undefined;
  /** How long requests wait for a host, and until when they do now, in ms of `performance.now()`. */
  readonly #grace: number;
  #graceEnd: number;
  #isDegraded = false;
  #isProbing = false;
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
    this.canRead = this.isHost || share;
    this.#grace = grace;
    this.#graceEnd = performance.now() + grace;
    this.#onIdle = onIdle;
    const wake = () => this.#drain();
    this.#native = translated(() =>
      this.isHost
        ? native.Link.host(wake, this.#register, shapeTable, isolate())
        : native.Link.client(wake, this.#register, shapeTable, grace, share, elected),
    ) as NativeLink;
    this.#native.defineSubmit();
  }

  /** A native cache on this link, for an instance of `namespace`. */
  attach(namespace: string, listener: LinkListener): { cache: NativeCache; handle: number; nears: NearRegistry } {
    const handle = this.#freeHandles.pop() ?? ++this.#lastHandle;
    const cache = new native.ClusteredCache(this.#native, handle) as NativeCache;
    cache.defineReads();
    this.#listeners.set(handle, listener);
    this.#caches.set(handle, cache);
    const nears = this.#nears.get(namespace) ?? new NearRegistry();
    nears.instances += 1;
    this.#nears.set(namespace, nears);
    return { cache, handle, nears };
  }

  /**
   * Ends the use that {@link attach} began. With `isReleased` the host has said that it knows the handle no more, so that
   * no answer to its former user is on its way.
   */
  detach(handle: number, namespace: string, isReleased: boolean): void {
    this.#listeners.delete(handle);
    if (!this.#caches.delete(handle)) return;
    if (isReleased) this.#freeHandles.push(handle);
    const nears = this.#nears.get(namespace);
    if (nears && (nears.instances -= 1) === 0) this.#nears.delete(namespace);
    if (this.#caches.size > 0 || this.isHost) return;
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
    this.#reason = reason;
  }

  /** Tells that there is a host that may not be connected to: until it may, nobody waits for it. */
  refuse(error: Error): void {
    this.#away = error;
    for (const { id } of this.#pending.all()) {
      this.#forget(id);
      this.#fail(id, error);
    }
    this.#degrade(error);
  }

  /** A number for the next request; numbers grow, so that a late answer can never meet another request. */
  nextId(): number {
    return ++this.#lastId;
  }

  // --- asking ------------------------------------------------------------------------------------------------------

  /**
   * Asks `operation` through `handle`, as request `id`. The host in this process answers at once; else the request is
   * sent at the end of the turn. With `holds` the process stays alive until it is answered.
   */
  ask<T, A extends readonly unknown[]>(
    id: number,
    handle: number,
    operation: Operation<T, A>,
    policy: Policy,
    first?: A[0],
    second?: A[1],
    third?: A[2],
    holds = true,
  ): Promise<T> {
    try {
      this.#write(id, handle, operation, first, second, third);
      if (this.isHost) return this.outcome(id, this.#submit(), operation, policy, holds);
      if (this.#away) return this.#unasked(this.#away, operation, policy);
      return this.#promise(id, operation, policy, holds);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** As {@link ask}, in the host alone, which answers before this returns. */
  askNow<T, A extends readonly unknown[]>(
    handle: number,
    operation: Operation<T, A>,
    policy: Policy,
    first?: A[0],
    second?: A[1],
    third?: A[2],
  ): T {
    this.#write(this.nextId(), handle, operation, first, second, third);
    return this.immediate(this.#submit(), operation, policy);
  }

  /** Tells something that wants no answer. It goes out with the next {@link flush}. */
  tell<A extends readonly unknown[]>(
    handle: number,
    operation: Operation<unknown, A>,
    first: A[0],
    second: A[1],
  ): void {
    this.#write(0, handle, operation, first, second);
    if (this.isHost) this.#submit();
  }

  /** What `find` says of the key, if memory can answer it. */
  found<T>(cache: NativeCache, key: unknown, operation: Settling<T>): T | undefined {
    if (!this.canRead) return undefined;
    this.takeOver();
    const value = cache.find(key);
    const form = this.#register[0] as Form;
    if (form === Form.Pending) return undefined;
    if (form === Form.Error) throw answeredError(value);
    return operation.read(form, value, this.#register, 1);
  }

  /** Hands what was written to native code: before it does anything else, so that requests keep their order. */
  takeOver(): void {
    if (this.#frames.length > 0) this.#submit();
  }

  #write<T, A extends readonly unknown[]>(
    id: number,
    handle: number,
    operation: Operation<T, A>,
    first?: A[0],
    second?: A[1],
    third?: A[2],
  ): void {
    const frames = this.#frames;
    frames.begin(id, handle);
    try {
      const write = operation.write as (...args: unknown[]) => void;
      write(frames, first, second, third);
      frames.end(operation.number, operation.since);
    } catch (error) {
      frames.abort();
      throw error;
    }
  }

  /** Native code takes over what was written; the host answers the last request at once. */
  #submit(): unknown {
    const frames = this.#frames;
    try {
      return this.#native.submit(frames.bytes, frames.length);
    } finally {
      frames.clear();
    }
  }

  #send(): void {
    this.takeOver();
    this.#native.flush();
  }

  /** The outcome of a request that is not sent, for nobody can be asked. */
  #unasked<T>(error: Error, operation: Settling<T>, policy: Policy): Promise<T> {
    this.#frames.clear();
    return withoutHost(error, operation, policy);
  }

  #promise<T>(id: number, operation: Settling<T>, policy: Policy, holds: boolean): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#keep(new Pending(id, operation, policy, resolve as never, reject, holds));
    });
  }

  /** The outcome of request `id`, given native code's immediate answer. */
  outcome<T>(id: number, value: unknown, operation: Settling<T>, policy: Policy, holds = true): Promise<T> {
    const form = this.#register[0] as Form;
    if (form === Form.Pending || form === Form.Waiting) {
      if (this.#away) {
        this.#forget(id);
        return withoutHost(this.#away, operation, policy);
      }
      const outcome = this.#promise(id, operation, policy, holds);
      if (form === Form.Waiting) this.#wait(id);
      return outcome;
    }
    return this.settled(value, operation, policy);
  }

  /** The outcome of a request that native code has answered at once, for a caller that awaits it. */
  settled<T>(value: unknown, operation: Settling<T>, policy: Policy): Promise<T> {
    const form = this.#register[0] as Form;
    try {
      if (form !== Form.Error) return Promise.resolve(operation.read(form, value, this.#register, 1));
      return withoutHost(answeredError(value), operation, policy);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** The outcome of a request that native code has answered at once. */
  immediate<T>(value: unknown, operation: Settling<T>, policy: Policy): T {
    const form = this.#register[0] as Form;
    if (form === Form.Error) return settle(fallback(answeredError(value), operation, policy));
    return operation.read(form, value, this.#register, 1);
  }

  /** Adds the values of `keys` that `cache` has at hand to `values`, in order, and returns the other keys. */
  readMany<K>(cache: NativeCache, keys: K[], values: Map<K, unknown>, { read }: Settling<unknown>): K[] {
    if (!this.canRead) return keys;
    this.takeOver();
    const left: K[] = [];
    for (let from = 0; from < keys.length; from += MAX_READ_MANY) {
      const some = keys.length <= MAX_READ_MANY ? keys : keys.slice(from, from + MAX_READ_MANY);
      const found = cache.readMany(gather, ...some);
      for (let index = 0; index < some.length; index++) {
        const key = some[index] as K;
        const form = this.#register[REGISTER_FORMS + index] as Form;
        if (form === Form.Pending) left.push(key);
        values.set(
          key,
          form === Form.Pending ? undefined : read(form, found[index], this.#register, REGISTER_FORMS + index),
        );
      }
    }
    return left;
  }

  /**
   * Before a read at once: a caller that gives the event loop no turn learns here that there is a host again, and reads
   * what it has written.
   */
  catchUp(): void {
    if (!this.#isConnected && !this.isHost) this.#drain();
    this.takeOver();
  }

  /** Whether native code has just said that the answer comes later. */
  get isPending(): boolean {
    return this.#register[0] === Form.Pending;
  }

  /**
   * The outcome of a read of `cache` that memory cannot answer for the moment, before this returns: the host is asked and
   * this thread waits. Where memory never can, `refusal` is thrown.
   */
  awaited<T, K>(
    handle: number,
    operation: Operation<T, [key: K]>,
    key: K,
    policy: Policy,
    cache: NativeCache,
    refusal: () => Error,
  ): T {
    if (this.#isConnected && cache.sharing() !== Sharing.Without) {
      const id = this.nextId();
      this.#write(id, handle, operation, key);
      return this.#block(id, operation, policy);
    }
    const away = this.#away ?? this.#unreachable;
    if (away) return settle(fallback(away, operation, policy));
    if (this.#isConnected || !this.#hasConnected) throw refusal();
    const reason = codedError('ERR_CC_DISCONNECTED', 'the connection to the host is lost; it is restored by itself');
    return settle(fallback(reason, operation, policy));
  }

  #block<T>(id: number, operation: Settling<T>, policy: Policy): T {
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
    for (const nears of this.#nears.values()) nears.report();
    this.takeOver();
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
    if (this.#frames.length > MUCH) this.takeOver();
    if (!this.#batch.isFull) return;
    this.#batch.end();
    // In the midst of answers the others are next anyway.
    if (!this.#isDraining) this.#drain();
  }

  // --- receiving -------------------------------------------------------------------------------------------------

  #drain(): void {
    this.#isDraining = true;
    try {
      this.#readAll();
    } catch (error) {
      // What has arrived cannot be told: nobody knows to whom it would have been an answer.
      const failure = fromNative(error) as Error;
      for (const { id } of this.#pending.all()) this.#fail(id, failure, true);
    } finally {
      this.#isDraining = false;
    }
  }

  #readAll(): void {
    const register = this.#register;
    for (;;) {
      const values = this.#native.drain();
      const count = register[REGISTER_BATCH] as number;
      const end = REGISTER_BATCH + 1 + count * ANSWER_NUMBERS;
      let used = 0;
      for (let at = REGISTER_BATCH + 1; at < end; at += ANSWER_NUMBERS) {
        const form = register[at + 1] as Form;
        const hasValue = form >= Form.Record || HAS_VALUE[form] || register[at] === 0;
        const value = hasValue ? values[used++] : undefined;
        this.#onAnswer(register[at] as number, form, value, register, at + 2);
      }
      if (count < ANSWERS) return;
    }
  }

  #onAnswer(id: number, form: Form, value: unknown, numbers: Float64Array, at: number): void {
    if (id === 0) return this.#onChange(form as number, value as unknown[]);
    if (id >= REOPEN_BASE) return this.#onReopened(id - REOPEN_BASE, form, value);
    if (form === Form.Waiting) return this.#wait(id);
    if (this.#isDegraded) this.#restore();
    const pending = this.#pending.take(id);
    if (!pending) return this.#onOrphan(id, form, numbers[at] as number);
    try {
      if (form === Form.Error) end(pending, fallback(answeredError(value), pending.operation, pending.policy));
      else pending.resolve(pending.operation.read(form, value, numbers, at) as never);
    } catch (error) {
      pending.reject(error);
    }
  }

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
    this.#listeners.get(handle)?.reopened(form === Form.Error ? answeredError(answer) : undefined);
  }

  #onChange(change: number, details: unknown[]): void {
    if (change === LinkChange.Connected) {
      const [epoch, changed] = details as [number, boolean];
      log('connected, epoch %d', epoch);
      this.#isConnected = true;
      this.#hasConnected = true;
      this.#away = undefined;
      this.#unreachable = undefined;
      if (this.#isDegraded) this.#restore();
      if (changed) this.#announce((listener) => listener.epoch(epoch));
      return;
    }
    if (this.#isConnected) this.#graceEnd = performance.now() + this.#grace;
    this.#isConnected = false;
    this.#orphans.clear();
    const [through, code, message] = details as [number, string, string];
    log('%s: %s', change === LinkChange.Lost ? 'lost' : 'unreachable', message);
    const error = codedError(knownCode(code), message);
    if (change === LinkChange.Unreachable) this.#unreachable = error;
    for (const { id } of this.#pending.all()) {
      if (id <= through) this.#fail(id, error, change === LinkChange.Lost);
    }
    this.#degrade(error);
  }

  // --- deadlines -------------------------------------------------------------------------------------------------

  #wait(id: number): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    pending.waits = true;
    if (this.isHost) pending.deadline = Infinity;
  }

  /** Asks the host for a sign of life; without one all waits end. One question at a time for all of them. */
  #probe(policy: Policy): void {
    if (this.#isProbing) return;
    this.#isProbing = true;
    this.ask(this.nextId(), HOST, PING_HOST, { timeout: policy.timeout, failsafe: 'reject' })
      .catch((error: Error) => {
        // A refusal is a sign of life too.
        if (!isLinkFailure(error)) return;
        for (const { id, waits } of this.#pending.all()) if (waits) this.#fail(id, error);
      })
      .finally(() => (this.#isProbing = false));
  }

  #expire(pending: Pending): void {
    const { id, policy } = pending;
    if (pending.waits) {
      pending.deadline = performance.now() + policy.timeout;
      this.#pending.arm(pending.deadline);
      return this.#probe(policy);
    }
    const sent = this.#forget(id);
    const error = this.#isConnected
      ? codedError('ERR_CC_TIMEOUT', `the host did not answer within ${policy.timeout} ms; see option \`timeout\``)
      : codedError('ERR_CC_NO_HOST', noHostMessage(policy.timeout, this.#reason));
    if (!this.#isConnected && performance.now() >= this.#graceEnd) this.#away = error;
    if (sent) this.#orphan(id, pending);
    this.#fail(id, error, sent);
    this.#degrade(error);
  }

  // --- without a host --------------------------------------------------------------------------------------------

  /** No caller waits for request `id` any more. `true` when the host may have carried it out. */
  #forget(id: number): boolean {
    this.takeOver();
    return this.#native.forget(id);
  }

  /** Ends request `id` without an answer; `sent` when the host may have carried it out. */
  #fail(id: number, error: Error, sent = false): void {
    const pending = this.#pending.take(id);
    if (!pending) return;
    const { operation, policy } = pending;
    const reason = sent && operation.writes ? unknownOutcome(error) : error;
    end(pending, fallback(reason, operation, policy));
  }

  #degrade(error: Error): void {
    if (this.#isDegraded) return;
    this.#isDegraded = true;
    this.#announce((listener) => listener.degraded(error));
  }

  #restore(): void {
    this.#isDegraded = false;
    this.#announce((listener) => listener.restored());
  }

  #announce(tell: (listener: LinkListener) => void): void {
    for (const listener of [...this.#listeners.values()]) tell(listener);
  }
}

/** Ends a request that waits. */
function end(pending: Pending, outcome: Outcome<unknown>): void {
  if ('error' in outcome) pending.reject(outcome.error);
  else pending.resolve(outcome.value as never);
}

const gather = (...values: unknown[]) => values;

/** Forms whose answers have a value besides their numbers, by number; records have one too. */
const HAS_VALUE: boolean[] = [];
for (const form of [Form.Plain, Form.Json, Form.V8, Form.Error, Form.List, Form.Failed]) HAS_VALUE[form] = true;
