/**
 * Loading once per cluster. The host answers a fetch with the value, with a lease (this caller loads), or later
 * with what another caller loaded.
 */

import { asValue, type Read } from './answers.js';
import { decode, encode } from '../values/codec.js';
import type { Encoded } from '../values/plain.js';
import { Form, LoadEnd } from '../native.js';
import { giveBack, settleLease, type FetchContext } from './lease.js';
import { isLinkFailure } from '../link/failures.js';
import { REJECT, type Operation } from './operation.js';
import { DEFAULT_LEASE, checkCall, type FetchOptions } from '../options/calls.js';
import { isOversize } from './batches.js';
import { CANCEL_WAIT } from './table.js';
import { codedError } from '../errors.js';
import { packError, unpackError } from '../values/remote-error.js';

/** What a fetcher gets besides the key. */
export interface FetcherContext {
  /** Aborts when the caller's own signal does. */
  signal: AbortSignal;
}

/** Loads the value of a key. `undefined` is not stored. */
export type Fetcher<K, V> = (key: K, context: FetcherContext) => V | undefined | Promise<V | undefined>;

/** `thrown` is what another caller's fetcher threw; it is told apart from failures on the way to the host. */
type Found = { lease: number } | { value: unknown } | { thrown: unknown };

const readFound: Read<Found> = (form, value, numbers, at) => {
  if (form === Form.Lease) return { lease: numbers[at] as number };
  if (form === Form.Failed) {
    const [errorForm, packed] = value as [Form, unknown];
    return { thrown: unpackError(decode(errorForm, packed)) };
  }
  return { value: asValue(form, value, numbers, at) };
};

/** It may take a lease, but a lost lease frees itself: nothing is unknown about its outcome. */
const FETCH: Operation<Found> = { read: readFound, degraded: REJECT, writes: false };

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
    if (context.policy.failsafe === 'reject' || !isLinkFailure(error)) throw error;
    // Without a host the read is a miss like any other; its value is nobody else's.
    return await load(key, fetcher, options.signal);
  }
  if ('thrown' in found) throw found.thrown;
  if ('value' in found) return found.value as V;
  return await lead(context, found.lease, key, fetcher, options);
}

async function find(context: FetchContext, key: unknown, options: FetchOptions): Promise<Found> {
  const { link, native, policy } = context;
  const { forceRefresh = false, lease = DEFAULT_LEASE, signal } = options;
  const id = link.nextId();
  const operation = { ...FETCH, orphaned: (form: Form, lease: number) => returnLease(context, form, lease) };
  const found = link.outcome(id, native.fetch(id, key, forceRefresh, lease), operation, policy);
  if (!signal) return await found;
  const onAbort = () => {
    if (link.abandon(id, signal.reason)) cancelWait(context, id);
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await found;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Tells the host that nobody waits any more. If the answer is on its way already, it is taken when it comes. */
function cancelWait({ link, native, policy }: FetchContext, target: number): void {
  const id = link.nextId();
  link.outcome(id, native.cancelWait(id, target), CANCEL_WAIT, policy).then(
    (cancelled) => cancelled && link.disown(target),
    // Without a host there is no wait left to cancel.
    () => {},
  );
}

/** A lease that came too late for its caller goes to the next in line. */
function returnLease(context: FetchContext, form: Form, lease: number): void {
  if (form !== Form.Lease) return;
  // A lease that cannot be given back passes on by itself when its time is over.
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
    // Encoded here, so that a value that cannot be cached fails for the leader and its waiters alike.
    loaded = value === undefined ? undefined : encode(value);
  } catch (error) {
    if (signal?.aborted) await giveBack(context, token);
    else await settleLease(context, token, LoadEnd.Failed, encode(packError(error)));
    throw error;
  }
  if (!loaded) await settleLease(context, token, LoadEnd.Nothing);
  // What is too large to be stored is too large to be handed on: each caller loads its own.
  else if (isOversize(loaded)) await giveBack(context, token);
  else await settleLease(context, token, LoadEnd.Value, loaded, ttl, size);
  // A copy, as everybody else gets: the leader must not see a richer object than its waiters.
  return loaded && (decodeOwn(loaded) as V);
}

/** Runs the fetcher; an abort of the signal ends the wait for it at once. */
async function load<K, V>(key: K, fetcher: Fetcher<K, V>, signal?: AbortSignal): Promise<V | undefined> {
  if (!signal) return await fetcher(key, { signal: new AbortController().signal });
  signal.throwIfAborted();
  let stopListening = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    stopListening = () => signal.removeEventListener('abort', onAbort);
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
