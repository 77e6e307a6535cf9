// The time of a hit among many entries, when no two reads in a row are near each other.

import { inRounds, readsOf } from '../support/rounds.mjs';
import { nanos, rate, table } from '../support/table.mjs';

const WORKERS = 2;

/** Contenders that keep entries within reach of the reader; for the others, the round trip hides the effect. */
export const GROWING = ['shared', 'near', 'lmdb', 'lru-cache'];

const nameOf = (entries) => `growth-${entries}`;

/** Separate content for each number of entries, so that rounds can alternate between them. */
export const growthSpaces = (counts) =>
  counts.map((count) => ({ space: nameOf(count), names: [nameOf(count)], entries: count }));

export function measureGrowth(teams, { counts, rounds, timed, log }) {
  return inRounds({
    cells: counts.map((entries) => ({ entries })),
    teams,
    rounds,
    log,
    describe: ({ entries }) => `${rate(entries)} entries`,
    async run({ team }, { entries }) {
      const name = nameOf(entries);
      return readsOf(await team.workers('time', { space: name, set: name, way: 'sync', ...timed }, WORKERS));
    },
  });
}

export function showGrowth(results) {
  const by = (key) => [...new Set(results.map((result) => result[key]))];
  const rows = by('contender').map((contender) => [
    contender,
    ...by('entries').map((entries) =>
      nanos(results.find((one) => one.contender === contender && one.entries === entries).ns),
    ),
  ]);
  console.log(
    `\nOne read at a time of strings of 16 B in random order, by number of entries, ${WORKERS} workers: median`,
  );
  console.log(table([['', ...by('entries').map(rate)], ...rows]));
}
