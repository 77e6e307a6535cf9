// Operations per second and times, contender after contender within each round.

import { WORKLOADS } from '../support/workloads.mjs';
import { median } from '../support/statistics.mjs';
import { micros, rate, table } from '../support/table.mjs';

/** One cell is one workload with so many workers and operations in flight. */
export async function measureThroughput(teams, { workloads, loads, rounds, warmUp, milliseconds, log }) {
  const cells = workloads.flatMap((workload) => loads.map((load) => ({ workload, ...load })));
  const results = new Map();

  // Round 0 is not counted: in it the processes of every contender get warm.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, cell] of cells.entries()) {
      const name = round === 0 ? 'warming up' : `round ${round} of ${rounds}`;
      log(`  ${name}: ${describe(cell)} (${index + 1} of ${cells.length})`, true);
      // Everyone comes first, in the middle and last now and then.
      const turn = (round + index) % teams.length;
      for (const { contender, team } of [...teams.slice(turn), ...teams.slice(0, turn)]) {
        const { workload, workers, inFlight } = cell;
        const key = `${contender} ${workload} ${workers} ${inFlight}`;
        if (!results.has(key)) results.set(key, { contender, ...cell, rates: [], p50s: [], p99s: [] });
        const parts = await team.workers('measure', { workload, inFlight, warmUp, milliseconds }, workers);
        if (round === 0) continue;
        const { rates, p50s, p99s } = results.get(key);
        rates.push(parts.reduce((sum, { done, milliseconds }) => sum + (done * 1_000) / milliseconds, 0));
        p50s.push(median(parts.map(({ p50 }) => p50)));
        p99s.push(median(parts.map(({ p99 }) => p99)));
      }
    }
  }
  return [...results.values()].map((result) => ({
    ...result,
    rate: median(result.rates),
    p50: median(result.p50s),
    p99: median(result.p99s),
  }));
}

const describe = ({ workload, workers, inFlight }) => `${WORKLOADS[workload].title}, ${workers} x ${inFlight}`;

/** A table for each workload: rates by load, and the times of one operation at a time in one worker. */
export function showThroughput(results) {
  const by = (key) => [...new Set(results.map((result) => result[key]))];
  for (const workload of by('workload')) {
    const own = results.filter((result) => result.workload === workload);
    const loads = [...new Map(own.map(({ workers, inFlight }) => [`${workers} x ${inFlight}`, { workers, inFlight }]))];
    const find = (contender, { workers, inFlight }) =>
      own.find((one) => one.contender === contender && one.workers === workers && one.inFlight === inFlight);
    const alone = loads.find(([, { workers, inFlight }]) => workers === 1 && inFlight === 1)?.[1];
    const rows = by('contender').map((contender) => [
      contender,
      ...loads.map(([, load]) => rate(find(contender, load).rate)),
      ...(alone ? [micros(find(contender, alone).p50), micros(find(contender, alone).p99)] : []),
    ]);
    const unit = WORKLOADS[workload].operation === 'mGet' ? 'calls' : 'operations';
    console.log(`\n${WORKLOADS[workload].title}: ${unit} per second by workers x in flight`);
    console.log(table([['', ...loads.map(([name]) => name), ...(alone ? ['p50 1 x 1', 'p99 1 x 1'] : [])], ...rows]));
  }
}
