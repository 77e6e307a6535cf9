// Readers and a writer at full speed at the same time. With fewer cores than busy processes, each process gets only
// part of a core, for whichever contender. So everything is also measured beside the same number of equally busy
// processes that touch no shared data; and with one reader beside a primary that writes itself, which is one thread
// each, so that they really run in parallel. Each lasts as long as a cell of throughput: the system reassigns cores
// every few milliseconds, and a shorter measurement would cover only a few of these periods.

import { inRounds, operationsOf, readsOf } from '../support/rounds.mjs';
import { nanos, rate, table } from '../support/table.mjs';

const READERS = 2;
export const CHURN_WORKERS = READERS + 1;

/** Contenders whose readers and writer share memory. */
export const CHURNING = ['shared', 'near', 'lmdb'];

const WRITE = { other: 'other keys', same: 'the same keys' };

/** One situation: a number of readers, a writer in a worker or in the primary, and processes that are only busy. */
const SITUATIONS = [
  { readers: 2 },
  { readers: 2, busy: 1 },
  { readers: 2, worker: 'other' },
  { readers: 2, worker: 'same' },
  { readers: 0, worker: 'other' },
  { readers: 0, worker: 'other', busy: 2 },
  { readers: 1 },
  { readers: 1, primary: 'other' },
  { readers: 1, primary: 'same' },
  { readers: 0, primary: 'other' },
  { readers: 0, primary: 'other', busy: 1 },
];

const describe = ({ readers, worker, primary, busy }) =>
  [
    readers > 0 && `${readers} reader${readers > 1 ? 's' : ''}`,
    worker && `a worker that writes ${WRITE[worker]}`,
    primary && `the primary that writes ${WRITE[primary]}`,
    busy && `${busy} busy process${busy > 1 ? 'es' : ''}`,
  ]
    .filter(Boolean)
    .join(', ');

const repeat = (count, part) => Array.from({ length: count }, () => part);

export function measureChurn(teams, { rounds, busy: long, log }) {
  return inRounds({
    cells: SITUATIONS,
    teams,
    rounds,
    log,
    describe,
    async run({ module, team }, { readers, worker, primary, busy = 0 }) {
      if (primary && !module.writer) return undefined;
      const parts = [
        ...repeat(readers, { command: 'time', argument: { set: 'hot', way: 'sync', ...long } }),
        ...repeat(busy, { command: 'spin', argument: long }),
      ];
      if (worker) parts[READERS] = { command: 'measure', argument: { workload: worker, inFlight: 64, ...long } };
      const found = await team.together(Array.from(parts), primary && { workload: primary, ...long });
      const writes = worker ? found.parts[READERS] : found.writes;
      const reads = readers > 0 && readsOf(found.parts.slice(0, readers));
      return {
        ...(reads && { ns: reads.ns, single: reads.single, reads: reads.rate }),
        ...(writes && { writes: operationsOf([writes]).rate }),
      };
    },
  });
}

export function showChurn(results) {
  const contenders = [...new Set(results.map(({ contender }) => contender))];
  const rows = SITUATIONS.map((situation) => [
    describe(situation),
    ...contenders.flatMap((contender) => {
      const found = results.find(
        (one) => one.contender === contender && describe(one) === describe({ ...situation, contender }),
      );
      return [
        found?.ns === undefined ? '' : `${nanos(found.single)} (${nanos(found.ns)})`,
        found?.writes === undefined ? '' : rate(found.writes),
      ];
    }),
  ]);
  console.log(
    '\nReaders of strings of 1 KiB beside a writer: median of single reads (of batches of reads), ' +
      'writes per second (64 in flight in a worker)',
  );
  console.log(table([['', ...contenders.flatMap((contender) => [contender, 'writes'])], ...rows]));
}
