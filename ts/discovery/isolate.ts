/**
 * Selects the store, in this process, of the caches that are opened here. An application has one store. Where a test
 * runner runs several test files in one process, each evaluation of this package has a store of its own, in an isolate
 * whose name no other file knows, so that independent files do not share a cache. Processes and threads that a file
 * starts belong to its isolate. The package's entry point ensures one evaluation per file, however often the file loads
 * the package.
 */

import process from 'node:process';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { hasOwnGlobals } from './cluster-module.js';
import { isScopeGiven, sharingRunner } from './environment.js';
import { native, type NativeIsolate } from '../native.js';
import { now } from '../time.js';

/** The key under which threads find the isolate of the file that started them. */
const NAME = 'clustered-cache.isolate';

/** The isolate of the process. */
const COMMON = '';

const runner = sharingRunner({
  env: process.env,
  isMainThread,
  script: process.argv[1],
  hasOwnGlobals: hasOwnGlobals(),
  hasVitestState: '__vitest_worker__' in globalThis,
});
// It only has to differ from all others in this process.
const own = runner === undefined ? inherited() : `${now()} ${Math.random()}`;
const isolates = new Map<string, NativeIsolate>();

/** The name of the isolate. An explicit scope replaces isolates: it alone decides which files share a cache. */
export function isolateName(): string {
  const name = isScopeGiven() ? COMMON : own;
  // For threads that are started from now on. Threads that a test runner starts set their own.
  if (runner !== undefined) setEnvironmentData(NAME, name === COMMON ? undefined : name);
  return name;
}

/** The isolate of a cache that is opened here now. */
export function isolate(): NativeIsolate {
  const name = isolateName();
  let found = isolates.get(name);
  if (!found) isolates.set(name, (found = new native.Isolate(name)));
  return found;
}

/** The isolate of the test file that started this thread. */
function inherited(): string {
  const name = isMainThread ? undefined : getEnvironmentData(NAME);
  return typeof name === 'string' ? name : COMMON;
}
