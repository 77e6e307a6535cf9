// A contender's worker: runs the operations and reports counts and times.

import { answerCalls } from './calls.mjs';
import { load } from './contender.mjs';
import { drive } from './drive.mjs';
import { resident } from './memory.mjs';
import { timerOf } from './timed.mjs';
import { assertChanged, assertCounted, assertRead, assertSet, change } from './correct.mjs';
import { fill, filler, keysOf, object, setOf, sets, writeSamples } from './values.mjs';
import { WORKLOADS, operationOf } from './workloads.mjs';

let contender;
/** One cache for each space, a contender's word for content of its own. */
const caches = {};
const timers = new Map();
let onBegun;

/** The contender's synchronous read, if it has one. */
const syncOf = (space, kind) => caches[space][kind].getSync ?? (contender.sync ? caches[space][kind].get : undefined);

/** The timer of one cell, created at its first use. */
async function timerFor({ space = 'bench', set: name, way }) {
  const key = `${space} ${name} ${way}`;
  if (!timers.has(key)) {
    const set = setOf(name);
    const awaited = way === 'awaited';
    const get = awaited ? caches[space][set.kind].get : syncOf(space, set.kind);
    timers.set(key, await timerOf({ get, keys: keysOf(set), isMissing: set.isMissing, awaited }));
  }
  return timers.get(key);
}

answerCalls(process, {
  async connect({ contender: name, addresses, space = 'bench', entries, kept }) {
    contender ??= await load(name);
    caches[space] = await contender.connect(addresses, { space, entries, kept });
  },

  /** Stores all entries of the sets with these names. */
  async fill({ names = Object.keys(sets), space = 'bench' } = {}) {
    for (const name of names) await fill(caches[space], setOf(name));
  },

  /** Reads all entries of a set at once, in the order in which they were stored, so that a near cache keeps them. */
  keep({ space, set: name }) {
    const { kind, count, key } = setOf(name);
    const get = syncOf(space, kind);
    for (let index = 0; index < count; index += 1) get(key(index));
  },

  /** Whether it is ready. */
  async check({ names = Object.keys(sets), space = 'bench' } = {}) {
    for (const name of names) await assertSet(caches[space], setOf(name));
  },

  write: () => writeSamples(caches.bench),
  read: () => assertRead(caches.bench),
  change: ({ turn }) => change(caches.bench, turn),
  changed: ({ turn }) => assertChanged(caches.bench, { turn, later: contender.seesLater }),
  count: (options) => assertCounted(caches.bench, options),

  /** Resolves when the measurement that the next command starts has begun. */
  begun: () => new Promise((resolve) => (onBegun = resolve)),

  /** Many operations in flight. */
  async measure({ workload, inFlight, warmUp, milliseconds, timeAll }) {
    const operation = operationOf(workload, caches.bench);
    const isQuick = contender.inProcess && !WORKLOADS[workload]?.isLong;
    const options = { inFlight, inProcess: isQuick, timeAll };
    await drive(operation, { ...options, milliseconds: warmUp });
    onBegun?.();
    return drive(operation, { ...options, milliseconds });
  },

  /** One read at a time; `undefined` if the contender has no such read. */
  async time({ space, set, way, warmUp, milliseconds }) {
    if (way === 'sync' && !syncOf(space ?? 'bench', setOf(set).kind)) return undefined;
    const timer = await timerFor({ space, set, way });
    return timer({ warmUp, milliseconds });
  },

  /** Keeps a processor busy without touching shared data. */
  async spin({ warmUp, milliseconds }) {
    const end = performance.now() + warmUp + milliseconds;
    let sum = 0;
    while (performance.now() < end) for (let index = 0; index < 1_000; index++) sum = (sum + index) | 0;
    return sum;
  },

  /** Handles `count` strings without any cache, because the engine's own memory for them is not caused by a cache. */
  async churn({ count, bytes }) {
    for (let index = 0; index < count; index++) {
      const copy = await new Promise((resolve) => setImmediate(() => resolve(filler(index, bytes))));
      if (copy.length !== bytes) throw new Error('a string has the wrong length');
    }
  },

  /** Stores `entries` strings of `bytes` bytes, a hundred at a time. */
  async store({ entries, bytes }) {
    for (let from = 0; from < entries; from += 100) {
      const batch = Array.from({ length: Math.min(100, entries - from) }, (_, index) => from + index);
      await Promise.all(batch.map((index) => caches.bench.text.set(`memory:${index}`, filler(index, bytes))));
    }
  },

  /** Reads `count` of those strings. */
  async look({ entries, count }) {
    for (let index = 0; index < count; index++) {
      const value = await caches.bench.text.get(`memory:${(index * 7919) % entries}`);
      if (typeof value !== 'string') throw new Error('a string that was stored is not there');
    }
  },

  /** How many batches of a hundred objects this process decodes in a second: an upper bound for fetching them. */
  decode({ milliseconds }) {
    const texts = Array.from({ length: 100 }, (_, index) => [sets.object.key(index), JSON.stringify(object(index))]);
    const decoded = () => new Map(texts.map(([key, text]) => [key, JSON.parse(text)]));
    let count = 0;
    const kept = [];
    const begin = performance.now();
    for (; performance.now() < begin + milliseconds; count++) kept[count % 64] = decoded();
    return (count * 1_000) / (performance.now() - begin);
  },

  resident,
});
