// Times one read at a time, for reads that are too short to be timed individually.

import { setImmediate as turn } from 'node:timers/promises';
import { median } from './statistics.mjs';

/** Milliseconds: long enough that reading the clock is negligible, short enough that few batches are interrupted. */
const BATCH = 0.05;
/** Most reads of a batch. */
const MOST = 4_096;
/** The event loop turns this often, in ms, as a server's does. This is not part of the time. */
const BETWEEN_TURNS = 1;

let loops = 0;

/** The time it takes to read the clock. */
function timeNothing() {
  const begin = performance.now();
  return performance.now() - begin;
}

/** A function that times reads of these keys by `get`. It must be reused, so that its code stays warm. */
export async function timerOf({ get, keys, isMissing = false, awaited }) {
  const { batch, awaitedBatch } = await import(`./loops.mjs?${++loops}`);
  const run = awaited ? awaitedBatch : batch;
  let from = 0;
  let count = 1;

  /** Milliseconds that a batch takes. */
  async function time() {
    const begin = performance.now();
    // A synchronous batch must not include a turn of the microtask queue.
    const found = awaited ? await run(get, keys, from, count) : run(get, keys, from, count);
    const took = performance.now() - begin;
    if (found !== (isMissing ? 0 : count)) throw new Error(`of ${count} entries, ${found} were there`);
    from = (from + count) % keys.length;
    return took;
  }

  /** Milliseconds of the next read by itself, including reading the clock before and after it. */
  function timeOne() {
    const begin = performance.now();
    get(keys[from]);
    const took = performance.now() - begin;
    from = (from + 1) % keys.length;
    return took;
  }

  async function runFor(milliseconds, times) {
    const end = performance.now() + milliseconds;
    let sinceTurn = 0;
    while (performance.now() < end) {
      const took = await time();
      if (times) {
        times.batches.push((took * 1e6) / count);
        if (!awaited) times.singles.push((timeOne() - timeNothing()) * 1e6);
      }
      sinceTurn += took;
      if (sinceTurn < BETWEEN_TURNS) continue;
      await turn();
      sinceTurn = 0;
    }
  }

  /** Starts with the last count, and doubles it until a batch is long enough. */
  async function fit() {
    while (count < MOST && (await time()) < BATCH / 2) count *= 2;
  }

  return async ({ warmUp, milliseconds }) => {
    await runFor(warmUp);
    await fit();
    const times = { batches: [], singles: [] };
    await runFor(milliseconds, times);
    const { batches, singles } = times;
    return {
      /** Nanoseconds of a read: the middle one of the batches, of all, and the middle one of single reads, which is coarse. */
      median: median(batches),
      mean: batches.reduce((sum, value) => sum + value, 0) / batches.length,
      ...(singles.length > 0 && { single: median(singles) }),
      batches: batches.length,
      perBatch: count,
    };
  };
}
