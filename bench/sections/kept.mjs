// The time of a hit when all values are kept in the process, few or many, and no two reads in a row are near each
// other: a near cache against an lru-cache of the same size.

import { inRounds, readsOf } from '../support/rounds.mjs';
import { ratio } from '../support/statistics.mjs';
import { nanos, rate, table } from '../support/table.mjs';

const WORKERS = 1;

/** Contenders that keep values in the process. */
export const KEEPING = ['near', 'lru-cache'];

const spaceOf = (entries) => `kept-${entries}`;
const setOf = (entries) => `growth-${entries}`;

export const keptSpaces = (counts) =>
  counts.map((count) => ({ space: spaceOf(count), names: [setOf(count)], entries: count, kept: count }));

export async function measureKept(teams, { kept, rounds, timed, log }) {
  // In the order in which an lru-cache got them: values read in insertion order would be adjacent in memory.
  for (const { team } of teams) {
    for (const entries of kept) await team.workers('keep', { space: spaceOf(entries), set: setOf(entries) }, WORKERS);
  }
  return inRounds({
    cells: kept.map((entries) => ({ entries })),
    teams,
    rounds,
    log,
    describe: ({ entries }) => `${rate(entries)} kept values`,
    async run({ team }, { entries }) {
      const what = { space: spaceOf(entries), set: setOf(entries), way: 'sync', ...timed };
      return readsOf(await team.workers('time', what, WORKERS));
    },
  });
}

export function showKept(results) {
  const counts = [...new Set(results.map(({ entries }) => entries))];
  const rows = counts.map((entries) => {
    const [near, rival] = KEEPING.map((contender) =>
      results.find((one) => one.contender === contender && one.entries === entries),
    );
    return [rate(entries), near && nanos(near.ns), rival && nanos(rival.ns), near && rival && quotient(rival, near)];
  });
  console.log('\nOne read at a time among values that are all kept, in random order, one worker: median');
  console.log(table([['', ...KEEPING, 'lru-cache / near'], ...rows]));
}

const quotient = (above, below) => `${ratio(above.rounds.ns, below.rounds.ns).toFixed(2)}x`;
