// A contender's primary. It forks the workers, passes commands on, and otherwise leaves its event loop to the
// contender.

import cluster from 'node:cluster';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { answerCalls, callsTo } from './calls.mjs';
import { load } from './contender.mjs';
import { resident } from './memory.mjs';
import { writingOf } from './workloads.mjs';

const workers = [];
let module;
/** The primary yields to the event loop after this many writes of its own. */
const WRITES = 256;

answerCalls(process, {
  async start({ contender, workers: count }) {
    module = await load(contender);
    await module.host?.();
    cluster.setupPrimary({ exec: fileURLToPath(new URL('worker.mjs', import.meta.url)) });
    for (let index = 0; index < count; index++) {
      const worker = cluster.fork();
      workers.push(callsTo(worker.process, `worker ${index} of ${contender}`));
    }
  },

  workers({ command, argument, count = workers.length, only }) {
    const asked = only === undefined ? workers.slice(0, count) : [workers[only]];
    return Promise.all(asked.map((call) => call(command, argument)));
  },

  /**
   * Has several processes do different things at the same time: `parts[n]` is for worker n, `undefined` for nothing;
   * `writing` is what the primary itself writes meanwhile, if anything.
   */
  async together({ parts, writing }) {
    const asked = parts.map((part, index) => part && workers[index](part.command, part.argument));
    const writes = writing && (await write(writing));
    return { parts: await Promise.all(asked), writes };
  },

  /** Blocks the event loop while the first worker continues; returns what that worker measures. */
  async block({ milliseconds, argument }) {
    const begun = workers[0]('begun');
    const measured = workers[0]('measure', argument);
    await begun;
    const end = performance.now() + milliseconds;
    while (performance.now() < end);
    return measured;
  },

  resident,
});

/** Writes as fast as one thread can, for as long as the workers measure. */
async function write({ workload, warmUp, milliseconds }) {
  const set = module.writer();
  const { keys, values } = writingOf(workload);
  const begin = performance.now() + warmUp;
  let [done, end] = [0, 0];
  for (let turn = 0; ; turn += WRITES) {
    // Lets the workers' messages be sent.
    await setImmediate();
    const now = performance.now();
    if (now >= begin + milliseconds) {
      end = now;
      break;
    }
    for (let index = turn; index < turn + WRITES; index++) set(keys[index % keys.length], values[index % keys.length]);
    if (now >= begin) done += WRITES;
  }
  return { done, milliseconds: end - begin };
}

process.on('disconnect', () => process.exit());
