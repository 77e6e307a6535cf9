/**
 * Which of this process's stores the caches that are opened here have. An application has one. Where a test runner runs
 * several test files in one process, each evaluation of this package has another one, in an isolate that nobody else can name:
 * files that know nothing of each other do not meet. What a file starts itself is of its isolate. The entrance sees to it that there is
 * one evaluation in a file, however often it loads the package.
 */

import process from 'node:process';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { hasOwnGlobals } from './cluster-module.js';
import { isScopeGiven, sharingRunner } from './environment.js';
import { native, type NativeIsolate } from '../native.js';

/** Under which threads find the isolate of the file that started them. */
const NAME = 'clustered-cache.isolate';

/** That of the process. */
const COMMON = '';

const runner = sharingRunner({
  env: process.env,
  isMainThread,
  script: process.argv[1],
  hasOwnGlobals: hasOwnGlobals(),
  hasVitestState: '__vitest_worker__' in globalThis,
});
// Another one than any in this process, which is all it has to be.
const own = runner === undefined ? inherited() : `${performance.now()} ${Math.random()}`;
const isolates = new Map<string, NativeIsolate>();

/** The name of the isolate. Whoever sets a scope says himself who meets whom. */
export function isolateName(): string {
  const name = isScopeGiven() ? COMMON : own;
  // For threads that are started from now on. Those of a runner know better.
  if (runner !== undefined) setEnvironmentData(NAME, name === COMMON ? undefined : name);
  return name;
}

/** The isolate of what is opened here just now. */
export function isolate(): NativeIsolate {
  const name = isolateName();
  let found = isolates.get(name);
  if (!found) isolates.set(name, (found = new native.Realm(name)));
  return found;
}

/** That of the test file which started this thread. */
function inherited(): string {
  const name = isMainThread ? undefined : getEnvironmentData(NAME);
  return typeof name === 'string' ? name : COMMON;
}
