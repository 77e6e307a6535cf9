/**
 * Clocks and timers of this package, taken when it is loaded. Fake timers of a test replace the global ones later: they
 * must not stop the requests of a cache, nor keep values past their end.
 */

import { performance } from 'node:perf_hooks';
import timers from 'node:timers';

/** Milliseconds of the monotonic clock. */
export const now: () => number = performance.now.bind(performance);

export const { setTimeout, clearTimeout, setInterval, setImmediate } = timers;

/** Calls `task` after the present callback and before anything else. */
export const nextTick: (task: () => void) => void = process.nextTick.bind(process);

/** Calls `task` with the microtasks of the present callback. */
export const microtask: (task: () => void) => void = globalThis.queueMicrotask;

/** Nanoseconds of the monotonic clock. */
export const nanoseconds: () => bigint = process.hrtime.bigint.bind(process.hrtime);
