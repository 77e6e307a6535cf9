// A contender's worker: runs the operations and reports counts and times.

import { answerCalls } from './calls.mjs';
import { load } from './contender.mjs';
import { drive } from './drive.mjs';
import { collected } from './memory.mjs';
import * as values from './values.mjs';
import { assertCounted, assertRead } from './correct.mjs';
import { operationOf } from './workloads.mjs';

let contender;
let cache;
let onBegun;

answerCalls(process, {
  async connect({ contender: name, addresses }) {
    contender = await load(name);
    cache = await contender.connect(addresses);
  },

  /** Stores everything that workloads read. */
  async fill() {
    for (const [shape, { key, value, count }] of Object.entries(values.shapes)) {
      for (let index = 0; index < count; index++) await cache[shape].set(key(index), value(index));
    }
  },

  /** Resolves when the measuring that the next command asks for has begun. */
  begun: () => new Promise((resolve) => (onBegun = resolve)),

  async measure({ workload, inFlight, warmUp, milliseconds, timeAll }) {
    const operation = operationOf(workload, cache);
    const options = { inFlight, inProcess: contender.inProcess, timeAll };
    await drive(operation, { ...options, milliseconds: warmUp });
    onBegun?.();
    return drive(operation, { ...options, milliseconds });
  },

  write: () => values.writeSamples(cache),
  read: () => assertRead(cache),
  count: (options) => assertCounted(cache, options),

  /** Handles `count` strings without any cache: what the engine itself takes for that is no cache's doing. */
  async churn({ count, bytes }) {
    for (let index = 0; index < count; index++) {
      const copy = await new Promise((resolve) => setImmediate(() => resolve(values.filler(index, bytes))));
      if (copy.length !== bytes) throw new Error('a string has the wrong length');
    }
  },

  /** Stores `entries` strings of `bytes` bytes, a hundred at a time. */
  async store({ entries, bytes }) {
    for (let from = 0; from < entries; from += 100) {
      const batch = Array.from({ length: Math.min(100, entries - from) }, (_, index) => from + index);
      await Promise.all(batch.map((index) => cache.text.set(`memory:${index}`, values.filler(index, bytes))));
    }
  },

  /** Reads `count` of those strings. */
  async look({ entries, count }) {
    for (let index = 0; index < count; index++) {
      const value = await cache.text.get(`memory:${(index * 7919) % entries}`);
      if (typeof value !== 'string') throw new Error('a string that was stored is not there');
    }
  },

  /** How many batches of a hundred objects this process decodes in a second: no way to fetch them can be faster. */
  decode({ milliseconds }) {
    const { key, value } = values.shapes.object;
    const texts = Array.from({ length: 100 }, (_, index) => [key(index), JSON.stringify(value(index))]);
    const decoded = () => new Map(texts.map(([key, text]) => [key, JSON.parse(text)]));
    let count = 0;
    const kept = [];
    const begin = performance.now();
    for (; performance.now() < begin + milliseconds; count++) kept[count % 64] = decoded();
    return (count * 1_000) / (performance.now() - begin);
  },

  resident: collected,
});
