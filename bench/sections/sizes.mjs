// The time of a hit by the size of the value.

import { inRounds, readsOf } from '../support/rounds.mjs';
import { bytes as size, nanos, table } from '../support/table.mjs';

const WORKERS = 2;

const KINDS = { text: 'strings', bytes: 'buffers' };

const nameOf = ({ kind, bytes }) => `${kind}-${bytes}`;

export const cellsOf = (sizes) => Object.keys(KINDS).flatMap((kind) => sizes.map((bytes) => ({ kind, bytes })));

/** The sets of entries that are needed. */
export const sizeSets = (sizes) => cellsOf(sizes).map(nameOf);

export function measureSizes(teams, { sizes, rounds, timed, log }) {
  return inRounds({
    cells: cellsOf(sizes),
    teams,
    rounds,
    log,
    describe: ({ kind, bytes }) => `${KINDS[kind]} of ${size(bytes)}`,
    async run({ team }, cell) {
      const ask = (way) => team.workers('time', { set: nameOf(cell), way, ...timed }, WORKERS);
      // Synchronously where possible, which it is for few contenders.
      return readsOf(await ask('sync')) ?? readsOf(await ask('awaited'));
    },
  });
}

export function showSizes(results) {
  const contenders = [...new Set(results.map(({ contender }) => contender))];
  const sizes = [...new Set(results.map(({ bytes }) => bytes))];
  for (const [kind, title] of Object.entries(KINDS)) {
    const find = (contender, bytes) =>
      results.find((one) => one.contender === contender && one.kind === kind && one.bytes === bytes);
    const rows = contenders.map((contender) => [contender, ...sizes.map((bytes) => nanos(find(contender, bytes).ns))]);
    console.log(`\nOne read at a time of ${title}, at once where that can be, ${WORKERS} workers: median`);
    console.log(table([['', ...sizes.map(size)], ...rows]));
  }
}
