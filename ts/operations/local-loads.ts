/** Loads while there is no host to share them: one for each key in this JavaScript environment. */

import type { Link } from '../link/link.js';
import { encodeFor } from '../values/place.js';
import { decodeOwn } from '../values/copies.js';
import { whenAborted } from './abort.js';
import type { Target } from './recursion.js';

/** A load that is running. */
interface LocalLoad {
  readonly value: Promise<unknown>;
  /** That of the caller that loads. */
  readonly signal: AbortSignal | undefined;
}

const byLink = new WeakMap<Link, Map<string, LocalLoad>>();

/**
 * The value from `load`, or a copy of the one that another caller is loading. If that caller is aborted, the next one
 * loads. The values are not kept.
 */
export async function loadLocally<V>(
  target: Target,
  load: () => Promise<V | undefined>,
  signal: AbortSignal | undefined,
): Promise<V | undefined> {
  const loads = byLink.get(target.link) ?? new Map<string, LocalLoad>();
  byLink.set(target.link, loads);
  const name = JSON.stringify([target.namespace, target.key]);
  for (;;) {
    const other = loads.get(name);
    if (other === undefined) return await lead(loads, name, { value: load(), signal });
    try {
      const value = await unlessAborted(other.value, signal);
      return value === undefined ? undefined : (decodeOwn(encodeFor(value, { ...target, operation: 'fetch' })) as V);
    } catch (error) {
      if (signal?.aborted || !other.signal?.aborted) throw error;
    }
  }
}

async function lead<V>(loads: Map<string, LocalLoad>, name: string, load: LocalLoad): Promise<V> {
  loads.set(name, load);
  try {
    return (await load.value) as V;
  } finally {
    loads.delete(name);
  }
}

/** The outcome of `promise`, or a rejection with the reason of the signal as soon as that aborts. */
export async function unlessAborted<T>(promise: Promise<T> | T, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise;
  let stopListening = () => {};
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    stopListening = whenAborted(signal, () => reject(signal.reason as Error));
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stopListening();
  }
}
