// The loop that is timed.

import { createHistogram } from 'node:perf_hooks';

/** One operation in this many is timed by itself: reading the clock costs more than a hit in process. */
const SAMPLED = { one: 4, many: 64 };
/**
 * Reading the clock takes longer than an operation in process and belongs to none, so it is read once in this many
 * turns.
 */
const TURNS_PER_LOOK = { inProcess: 64, many: 8, one: 1 };

/**
 * Runs `operation` with `inFlight` of them in flight at any time.
 *
 * @returns how many ended in how many milliseconds, and percentiles of their time in microseconds
 */
export async function drive(operation, { inFlight, milliseconds, inProcess = false, timeAll = false }) {
  const times = createHistogram();
  const sampled = timeAll ? 1 : inFlight === 1 ? SAMPLED.one : SAMPLED.many;
  const turnsPerLook = TURNS_PER_LOOK[inProcess ? 'inProcess' : inFlight === 1 ? 'one' : 'many'];
  let done = 0;
  const begin = performance.now();
  const end = begin + milliseconds;

  const lane = async (first) => {
    for (let turn = first; ; turn++) {
      if (turn % turnsPerLook === 0 && performance.now() >= end) return;
      if (turn % sampled === 0) {
        const asked = performance.now();
        await operation(turn);
        times.record(Math.max(1, Math.round((performance.now() - asked) * 1e6)));
      } else {
        await operation(turn);
      }
      done++;
    }
  };
  // Lanes begin at keys far apart, so that they do not march in step over the same ones.
  await Promise.all(Array.from({ length: inFlight }, (_, index) => lane(index * 997)));

  const micros = (nanoseconds) => nanoseconds / 1e3;
  return {
    done,
    milliseconds: performance.now() - begin,
    samples: times.count,
    p50: micros(times.percentile(50)),
    p99: micros(times.percentile(99)),
    max: micros(times.max),
  };
}
