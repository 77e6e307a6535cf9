// The reads per second of all workers together, by their number.

import { inRounds, operationsOf } from '../support/rounds.mjs';
import { rate, table } from '../support/table.mjs';

const WORKLOAD = 'get-text';
const IN_FLIGHT = 64;

export function measureWorkers(teams, { team: counts, rounds, busy, log }) {
  return inRounds({
    cells: counts.map((workers) => ({ workers })),
    teams,
    rounds,
    log,
    describe: ({ workers }) => `${workers} workers`,
    run: async ({ team }, { workers }) =>
      operationsOf(await team.workers('measure', { workload: WORKLOAD, inFlight: IN_FLIGHT, ...busy }, workers)),
  });
}

export function showWorkers(results) {
  const by = (key) => [...new Set(results.map((result) => result[key]))];
  const rows = by('contender').map((contender) => [
    contender,
    ...by('workers').map((workers) =>
      rate(results.find((one) => one.contender === contender && one.workers === workers).rate),
    ),
  ]);
  console.log(
    `\nReads of strings of 1 KiB per second, all workers together, ${IN_FLIGHT} in flight in each, by workers`,
  );
  console.log(table([['', ...by('workers').map(String)], ...rows]));
}
