/** The open instances of this JavaScript environment: those that are dropped without `close()`, and how many there are. */

import process from 'node:process';
import type { Use } from './link/use.js';
import type { Policy } from './operations/operation.js';

/** More open instances than this are probably a leak. */
const MOST = 1_000;

/** What is given back when an instance is collected. It does not refer to the instance. */
interface Estate {
  use: Use;
  policy: Policy;
}

const counted = new WeakSet<Use>();
let open = 0;
let isCounting = true;
let hasWarned = false;

const collected = new FinalizationRegistry<Estate>(({ use, policy }) => {
  if (counted.has(use)) open -= 1;
  // Its requests have ended, or they would have kept it.
  use.close(policy, false).catch(() => {});
});

/** Takes note of a new instance. If it is collected without having been closed, what it uses is given back. */
export function opened(instance: object, use: Use, policy: Policy): void {
  collected.register(instance, { use, policy }, use);
  if (!isCounting) return;
  counted.add(use);
  open += 1;
  if (open > MOST) warn(policy.namespace);
}

/** Takes note of an instance that is being closed. */
export function closing(use: Use): void {
  if (collected.unregister(use) && counted.has(use)) open -= 1;
}

/** Whether the application itself opens what is being opened. */
export function isOfApplication(): boolean {
  return isCounting;
}

/** Opens an instance in the host that the application has not opened itself, and need not close. */
export function uncounted<T>(open: () => T): T {
  isCounting = false;
  try {
    return open();
  } finally {
    isCounting = true;
  }
}

function warn(namespace: string | undefined): void {
  if (hasWarned) return;
  hasWarned = true;
  process.emitWarning(
    `possible leak of caches: ${open} are open in this process (pid ${process.pid}), the last one of namespace ` +
      `"${namespace}"; open a cache once and use it for every request, or close() each one after its use`,
    { type: 'ClusteredCacheWarning', code: 'CC_MANY_INSTANCES' },
  );
}
