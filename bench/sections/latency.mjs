// The time of one read, one at a time, in two workers at once.

import { inRounds, readsOf } from '../support/rounds.mjs';
import { nanos, table } from '../support/table.mjs';

export const WORKERS = 2;

/** The entries that are read, by the name of their set. */
export const READ = {
  short: 'string of 16 B',
  object: 'object of 250 B',
  text: 'string of 1 KiB',
  bytes: 'buffer of 100 KiB',
  missing: 'nothing there',
};

export const WAYS = { sync: 'at once', awaited: 'awaited' };

export function measureLatency(teams, { rounds, timed, log }) {
  return inRounds({
    cells: Object.keys(READ).flatMap((set) => Object.keys(WAYS).map((way) => ({ set, way }))),
    teams,
    rounds,
    log,
    describe: ({ set, way }) => `${READ[set]}, ${WAYS[way]}`,
    run: async ({ team }, cell) => readsOf(await team.workers('time', { ...cell, ...timed }, WORKERS)),
  });
}

export function showLatency(results) {
  const contenders = [...new Set(results.map(({ contender }) => contender))];
  for (const [way, title] of Object.entries(WAYS)) {
    const rows = contenders
      .map((contender) => [
        contender,
        ...Object.keys(READ).map((set) => {
          const cell = results.find((one) => one.contender === contender && one.way === way && one.set === set);
          return cell ? nanos(cell.ns) : '';
        }),
      ])
      .filter((row) => row.some((text, column) => column > 0 && text));
    console.log(`\nOne read at a time, ${title}, ${WORKERS} workers at once: median`);
    console.log(table([['', ...Object.values(READ)], ...rows]));
  }
}
