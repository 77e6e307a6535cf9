/**
 * Node's cluster module, if this process uses it. Loading it costs a fifth of loading this package, and it is of no use
 * in a process that is not a worker and has not loaded it.
 */

import type cluster from 'node:cluster';
import { subscribe } from 'node:diagnostics_channel';
import process from 'node:process';

/** Its name in Node's list of loaded modules. */
const NAME = 'NativeModule cluster';

let found: typeof cluster | undefined;

/**
 * The cluster module, if anything in this process uses it. A worker has loaded it before its own code runs; a primary
 * loads it before it forks.
 */
export function clusterInUse(): typeof cluster | undefined {
  if (!found && isInUse()) found = require('node:cluster') as typeof cluster;
  return found;
}

function isInUse(): boolean {
  if ('NODE_UNIQUE_ID' in process.env) return true;
  const { moduleLoadList: loaded } = process as unknown as { moduleLoadList?: unknown };
  // A context with globals of its own, as in some test runners, has a copy of `process` that is not kept up to date.
  return !Array.isArray(loaded) || hasOwnGlobals() || loaded.includes(NAME);
}

/** Whether this code runs in a context of its own: Node's functions belong to the thread's globals. */
export function hasOwnGlobals(): boolean {
  return Object.getPrototypeOf(subscribe) !== Function.prototype;
}
