/**
 * Runs hooks once when the process ends, including by a signal. Nothing here keeps a process alive or changes how it
 * ends.
 */

import { constants } from 'node:os';
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';
import { nextTick, setImmediate } from '../time.js';

/** Signals that ask a process to end in its own time. Without a listener they end it at once, without `'exit'`. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/** Marks the listeners of all copies of this package. */
const MARK: unique symbol = Symbol.for('clustered-cache.listener') as never;

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
  atExit(runHooks);
  for (const signal of SIGNALS) process.on(signal, endBySignal);
}

const endBySignal: (signal: NodeJS.Signals) => void = marked((signal: NodeJS.Signals) => {
  if (isHandled(signal)) return;
  runHooks();
  // Without this listener the signal has its default effect.
  process.off(signal, endBySignal);
  raise(signal);
});

const exitHooks = new Set<() => void>();

/** Calls `hook` when the process, or this thread, exits, after the application's own listeners. */
export function atExit(hook: () => void): void {
  exitHooks.add(hook);
  if (exitHooks.size > 1) return;
  process.on('exit', onExit);
  process.on('newListener', stayLast);
}

const onExit = marked(() => {
  for (const hook of exitHooks) hook();
});

/** A listener of the application may use the cache, so it must run first. */
function stayLast(event: string | symbol, listener: object): void {
  if (event !== 'exit' || MARK in listener) return;
  nextTick(() => {
    process.off('exit', onExit);
    process.on('exit', onExit);
  });
}

/** Marks a listener of this package: one that ends the process only if the application does not handle the signal. */
export function marked<L extends (signal: NodeJS.Signals) => void>(listener: L): L {
  return Object.defineProperty(listener, MARK, { value: true });
}

/**
 * Whether the application handles the signal. Other copies of this package do not, nor do the listeners of the package
 * `signal-exit`: they too end the process if they are the only ones.
 */
function isHandled(signal: NodeJS.Signals): boolean {
  return process.listeners(signal).filter((listener) => !(MARK in listener)).length > signalExits();
}

/** How many listeners the package `signal-exit` has for each signal; versions 3 and 4 can be loaded side by side. */
function signalExits(): number {
  const { __signal_exit_emitter__: third, [Symbol.for('signal-exit emitter')]: fourth } = process as unknown as Record<
    PropertyKey,
    { count?: unknown } | undefined
  >;
  return [third, fourth].reduce((sum, emitter) => sum + (typeof emitter?.count === 'number' ? emitter.count : 0), 0);
}

/**
 * Ends this process by the signal, after listeners that are left have had it too. The kernel ignores a signal without a
 * handler that the first process of a container (PID 1) gets; that one ends as a shell would report it.
 */
export function raise(signal: NodeJS.Signals): void {
  const end = () => process.exit(128 + constants.signals[signal]);
  process.kill(process.pid, signal);
  if (process.listenerCount(signal) === 0) end();
  else if (process.pid === 1) setImmediate(end);
}

function runHooks(): void {
  for (const hook of hooks) {
    hooks.delete(hook);
    hook();
  }
}
