// Operations per second with many in flight.

import { BEFORE } from '../support/contender.mjs';
import { inRounds, operationsOf } from '../support/rounds.mjs';
import { WORKLOADS } from '../support/workloads.mjs';
import { micros, rate, table } from '../support/table.mjs';

/** The workloads that an older state of this package takes part in. */
const OF_OLD = new Set(['get-object', 'set-object', 'set-text', 'set-bytes']);

/** One cell is one workload with a number of workers and operations in flight. */
export function measureThroughput(teams, { workloads, loadsFor, rounds, busy, log }) {
  return inRounds({
    cells: workloads.flatMap((workload) => loadsFor(workload).map((load) => ({ workload, ...load }))),
    teams,
    rounds,
    log,
    describe: ({ workload, workers, inFlight }) => `${WORKLOADS[workload].title}, ${workers} x ${inFlight}`,
    async run({ contender, team }, { workload, workers, inFlight }) {
      if (contender === BEFORE && !OF_OLD.has(workload)) return undefined;
      return operationsOf(await team.workers('measure', { workload, inFlight, ...busy }, workers));
    },
  });
}

/** A table for each workload: rates by load, and the times of one operation at a time in one worker. */
export function showThroughput(results) {
  const by = (key) => [...new Set(results.map((result) => result[key]))];
  for (const workload of by('workload')) {
    const own = results.filter((result) => result.workload === workload);
    const loads = [...new Map(own.map(({ workers, inFlight }) => [`${workers} x ${inFlight}`, { workers, inFlight }]))];
    const find = (contender, { workers, inFlight }) =>
      own.find((one) => one.contender === contender && one.workers === workers && one.inFlight === inFlight);
    const alone = loads.find(([, { workers, inFlight }]) => workers === 1 && inFlight === 1)?.[1];
    const rows = [...new Set(own.map(({ contender }) => contender))].map((contender) => [
      contender,
      ...loads.map(([, load]) => rate(find(contender, load).rate)),
      ...(alone ? [micros(find(contender, alone).p50), micros(find(contender, alone).p99)] : []),
    ]);
    const unit = WORKLOADS[workload].operation === 'mGet' ? 'calls' : 'operations';
    console.log(`\n${WORKLOADS[workload].title}: ${unit} per second by workers x in flight`);
    console.log(table([['', ...loads.map(([name]) => name), ...(alone ? ['p50 1 x 1', 'p99 1 x 1'] : [])], ...rows]));
  }
}
