// A contender's primary. It forks the workers, hands on commands, and otherwise leaves its event loop to the
// contender.

import cluster from 'node:cluster';
import { fileURLToPath } from 'node:url';
import { answerCalls, callsTo } from './calls.mjs';
import { load } from './contender.mjs';
import { resident } from './memory.mjs';

const workers = [];

answerCalls(process, {
  async start({ contender, workers: count }) {
    const { host } = await load(contender);
    await host?.();
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

  /** Has several workers do different things at the same time: `parts[n]` is for worker n, `undefined` for nothing. */
  together: ({ parts }) => Promise.all(parts.map((part, index) => part && workers[index](part.command, part.argument))),

  /** Blocks the event loop while the first worker goes on: what it measures meanwhile is its result. */
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

process.on('disconnect', () => process.exit());
