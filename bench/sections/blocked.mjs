// The time of a worker's `get` while the primary's event loop is blocked, for example by a long computation.

import { micros, rate, table } from '../support/table.mjs';

const BLOCKED = 2_000;
/** Ends while the primary is still blocked, so that only that time is measured. */
const MEASURED = 1_900;

/** A contender that needs the primary's event loop to reach the data, and this package, which does not. */
export const BLOCKABLE = ['shared', 'socket', 'cluster-ipc'];

export async function measureBlocked(teams) {
  const results = [];
  for (const { contender, team } of teams.filter((one) => BLOCKABLE.includes(one.contender))) {
    const argument = { workload: 'get-object', inFlight: 1, warmUp: 200, milliseconds: MEASURED, timeAll: true };
    const { done, p50, p99, max } = await team.primary('block', { milliseconds: BLOCKED, argument });
    results.push({ contender, blocked: BLOCKED, done, p50, p99, max });
  }
  return results;
}

export function showBlocked(results) {
  console.log(`\nOne worker's get, one at a time, while the primary's event loop is blocked for ${BLOCKED / 1_000} s`);
  const rows = results.map(({ contender, done, p50, p99, max }) => [
    contender,
    rate(done),
    micros(p50),
    micros(p99),
    micros(max),
  ]);
  console.log(table([['', 'answered', 'p50', 'p99', 'longest'], ...rows]));
}
