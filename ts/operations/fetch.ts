/**
 * Loading once per cluster. The host answers a fetch with the value, with a lease (this caller loads), or later
 * with what another caller loaded.
 */

import { codedError } from '../errors.js';
import { isLinkFailure } from '../link/failures.js';
import { Form } from '../native.js';
import { DEFAULT_LEASE, checkCall, type FetchOptions } from '../options/calls.js';
import { decode } from '../values/codec.js';
import { encodeFor } from '../values/place.js';
import type { Encoded } from '../values/plain.js';
import { encodeError } from '../values/remote-error.js';
import { isOversize } from '../values/size.js';
import { whenAborted } from './abort.js';
import type { Key } from './entries.js';
import { completeLease, giveBack, type FetchContext } from './lease.js';
import { CANCEL_WAIT, FETCH, type Found } from './loading.js';

/** The second argument of a fetcher. */
export interface FetcherContext {
  /** Aborts when the caller's own signal does. */
  signal: AbortSignal;
}

/** Loads the value of a key. `undefined` is not stored. */
export type Fetcher<K, V> = (key: K, context: FetcherContext) => V | undefined | Promise<V | undefined>;

const OPTIONS = ['ttl', 'size', 'forceRefresh', 'lease', 'signal'] as const;

export async function fetchOnce<K extends string | number, V>(
  context: FetchContext,
  key: K,
  fetcher: Fetcher<K, V>,
  given?: FetchOptions,
): Promise<V | undefined> {
  if (typeof fetcher !== 'function') {
    throw codedError('ERR_CC_INVALID_ARGUMENT', '`fetcher` must be a function that loads the value');
  }
  const options = checkCall(given, OPTIONS);
  options.signal?.throwIfAborted();
  const near = options.forceRefresh ? undefined : context.near?.find(key);
  if (near !== undefined) return near as V;
  let found: Found;
  try {
    found = await find(context, key, options);
  } catch (error) {
    // A caller that waited when its instance was closed gets a value as the leader does, outside of the cache.
    if (context.leases.closed && codeOf(error) === 'ERR_CC_CLOSED') return await load(key, fetcher, options.signal);
    if (context.policy.failsafe === 'reject' || !isLinkFailure(error)) throw error;
    // Without a host the read is a miss like any other; the loaded value is for this caller only.
    return await load(key, fetcher, options.signal);
  }
  if ('thrown' in found) throw found.thrown;
  if ('value' in found) return found.value as V;
  return await lead(context, found.lease, key, fetcher, options);
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

function find(context: FetchContext, key: Key, options: FetchOptions): Promise<Found> {
  const { link, handle, policy } = context;
  const { forceRefresh = false, lease = DEFAULT_LEASE, signal } = options;
  const operation = { ...FETCH, onLateAnswer: (form: Form, lease: number) => returnLease(context, form, lease) };
  if (!forceRefresh) {
    const found = link.found(context.native, key, FETCH);
    if (found) return Promise.resolve(found);
  }
  const id = link.nextId();
  const found = link.ask(id, handle, operation, policy, key, forceRefresh, lease);
  return signal ? untilAborted(context, id, found, signal) : found;
}

/** The outcome of the fetch `id`, or a rejection with the reason of the signal. */
async function untilAborted<T>(context: FetchContext, id: number, found: Promise<T>, signal: AbortSignal): Promise<T> {
  const onAbort = () => {
    if (context.link.abandon(id, signal.reason)) cancelWait(context, id);
  };
  const stopListening = whenAborted(signal, onAbort);
  try {
    return await found;
  } finally {
    stopListening();
  }
}

/** Tells the host that no caller waits any more. An answer that is already on its way is handled when it arrives. */
function cancelWait({ link, handle, policy }: FetchContext, target: number): void {
  link.ask(link.nextId(), handle, CANCEL_WAIT, policy, target).then(
    (cancelled) => cancelled && link.disown(target),
    // Without a host there is no wait to cancel.
    () => {},
  );
}

/** Passes a lease that came too late for its caller on to the next waiter. */
function returnLease(context: FetchContext, form: Form, lease: number): void {
  if (form !== Form.Lease) return;
  // A lease that cannot be released passes on by itself after it has expired.
  giveBack(context, lease).catch(() => {});
}

/** Loads under a lease and tells the host how it ended. */
async function lead<K, V>(
  context: FetchContext,
  token: number,
  key: K,
  fetcher: Fetcher<K, V>,
  { ttl, size, signal }: FetchOptions,
): Promise<V | undefined> {
  const { leases } = context;
  leases.add(token);
  let loaded: Encoded | undefined;
  try {
    const value = await load(key, fetcher, signal);
    // Encoded here, so that a value that cannot be cached fails both for the leader and for its waiters.
    loaded = value === undefined ? undefined : encodeFor(value, { key, namespace: context.policy.namespace });
  } catch (error) {
    if (signal?.aborted) await giveBack(context, token);
    else await completeLease(context, token, { end: 'failed', error: encodeError(error) });
    throw error;
  }
  if (!loaded) await completeLease(context, token, { end: 'nothing' });
  // A value that is too large to store is also too large to pass to waiters: each caller loads its own.
  else if (isOversize(loaded)) await giveBack(context, token);
  else await completeLease(context, token, { end: 'value', value: loaded, keep: { ttl, size } });
  // A copy, as all other callers get: the leader must not see a richer object than its waiters.
  return loaded && (decodeOwn(loaded) as V);
}

/** Runs the fetcher; aborting the signal ends the wait for it at once. */
async function load<K, V>(key: K, fetcher: Fetcher<K, V>, signal?: AbortSignal): Promise<V | undefined> {
  if (!signal) return await fetcher(key, { signal: new AbortController().signal });
  signal.throwIfAborted();
  let stopListening = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stopListening = whenAborted(signal, () => reject(signal.reason as Error));
  });
  try {
    return await Promise.race([fetcher(key, { signal }), aborted]);
  } finally {
    stopListening();
  }
}

function decodeOwn({ form, payload }: Encoded): unknown {
  if (form === Form.Plain && Buffer.isBuffer(payload)) return Buffer.from(payload);
  if (form === Form.Bytes) return Uint8Array.from(payload as Uint8Array);
  return decode(form, payload);
}
