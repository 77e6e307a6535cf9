// Cells of a table, measured in rounds: within a round all contenders take turns at each cell.

import { median } from './statistics.mjs';

/**
 * Measures every cell with every team, round after round. Round 0 warms the processes up and is not counted.
 *
 * @param cells - what to measure; each is an object whose members tell it from the others
 * @param run - measures one cell with one team, resolving to numbers by name, or `undefined` where it does not apply
 * @param describe - describes a cell for people
 * @returns one result for each contender and cell: the cell's members, the median of each number over the rounds, and
 *   under `rounds` all of them
 */
export async function inRounds({ cells, teams, rounds, run, describe, log }) {
  const results = new Map();
  for (let round = 0; round <= rounds; round++) {
    for (const [index, cell] of cells.entries()) {
      const name = round === 0 ? 'warming up' : `round ${round} of ${rounds}`;
      log(`  ${name}: ${describe(cell)} (${index + 1} of ${cells.length})`, true);
      // Each contender is sometimes first, sometimes in the middle and sometimes last.
      const turn = (round + index) % teams.length;
      for (const entry of [...teams.slice(turn), ...teams.slice(0, turn)]) {
        const found = await run(entry, cell);
        if (found === undefined) continue;
        const key = `${index} ${entry.contender}`;
        if (!results.has(key)) results.set(key, { contender: entry.contender, ...cell, rounds: {} });
        if (round > 0) keep(results.get(key).rounds, found);
      }
    }
  }
  const place = new Map(teams.map(({ contender }, index) => [contender, index]));
  return [...results.values()]
    .sort((a, b) => place.get(a.contender) - place.get(b.contender))
    .map((result) => ({ ...result, ...mapValues(result.rounds, median) }));
}

function keep(rounds, found) {
  for (const [name, value] of Object.entries(found)) (rounds[name] ??= []).push(value);
}

const mapValues = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));

/** Combines the reports of several workers for one read at a time: the time of a read, and the total rate. */
export const readsOf = (parts) =>
  parts[0] && {
    ns: median(parts.map((part) => part.median)),
    ...(parts[0].single !== undefined && { single: median(parts.map((part) => part.single)) }),
    rate: parts.reduce((sum, { mean }) => sum + 1e9 / mean, 0),
  };

/** The same for concurrent operations. */
export const operationsOf = (parts) => ({
  rate: parts.reduce((sum, { done, milliseconds }) => sum + (done * 1_000) / milliseconds, 0),
  p50: median(parts.map(({ p50 }) => p50)),
  p99: median(parts.map(({ p99 }) => p99)),
});
