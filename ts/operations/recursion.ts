/** Detects a load that would wait for itself: a fetcher that fetches its own key, directly or through other fetchers. */

import type { AsyncLocalStorage } from 'node:async_hooks';
import { codedError } from '../errors.js';
import type { Link } from '../link/link.js';
import { placed } from '../values/place.js';
import type { Key } from './entries.js';

/** What is loaded. */
export interface Target {
  readonly link: Link;
  readonly namespace: string | undefined;
  readonly key: Key;
}

/** A fetcher that was called. */
interface Run extends Target {
  /** The fetcher in which the fetch was called. */
  outer: Run | undefined;
  isOver: boolean;
}

let storage: AsyncLocalStorage<Run> | undefined;
/** Fetchers that run. */
let running = 0;

/** @throws `ERR_CC_RECURSIVE_FETCH` in a fetcher of the same target that is running, or what it has called. */
export function refuseRecursion({ link, namespace, key }: Target): void {
  for (let run = current(); run !== undefined; run = runningFrom(run.outer)) {
    if (run.link !== link || run.namespace !== namespace || run.key !== key) continue;
    const message =
      'the fetcher of this key fetches the same key, and would wait for itself; let it load the value without `fetch`';
    throw placed(codedError('ERR_CC_RECURSIVE_FETCH', message), { namespace, key, operation: 'fetch' });
  }
}

/**
 * Calls a fetcher. What it calls and awaits is recognized by the context that the engine carries along. Before Node.js 24
 * that slows down all promises of the process, so it is enabled only while a fetcher runs.
 */
export async function runFetcher<T>({ link, namespace, key }: Target, fetcher: () => T | Promise<T>): Promise<T> {
  storage ??= new (require('node:async_hooks') as typeof import('node:async_hooks')).AsyncLocalStorage<Run>();
  const outer = current();
  // Runs that are over are left out, so that a chain of loads that each begin the next one does not grow.
  if (outer) outer.outer = runningFrom(outer.outer);
  const run: Run = { link, namespace, key, outer, isOver: false };
  running += 1;
  try {
    return await storage.run(run, fetcher);
  } finally {
    run.isOver = true;
    running -= 1;
    if (running === 0) storage.disable();
  }
}

const current = (): Run | undefined => (running === 0 ? undefined : runningFrom(storage?.getStore()));

/** This run, or the one around it that is not over. */
function runningFrom(run: Run | undefined): Run | undefined {
  while (run?.isOver === true) run = run.outer;
  return run;
}
