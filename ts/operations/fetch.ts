/**
 * Loading once per cluster. The host answers a fetch with the value, with a lease (this caller loads), or later
 * with what another caller loaded.
 */

import { codedError } from '../errors.js';
import { isLinkFailure, placeOf } from '../link/failures.js';
import { Form } from '../native.js';
import { DEFAULT_LEASE, checkCall, type FetchOptions } from '../options/calls.js';
import { decodeOwn } from '../values/copies.js';
import { encodeFor, placed } from '../values/place.js';
import type { Encoded } from '../values/plain.js';
import { encodeError } from '../values/remote-error.js';
import { isOversize } from '../values/size.js';
import { isUndecodable } from '../values/undecodable.js';
import { whenAborted } from './abort.js';
import { GET, type Key } from './entries.js';
import { completeLease, giveBack, type FetchContext } from './lease.js';
import { CANCEL_WAIT, FETCH, type Found } from './loading.js';
import { loadLocally, unlessAborted } from './local-loads.js';
import { refuseRecursion, runFetcher, type Target } from './recursion.js';

/** The second argument of a fetcher. */
export interface FetcherContext {
  /** Aborts when the caller's own signal does. */
  signal: AbortSignal;
}

/** Loads the value of a key. `undefined` is not stored. */
export type Fetcher<K, V> = (key: K, context: FetcherContext) => V | undefined | Promise<V | undefined>;

const OPTIONS = ['ttl', 'size', 'forceRefresh', 'lease', 'signal'] as const;

/** Loads a value once. A hit costs what one of `get` does: it is answered from memory, before anything else. */
export function fetchOnce<K extends string | number, V>(
  context: FetchContext,
  key: K,
  fetcher: Fetcher<K, V>,
  given?: FetchOptions,
): Promise<V | undefined> {
  let isLeftOut = false;
  let options: FetchOptions;
  try {
    if (typeof fetcher !== 'function') {
      throw codedError('ERR_CC_INVALID_ARGUMENT', '`fetcher` must be a function that loads the value');
    }
    options = checkCall(given, OPTIONS);
  } catch (error) {
    return Promise.reject(placed(error, placeOf(FETCH, context.policy, key)) as Error);
  }
  if (options.signal?.aborted) return Promise.reject(options.signal.reason as Error);
  if (!options.forceRefresh) {
    try {
      const hit = find(context, key);
      if (hit !== undefined) return Promise.resolve(hit as V);
    } catch (error) {
      if (!isUndecodable(error)) return Promise.reject(placed(error, placeOf(FETCH, context.policy, key)) as Error);
      context.policy.leftOut?.(key, error, 'fetch');
      isLeftOut = true;
    }
  }
  return miss(context, key, fetcher, options, isLeftOut);
}

/** What this process can read of the key without asking the host. */
function find({ near, link, native, policy }: FetchContext, key: Key): unknown {
  const kept = near?.find(key);
  if (kept !== undefined) return kept;
  near?.asking(key);
  return link.found(native, key, near?.get ?? GET, policy);
}

async function miss<K extends Key, V>(
  context: FetchContext,
  key: K,
  fetcher: Fetcher<K, V>,
  options: FetchOptions,
  isLeftOut: boolean,
): Promise<V | undefined> {
  const { link, policy } = context;
  const load: Load<K, V> = { context, target: { link, namespace: policy.namespace, key }, fetcher, options };
  refuseRecursion(load.target);
  return await (isLeftOut ? reload(load) : request(load, options.forceRefresh === true, alone));
}

/** One call of `fetch` that memory has not answered. */
interface Load<K extends Key, V> {
  readonly context: FetchContext;
  readonly target: Target & { readonly key: K };
  readonly fetcher: Fetcher<K, V>;
  readonly options: FetchOptions;
}

/** Loads for the callers in this process only. */
const alone = <K extends Key, V>({ target, fetcher, options: { signal } }: Load<K, V>): Promise<V | undefined> =>
  loadLocally(target, () => run(target, fetcher, signal), signal);

/** Replaces an entry that cannot be decoded. Forced loads are not shared by the host, so they are here. */
function reload<K extends Key, V>(load: Load<K, V>): Promise<V | undefined> {
  const { target, fetcher, options } = load;
  const within = () => run(target, fetcher, options.signal);
  return loadLocally(target, () => request(load, true, within), options.signal);
}

/** Asks the host. Where that cannot help, `instead` loads. */
async function request<K extends Key, V>(
  load: Load<K, V>,
  force: boolean,
  instead: (load: Load<K, V>) => Promise<V | undefined>,
): Promise<V | undefined> {
  const { context, target, fetcher, options } = load;
  let found: Found;
  try {
    found = await ask(context, target.key, force, options);
  } catch (error) {
    // A caller that waited when its instance was closed gets a value as the leader does, outside of the cache. Without a
    // host the read is a miss like any other.
    const isClosed = context.leases.closed && codeOf(error) === 'ERR_CC_CLOSED';
    if (!isClosed && (context.policy.failsafe === 'reject' || !isLinkFailure(error))) throw error;
    return await instead(load);
  }
  if ('thrown' in found) throw found.thrown;
  if ('value' in found) return found.value as V;
  if ('lease' in found) return await lead(context, found.lease, target, fetcher, options);
  // What another process has loaded under force cannot be decoded here either.
  if (force) return await instead(load);
  context.policy.leftOut?.(target.key, found.undecodable, 'fetch');
  return await reload(load);
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | undefined)?.code;
}

/** Asks the host for the value, or for the lease to load it. */
function ask(context: FetchContext, key: Key, force: boolean, options: FetchOptions): Promise<Found> {
  const { link, handle, policy } = context;
  const { lease = DEFAULT_LEASE, signal } = options;
  const operation = { ...FETCH, onLateAnswer: (form: Form, lease: number) => returnLease(context, form, lease) };
  const id = link.nextId();
  const found = link.ask(id, handle, operation, policy, key, force, lease);
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
async function lead<K extends Key, V>(
  context: FetchContext,
  token: number,
  target: Target & { key: K },
  fetcher: Fetcher<K, V>,
  { ttl, size, signal }: FetchOptions,
): Promise<V | undefined> {
  const { leases } = context;
  leases.add(token);
  let loaded: Encoded | undefined;
  try {
    const value = await run(target, fetcher, signal);
    // Encoded here, so that a value that cannot be cached fails both for the leader and for its waiters.
    loaded = value === undefined ? undefined : encodeFor(value, placeOf(FETCH, context.policy, target.key));
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
async function run<K extends Key, V>(
  target: Target & { key: K },
  fetcher: Fetcher<K, V>,
  signal: AbortSignal | undefined,
): Promise<V | undefined> {
  signal?.throwIfAborted();
  const context = { signal: signal ?? new AbortController().signal };
  return await unlessAborted(
    runFetcher(target, () => fetcher(target.key, context)),
    signal,
  );
}
