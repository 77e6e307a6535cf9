/**
 * One JavaScript environment's way to a store. Requests are numbered here, kept until they are answered, and ended
 * by a deadline or by the loss of the host; native code carries them.
 */

import { answeredError } from '../operations/answers.js';
import { REJECT, type Operation, type Policy } from '../operations/operation.js';
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
import { Form, LinkChange, MANY, Sharing, native, translated, type NativeCache, type NativeLink } from '../native.js';
import { NearRegistry } from '../near/registry.js';
import { Pending, PendingRequests } from './pending.js';
import { isolate } from '../discovery/isolate.js';
import { shapeTable } from '../values/shapes.js';
import { TurnBatch } from './batching.js';

const log = debug('link');

/** Ids from here on are native code's own: it opens namespaces again after a reconnect. */
const REOPEN_BASE = 2 ** 52;

/** Where in the register the forms of many values are. */
const FORMS = 9;
/** Where in the register a batch of answers begins; in front is the place of immediate ones. */
const BATCH = FORMS + MANY;
/** Answers taken from native code at a time, and the numbers of each: id, form and three that go with it. */
const ANSWERS = 512;
const ANSWER_NUMBERS = 5;

/** Who wants to hear of the link. */
export interface LinkListener {
  degraded(error: Error): void;
  restored(): void;
  epoch(epoch: number): void;
  /** The answer to opening the namespace again after a reconnect. */
  reopened(error: Error | undefined): void;
}

/** The question whether the host still lives, asked while fetches wait for a load. */
const PROBE: Operation<unknown> = { read: (_form, answer) => answer, degraded: REJECT, writes: false };

export class Link {
  readonly isHost: boolean;
  readonly #native: NativeLink;
  /** Native code writes here what needs no JavaScript value; see `src/answer.rs` and `src/link.rs`. */
  readonly #register = new Float64Array(BATCH + 1 + ANSWERS * ANSWER_NUMBERS);
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
  readonly #batch = new TurnBatch(
    () => this.#native.flush(),
    (first, by) => this.#pending.postpone(first, by),
  );
  #isDraining = false;
  #isConnected = false;
  #hasConnected = false;
  /** Why there is no host, as far as it is known. */
  #reason: string | undefined;
  /** Nobody has told where the host is, for longer than the grace time: until somebody does, requests fail at once. */
  #away: Error | undefined;
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
    this.#grace = grace;
    this.#graceEnd = performance.now() + grace;
    this.#onIdle = onIdle;
    const wake = () => this.#drain();
    this.#native = translated(() =>
      this.isHost
        ? native.Link.host(wake, this.#register, shapeTable, isolate())
        : native.Link.client(wake, this.#register, shapeTable, grace, share, elected),
    );
  }

  /** A native cache on this link, for an instance of `namespace`. */
  attach(namespace: string, listener: LinkListener): { cache: NativeCache; handle: number; nears: NearRegistry } {
    const handle = this.#freeHandles.pop() ?? ++this.#lastHandle;
    const cache = new native.ClusteredCache(this.#native, handle) as NativeCache;
    cache.accelerate();
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
      this.#native.forget(id);
      this.#fail(id, error);
    }
    this.#degrade(error);
  }

  /** A number for the next request; numbers grow, so that a late answer can never meet another request. */
  nextId(): number {
    return ++this.#lastId;
  }

  /** The outcome of request `id`, given native code's immediate answer. */
  outcome<T>(id: number, value: unknown, operation: Operation<T>, policy: Policy, holds = true): Promise<T> {
    const form = this.#register[0] as Form;
    if (form === Form.Pending || form === Form.Waiting) {
      if (this.#away) {
        this.#native.forget(id);
        return withoutHost(this.#away, operation, policy);
      }
      return new Promise<T>((resolve, reject) => {
        this.#keep(new Pending(id, operation, policy, resolve as never, reject, holds));
        if (form === Form.Waiting) this.#wait(id);
      });
    }
    try {
      if (form !== Form.Error) return Promise.resolve(operation.read(form, value, this.#register, 1));
      return withoutHost(answeredError(value), operation, policy);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** The outcome of a request that native code has answered at once. */
  immediate<T>(value: unknown, operation: Operation<T>, policy: Policy): T {
    const form = this.#register[0] as Form;
    if (form === Form.Error) return settle(fallback(answeredError(value), operation, policy));
    return operation.read(form, value, this.#register, 1);
  }

  /** Adds the values of `keys` that `cache` has at hand to `values`, in order, and returns the other keys. */
  readMany<K>(cache: NativeCache, keys: K[], values: Map<K, unknown>, { read }: Operation<unknown>): K[] {
    const left: K[] = [];
    for (let from = 0; from < keys.length; from += MANY) {
      const some = keys.length <= MANY ? keys : keys.slice(from, from + MANY);
      const found = cache.readMany(gather, ...some);
      for (let index = 0; index < some.length; index++) {
        const key = some[index] as K;
        const form = this.#register[FORMS + index] as Form;
        if (form === Form.Pending) left.push(key);
        values.set(key, form === Form.Pending ? undefined : read(form, found[index], this.#register, FORMS + index));
      }
    }
    return left;
  }

  /** Before a read at once: a caller that gives the event loop no turn learns here that there is a host again. */
  catchUp(): void {
    if (!this.#isConnected && !this.isHost) this.#drain();
  }

  /** Whether native code has just said that the answer comes later. */
  get isPending(): boolean {
    return this.#register[0] === Form.Pending;
  }

  /**
   * The outcome of the pending read `id` of `cache`, before this returns. Where memory cannot answer for the moment, the
   * host is asked and this thread waits; where it never can, `refusal` is thrown.
   */
  awaited<T>(id: number, operation: Operation<T>, policy: Policy, cache: NativeCache, refusal: () => Error): T {
    if (this.#isConnected && cache.sharing() !== Sharing.Without) return this.#block(id, operation, policy);
    this.#native.forget(id);
    if (this.#away) return settle(fallback(this.#away, operation, policy));
    if (this.#isConnected || !this.#hasConnected) throw refusal();
    const reason = codedError('ERR_CC_DISCONNECTED', 'the connection to the host is lost; it is restored by itself');
    return settle(fallback(reason, operation, policy));
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
    for (const nears of this.#nears.values()) nears.report();
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
      const count = register[BATCH] as number;
      const end = BATCH + 1 + count * ANSWER_NUMBERS;
      let used = 0;
      for (let at = BATCH + 1; at < end; at += ANSWER_NUMBERS) {
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
      if (form === Form.Error) pending.reject(answeredError(value));
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
    const [cache] = this.#caches.values();
    if (this.#isProbing || !cache) return;
    this.#isProbing = true;
    const id = this.nextId();
    this.outcome(id, cache.ping(id), PROBE, { timeout: policy.timeout, failsafe: 'reject' })
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
    const sent = this.#native.forget(id);
    const error = this.#isConnected
      ? codedError('ERR_CC_TIMEOUT', `the host did not answer within ${policy.timeout} ms; see option \`timeout\``)
      : codedError('ERR_CC_NO_HOST', noHostMessage(policy.timeout, this.#reason));
    if (!this.#isConnected && performance.now() >= this.#graceEnd) this.#away = error;
    if (sent) this.#orphan(id, pending);
    this.#fail(id, error, sent);
    this.#degrade(error);
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

const gather = (...values: unknown[]) => values;

/** Forms whose answers have a value besides their numbers, by number; records have one too. */
const HAS_VALUE: boolean[] = [];
for (const form of [Form.Plain, Form.Json, Form.V8, Form.Error, Form.List, Form.Failed]) HAS_VALUE[form] = true;
