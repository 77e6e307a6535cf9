/**
 * Which of this process's stores the caches that are opened here have. An application has one. Where a test runner runs
 * several test files in one process, each evaluation of this package has another one, in a realm that nobody else can name:
 * files that know nothing of each other do not meet. What a file starts itself is of its realm.
 */

import { randomUUID } from 'node:crypto';
import process from 'node:process';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { isScopeGiven, sharingRunner } from './environment.js';
import { native, type NativeRealm } from './native.js';

/** Under which threads find the realm of the file that started them; and, as a symbol, copies of this package that of theirs. */
const NAME = 'clustered-cache.realm';
const CLAIM: unique symbol = Symbol.for(NAME) as never;

/** That of the process. */
const COMMON = '';

/** A test file's realm, and which copies of this package have been evaluated in it. */
interface Claim {
  name: string;
  copies: Set<string>;
}

const runner = sharingRunner({
  env: process.env,
  isMainThread,
  script: process.argv[1],
  // Native functions are of the thread's own globals.
  hasOwnGlobals: !((native.isHosting as unknown) instanceof Function),
  hasVitestState: '__vitest_worker__' in globalThis,
});
const own = runner === undefined ? inherited() : claimed();
const realms = new Map<string, NativeRealm>();

/** The name of the realm. Whoever sets a scope says himself who meets whom. */
export function realmName(): string {
  const name = isScopeGiven() ? COMMON : own;
  // For threads that are started from now on. Those of a runner know better.
  if (runner !== undefined) setEnvironmentData(NAME, name === COMMON ? undefined : name);
  return name;
}

/** The realm of what is opened here just now. */
export function realm(): NativeRealm {
  const name = realmName();
  let found = realms.get(name);
  if (!found) realms.set(name, (found = new native.Realm(name)));
  return found;
}

/** That of the test file which started this thread. */
function inherited(): string {
  const name = isMainThread ? undefined : getEnvironmentData(NAME);
  return typeof name === 'string' ? name : COMMON;
}

/** A new realm, or that of another copy in the same file. A copy that is evaluated again begins anew. */
function claimed(): string {
  const globals = globalThis as { [CLAIM]?: Claim };
  const copy = typeof __filename === 'undefined' ? '' : __filename;
  let claim = globals[CLAIM];
  if (!claim || claim.copies.has(copy)) claim = globals[CLAIM] = { name: randomUUID(), copies: new Set() };
  claim.copies.add(copy);
  return claim.name;
}
