// Readers and a writer at full speed beside each other.
//
// Where there are fewer cores than busy processes, each of them gets less of a core: that is the machine's doing. So
// everything is also measured beside as many processes that are just as busy and touch nothing that others share.

import { inRounds, operationsOf, readsOf } from '../support/rounds.mjs';
import { nanos, rate, table } from '../support/table.mjs';

const READERS = 2;
export const CHURN_WORKERS = READERS + 1;

/** Those whose readers and writer meet in memory. */
export const CHURNING = ['shared', 'near', 'lmdb'];

export const SITUATIONS = {
  readers: 'readers alone',
  'readers, spin': 'readers beside 1 busy process',
  'readers, other': 'readers beside a writer of other keys',
  'readers, same': 'readers beside a writer of the same keys',
  writer: 'writer alone',
  'writer, spin': 'writer beside 2 busy processes',
};

export function measureChurn(teams, { rounds, timed, log }) {
  const read = { command: 'time', argument: { set: 'hot', way: 'sync', ...timed } };
  const spin = { command: 'spin', argument: timed };
  const write = (workload) => ({ command: 'measure', argument: { workload, inFlight: 64, ...timed } });
  const parts = {
    readers: [read, read],
    'readers, spin': [read, read, spin],
    'readers, other': [read, read, write('other')],
    'readers, same': [read, read, write('same')],
    writer: [undefined, undefined, write('other')],
    'writer, spin': [spin, spin, write('other')],
  };
  return inRounds({
    cells: Object.keys(SITUATIONS).map((situation) => ({ situation })),
    teams,
    rounds,
    log,
    describe: ({ situation }) => SITUATIONS[situation],
    async run({ team }, { situation }) {
      const found = await team.together(parts[situation]);
      const reads = situation.startsWith('readers') && readsOf(found.slice(0, READERS));
      const isWriting = !situation.endsWith('spin') || situation.startsWith('writer');
      const writes = found[READERS] && isWriting && operationsOf([found[READERS]]);
      return { ...(reads && { ns: reads.ns, reads: reads.rate }), ...(writes && { writes: writes.rate }) };
    },
  });
}

export function showChurn(results) {
  const contenders = [...new Set(results.map(({ contender }) => contender))];
  const rows = Object.entries(SITUATIONS).map(([situation, title]) => [
    title,
    ...contenders.flatMap((contender) => {
      const { ns, writes } = results.find((one) => one.contender === contender && one.situation === situation);
      return [ns === undefined ? '' : nanos(ns), writes === undefined ? '' : rate(writes)];
    }),
  ]);
  console.log(
    `\n${READERS} readers of strings of 1 KiB, and a writer with 64 in flight: median of a read, writes per second`,
  );
  console.log(table([['', ...contenders.flatMap((contender) => [contender, 'writes'])], ...rows]));
}
