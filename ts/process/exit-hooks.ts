/**
 * The end of the process: what has to be done at it, once, also where a signal ends it. Nothing here keeps a process alive or
 * changes how it ends.
 */

import process from 'node:process';
import { isMainThread } from 'node:worker_threads';

/** Signals that ask a process to end and leave it the time to. Without a listener they end it at once, without `'exit'`. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

const hooks = new Set<() => void>();
let listens = false;

/**
 * Calls `hook` when the process ends: it exits, or one of the signals arrives that nobody else listens to. Where the
 * application listens, it decides what a signal means, and may use the cache while it shuts down: then `'exit'` counts.
 * Only of use in the main thread: others learn of neither.
 */
export function atEnd(hook: () => void): void {
  if (!isMainThread) return;
  hooks.add(hook);
  if (listens) return;
  listens = true;
  process.once('exit', runHooks);
  for (const signal of SIGNALS) process.on(signal, endBySignal);
}

function endBySignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  runHooks();
  // Without us the signal does what it would have done.
  process.off(signal, endBySignal);
  process.kill(process.pid, signal);
}

function runHooks(): void {
  for (const hook of hooks) {
    hooks.delete(hook);
    hook();
  }
}
