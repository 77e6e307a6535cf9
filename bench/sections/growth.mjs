// What a hit takes when there are many entries, and no two reads in a row are near each other.

import { inRounds, readsOf } from '../support/rounds.mjs';
import { nanos, rate, table } from '../support/table.mjs';

const WORKERS = 2;

/** Those that keep entries where the reader reaches them; what the others do is lost in the time of a round trip. */
export const GROWING = ['shared', 'near', 'lmdb', 'lru-cache'];

const nameOf = (entries) => `growth-${entries}`;

/** Content of its own for each number of entries, so that rounds can go from one to the other. */
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
