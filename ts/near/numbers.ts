/** What the numbers of a near cache mean: counts of changes, numbers of hits, and times. */

import { nanoseconds, now } from '../time.js';

/** Milliseconds by which `performance.now()` is behind the clock of the deadlines. */
let clockOffset: number | undefined;

/** Whether no slot was being changed at that count of changes. */
export const isAtRest = (changes: number) => (changes & 3) === 0;

/** An array of twice the length that begins with these numbers. */
export function enlarged(numbers: Int32Array): Int32Array {
  const larger = new Int32Array(numbers.length * 2);
  larger.set(numbers);
  return larger;
}

/** Whether a hit came after another; hit numbers are kept in 32 bits. */
export const isAfter = (hit: number, hits: number) => hit !== 0 && ((hit - hits) | 0) > 0;

/** A deadline of the table, in ms of `performance.now()`. */
export function toPerformanceTime(deadline: number): number {
  // Both are the machine's monotonic clock, with different origins.
  clockOffset ??= Number(nanoseconds()) / 1e6 - now();
  return deadline / 1e3 - clockOffset;
}
