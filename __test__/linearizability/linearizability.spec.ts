import test from 'ava';
import { Agents } from '../helpers/agents.ts';
import { LONG } from '../helpers/long.ts';
import { type Report, run } from './run.ts';
import { MEMBERS } from './ways.ts';

const OPERATIONS = LONG ? 1_000_000 : 100_000;
/** A failure prints the seed; CC_TEST_SEED runs the same operations again, though not with the same timing. */
const SEED = Number(process.env.CC_TEST_SEED ?? Date.now() % 2 ** 31);

let agents: Agents;
test.before(async () => {
  agents = await Agents.start();
});
test.after.always(() => agents?.close());

const summary = ({ operations, bursts, seconds, figures }: Report): string =>
  [
    `${operations} operations in ${bursts} bursts and ${seconds.toFixed(1)} s, of ${figures.keys} keys,`,
    `in ${figures.windows} windows of at most ${figures.largestWindow};`,
    `${figures.explored} steps, at most ${figures.widest} possibilities at a time`,
  ].join(' ');

test.serial('concurrent operations of any processes are linearizable for every key', async (t) => {
  t.log(`seed ${SEED}`);
  const report = await run(agents, { operations: OPERATIONS, seed: SEED });
  t.log(summary(report));
  t.deepEqual(report.problems, [], `seed ${SEED}`);
  t.is(report.violation, undefined, `seed ${SEED}: ${report.violation}`);
  t.true(report.operations >= OPERATIONS);
});

test.serial('a process that reads copies that are never invalidated is detected', async (t) => {
  const workers = MEMBERS.workers.with(0, [{ name: 'stale', stale: true }]);
  const report = await run(agents, { operations: OPERATIONS, seed: SEED, members: { ...MEMBERS, workers } });
  t.deepEqual(report.problems, [], `seed ${SEED}`);
  t.regex(String(report.violation), /worker 0 stale/, `seed ${SEED}`);
  t.log(String(report.violation));
});
