// The targets of the project, and whether this run reached them. For information only: a busy machine fails no run.

import { BEFORE } from './contender.mjs';
import { ratio } from './statistics.mjs';
import { table } from './table.mjs';

const MANY = { workers: 2, inFlight: 64 };
const ONE = { workers: 1, inFlight: 1 };

// --- what was measured -------------------------------------------------------------------------------------------

/** The one cell of a section with these members. */
const cell = (results, section, members) =>
  results[section]?.find((one) => Object.entries(members).every(([name, value]) => one[name] === value));

/** How many times the figure of one cell is that of another: median of the rounds' quotients. */
const quotient = (section, figure, above, below) => (results) => {
  const [a, b] = [cell(results, section, above), cell(results, section, below)];
  return a?.rounds[figure] && b?.rounds[figure] && ratio(a.rounds[figure], b.rounds[figure]);
};

const show = (unit, digits) => (value) => `${value.toFixed(digits)}${unit}`;

const atLeast = (what, limit, found) => ({
  what,
  wanted: `at least ${limit}x`,
  found,
  show: show('x', 2),
  reached: (value) => value >= limit,
});

const atMost = (what, limit, unit, found, digits = 1) => ({
  what,
  wanted: `at most ${limit}${unit}`,
  found,
  show: show(unit, digits),
  reached: (value) => value <= limit,
});

/** At least this many times as many operations per second, with many in flight. */
const faster = (ours, workload, against, times) =>
  atLeast(
    `${ours}: ${workload}, 2 x 64, against ${against}`,
    times,
    quotient('throughput', 'rate', { contender: ours, workload, ...MANY }, { contender: against, workload, ...MANY }),
  );

/** At least this many times as many operations per second, one at a time. */
const fasterAlone = (ours, workload, against, times) =>
  atLeast(
    `${ours}: ${workload}, 1 x 1, against ${against}`,
    times,
    quotient('throughput', 'rate', { contender: ours, workload, ...ONE }, { contender: against, workload, ...ONE }),
  );

/** One operation at a time takes no longer. */
const noSlower = (ours, workload, against) => ({
  ...atLeast(
    `${ours}: ${workload}, 1 x 1, p50 against ${against}`,
    1,
    quotient('throughput', 'p50', { contender: against, workload, ...ONE }, { contender: ours, workload, ...ONE }),
  ),
  wanted: 'no longer',
});

/** One read at a time, the middle one: this many times as long as another's, at most. */
const noLonger = (what, limit, ours, theirs) => atMost(what, limit, 'x', quotient('latency', 'ns', ours, theirs), 2);

/** The inverse: at least this many times as fast. */
const moreReads = (what, limit, ours, theirs) => atLeast(what, limit, quotient('latency', 'ns', theirs, ours));

const program = ({ load }, name) => load?.find((one) => one.name === name);

/** How much longer a program takes than one that does nothing. */
const loadingTime = (results, figure, name) => {
  const [alone, loaded] = [program(results, 'node alone'), program(results, name)];
  return loaded && loaded[figure] - alone[figure];
};

const memoryOf = ({ memory }, bytes) => memory?.find((one) => one.bytes === bytes);

// --- what was wanted ---------------------------------------------------------------------------------------------

const sync = (contender, set) => ({ contender, set, way: 'sync' });
const awaited = (contender, set) => ({ contender, set, way: 'awaited' });

/** Readers beside a writer do not slow it down much. */
const notSlowed = (what, writer, readers, busy) => {
  const alone = { contender: 'shared', worker: undefined, primary: undefined, busy: undefined, ...writer };
  return atLeast(what, 0.8, quotient('churn', 'writes', { ...alone, readers }, { ...alone, readers: 0, busy }));
};

/** Nor does a writer the readers beside it. */
const notHeldUp = (contender, who, writer, readers) => {
  const alone = { contender, readers, worker: undefined, primary: undefined, busy: undefined };
  return atMost(
    `${contender}: a read beside ${who}, against one alone`,
    2,
    'x',
    quotient('churn', 'single', { ...alone, ...writer }, alone),
    2,
  );
};

