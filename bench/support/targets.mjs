// What the project set out to reach, and whether this run did. For information: a busy machine fails nobody.

import { ratio } from './statistics.mjs';
import { table } from './table.mjs';

const OURS = 'clustered-cache';
const MANY = { workers: 2, inFlight: 64 };
const ONE = { workers: 1, inFlight: 1 };

/** At least so many times as many operations per second. */
const faster = (workload, against, atLeast) => ({
  what: `${workload}, 2 x 64, against ${against}`,
  wanted: `at least ${atLeast}x`,
  ...times(workload, MANY, 'rates', OURS, against),
  reached: (times) => times >= atLeast,
});

/** One operation at a time takes no longer. */
const noSlower = (workload, against) => ({
  what: `${workload}, 1 x 1, p50 against ${against}`,
  wanted: 'no longer',
  ...times(workload, ONE, 'p50s', against, OURS),
  reached: (times) => times >= 1,
});

function times(workload, load, measure, above, below) {
  return {
    found({ throughput = [] }) {
      const find = (contender) =>
        throughput.find(
          (one) =>
            one.contender === contender &&
            one.workload === workload &&
            one.workers === load.workers &&
            one.inFlight === load.inFlight,
        );
      const [a, b] = [find(above), find(below)];
      return a && b && ratio(a[measure], b[measure]);
    },
    show: (times) => `${times.toFixed(2)}x`,
  };
}

const atMost = (what, limit, unit, found, digits = 1) => ({
  what,
  wanted: `at most ${limit}${unit}`,
  found,
  show: (value) => `${value.toFixed(digits)}${unit}`,
  reached: (value) => value <= limit,
});

const program = ({ load }, name) => load?.find((one) => one.name === name);

const TARGETS = [
  faster('get-object', 'cluster-ipc', 5),
  faster('get-object', 'ioredis', 2.5),
  faster('set-object', 'cluster-ipc', 3),
  faster('set-object', 'ioredis', 2),
  faster('incr', 'cluster-ipc', 3),
  faster('incr', 'ioredis', 2),
  faster('mget-object', 'cluster-ipc', 3),
  faster('get-bytes', 'ioredis', 1.5),
  faster('set-bytes', 'ioredis', 1.5),
  noSlower('get-object', 'cluster-ipc'),
  noSlower('get-object', 'ioredis'),
  atMost('get while the primary is blocked, p99', 2, ' ms', ({ blocked }) => {
    const ours = blocked?.find(({ contender }) => contender === OURS);
    return ours && ours.p99 / 1e3;
  }),
  atMost('host memory for 200 MiB', 1.25, 'x', ({ memory }) => memory?.[0].host.ofData, 2),
  atMost('worker memory above a bare worker', 8, ' MiB', ({ memory }) => memory && memory[0].worker.used / 1024 ** 2),
  atMost('require()', 15, ' ms', (results) => {
    const [alone, loaded] = [program(results, 'node alone'), program(results, 'with require()')];
    return loaded && loaded.inside - alone.inside;
  }),
  atMost('process start and exit, longer by', 20, ' ms', (results) => {
    const [alone, used] = [program(results, 'node alone'), program(results, 'with a cache used')];
    return used && used.life - alone.life;
  }),
];

/** Each target with what was found; without what this run did not measure. */
export function judge(results) {
  return TARGETS.flatMap(({ what, wanted, found, show, reached }) => {
    const value = found(results);
    return value === undefined ? [] : [{ what, wanted, found: show(value), value, reached: reached(value) }];
  });
}

export function showTargets(verdicts, { throughput, decode }) {
  if (verdicts.length === 0) return;
  console.log('\nWhat it set out to reach');
  const rows = verdicts.map(({ what, wanted, found, reached }) => [
    what,
    wanted,
    found,
    reached ? 'reached' : 'NOT REACHED',
  ]);
  console.log(table([['', 'wanted', 'found', ''], ...rows]));
  showDecoding(throughput ?? [], decode);
}

/** How near mGet is to what nobody can do without: making the objects. */
function showDecoding(throughput, decode) {
  const find = (contender) =>
    throughput.find(
      (one) =>
        one.contender === contender &&
        one.workload === 'mget-object' &&
        one.workers === MANY.workers &&
        one.inFlight === MANY.inFlight,
    );
  const [ours, theirs] = [find(OURS), find('cluster-ipc')];
  if (!ours) return;
  console.log(
    `\n  mGet reaches ${((100 * ours.rate) / decode).toFixed(0)} % of the rate at which the same two workers ` +
      'JSON.parse objects that they already have' +
      (theirs ? `;\n  that rate itself is ${(decode / theirs.rate).toFixed(2)}x cluster-ipc` : ''),
  );
}
