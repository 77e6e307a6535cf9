/**
 * Runs hooks once when the process ends, including by a signal. Nothing here keeps a process alive or changes how it
 * ends.
 */

import process from 'node:process';
import { isMainThread } from 'node:worker_threads';

/** Signals that ask a process to end in its own time. Without a listener they end it at once, without `'exit'`. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

const hooks = new Set<() => void>();
let listens = false;

/**
 * Calls `hook` when the process ends: when it exits, or when one of the signals arrives and only this package listens
 * to it. If the application listens, it decides what a signal means and may use the cache while it shuts down: then the
 * hook runs at `'exit'`. Only of use in the main thread: other threads are notified of neither.
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
  // Without this listener the signal has its default effect.
  process.off(signal, endBySignal);
  process.kill(process.pid, signal);
}

function runHooks(): void {
  for (const hook of hooks) {
    hooks.delete(hook);
    hook();
  }
}