/** Reads at memory speed. */
const READS = [
  noLonger('near: getSync of an object, against lru-cache get', 1, sync('near', 'object'), sync('lru-cache', 'object')),
  noLonger(
    'near: getSync of a 1 KiB string, against lru-cache get',
    1,
    sync('near', 'text'),
    sync('lru-cache', 'text'),
  ),
  noLonger(
    'near: awaited get of an object, against awaited lru-cache',
    1.15,
    awaited('near', 'object'),
    awaited('lru-cache', 'object'),
  ),
  noLonger(
    'near: awaited get of a 1 KiB string, against awaited lru-cache',
    1.15,
    awaited('near', 'text'),
    awaited('lru-cache', 'text'),
  ),
  moreReads('shared: getSync of a 1 KiB string, against lmdb', 1.1, sync('shared', 'text'), sync('lmdb', 'text')),
  moreReads('shared: getSync of an object, against lmdb', 1, sync('shared', 'object'), sync('lmdb', 'object')),
  moreReads(
    'shared: get of an object one at a time, against cluster-ipc',
    25,
    awaited('shared', 'object'),
    awaited('cluster-ipc', 'object'),
  ),
  moreReads(
    'shared: get of a 1 KiB string one at a time, against cluster-ipc',
    25,
    awaited('shared', 'text'),
    awaited('cluster-ipc', 'text'),
  ),
  atMost('shared: a miss', 350, ' ns', (results) => cell(results, 'latency', sync('shared', 'missing'))?.ns, 0),
  faster('shared', 'get-bytes', 'ioredis', 4),
  moreReads('shared: getSync of a 100 KiB buffer, against lmdb', 1, sync('shared', 'bytes'), sync('lmdb', 'bytes')),
  faster('shared', 'mget-text', 'cluster-ipc', 8),
  atMost(
    'shared: a hit at 1,000,000 entries, against one at 1,000',
    2.5,
    'x',
    quotient('growth', 'ns', { contender: 'shared', entries: 1_000_000 }, { contender: 'shared', entries: 1_000 }),
    2,
  ),
  ...[1_000, 50_000].map((entries) =>
    atLeast(
      `near: getSync among ${entries} kept values, against lru-cache`,
      1,
      quotient('kept', 'ns', { contender: 'lru-cache', entries }, { contender: 'near', entries }),
    ),
  ),
  ...['set-object', 'set-text'].map((workload) => faster('shared', workload, BEFORE, 0.85)),
  notSlowed('a worker that writes beside 2 readers, against one alone', { worker: 'other' }, 2),
  notSlowed('a worker that writes beside 2 readers, against one beside 2 busy processes', { worker: 'other' }, 2, 2),
  notSlowed('a primary that writes beside 1 reader, against one alone', { primary: 'other' }, 1),
  notSlowed('a primary that writes beside 1 reader, against one beside 1 busy process', { primary: 'other' }, 1, 1),
  ...['shared', 'near'].flatMap((contender) => [
    notHeldUp(contender, 'a worker that writes other keys', { worker: 'other' }, 2),
    notHeldUp(contender, 'a worker that writes the same keys', { worker: 'same' }, 2),
    notHeldUp(contender, 'a primary that writes other keys', { primary: 'other' }, 1),
    notHeldUp(contender, 'a primary that writes the same keys', { primary: 'same' }, 1),
  ]),
];

/** Targets over the socket, and those that do not concern reading. */
const SOCKET = [
  faster('socket', 'get-object', 'cluster-ipc', 5),
  faster('socket', 'get-object', 'ioredis', 2.5),
  faster('shared', 'set-object', 'cluster-ipc', 3),
  faster('shared', 'set-object', 'ioredis', 3),
  faster('shared', 'incr', 'cluster-ipc', 3),
  faster('shared', 'incr', 'ioredis', 3),
  fasterAlone('shared', 'set-object', 'ioredis', 1.5),
  fasterAlone('shared', 'incr', 'ioredis', 1.5),
  faster('socket', 'mget-object', 'cluster-ipc', 3),
  faster('socket', 'get-bytes', 'ioredis', 1.5),
  faster('shared', 'set-bytes', 'ioredis', 1.5),
  noSlower('socket', 'get-object', 'cluster-ipc'),
  noSlower('socket', 'get-object', 'ioredis'),
  ...['shared', 'socket'].map((contender) =>
    atMost(`${contender}: get while the primary is blocked, p99`, 2, ' ms', (results) => {
      const ours = cell(results, 'blocked', { contender });
      return ours && ours.p99 / 1e3;
    }),
  ),
  atMost('memory for 200 MiB of 1 KiB strings', 1.25, 'x', (results) => memoryOf(results, 1_024)?.host.ofData, 2),
  atMost('memory of a worker above a bare one', 8, ' MiB', (results) => {
    const found = memoryOf(results, 1_024);
    return found && found.worker.used / 1024 ** 2;
  }),
  atMost('require()', 8, ' ms', (results) => loadingTime(results, 'inside', 'with require()')),
  ...['inside', 'cpu'].map((figure) =>
    atMost(
      `require(), ${figure === 'cpu' ? 'processor time' : 'time'} against ${BEFORE}`,
      0.6,
      'x',
      (results) => {
        const before = loadingTime(results, figure, 'with require(), before');
        return before && loadingTime(results, figure, 'with require()') / before;
      },
      2,
    ),
  ),
  atMost('process start and exit, longer by', 20, ' ms', (results) => {
    const [alone, used] = [program(results, 'node alone'), program(results, 'with a cache used')];
    return used && used.life - alone.life;
  }),
];

/** Each target with its figure, except those that this run did not measure. */
export function judge(results) {
  return [...READS, ...SOCKET].flatMap(({ what, wanted, found, show, reached }) => {
    const value = found(results);
    return value === undefined ? [] : [{ what, wanted, found: show(value), value, reached: reached(value) }];
  });
}

export function showTargets(verdicts, { throughput, decode }) {
  if (verdicts.length === 0) return;
  console.log('\nTargets');
  const rows = verdicts.map(({ what, wanted, found, reached }) => [
    what,
    wanted,
    found,
    reached ? 'reached' : 'NOT REACHED',
  ]);
  console.log(table([['', 'wanted', 'found', ''], ...rows]));
  showDecoding(throughput ?? [], decode);
}

/** How close mGet comes to the lower bound of creating the objects. */
function showDecoding(throughput, decode) {
  const find = (contender) => cell({ throughput }, 'throughput', { contender, workload: 'mget-object', ...MANY });
  const [ours, theirs] = [find('shared'), find('cluster-ipc')];
  if (!ours) return;
  console.log(
    `\n  mGet reaches ${((100 * ours.rate) / decode).toFixed(0)} % of the rate at which the same two workers ` +
      'JSON.parse objects that they already have' +
      (theirs ? `;\n  that rate itself is ${(decode / theirs.rate).toFixed(2)}x cluster-ipc` : ''),
  );
}
