import test from 'ava';
import { Agents } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { patient, unique } from './helpers/names.ts';

let agents: Agents;
let cluster: Cluster;

test.before(async () => {
  agents = await Agents.start();
  cluster = await Cluster.start(agents, { workers: 1 });
});
test.after.always(() => agents?.close());

test('a request made late in a turn that outlasts the timeout still has its whole timeout', async (t) => {
  const options = { namespace: unique(), timeout: 500, failsafe: 'reject' };
  const worker = cluster.worker(0);
  await worker.call(options, 'healthCheck');
  // In a timer callback, after which the next timer runs before any answer can arrive.
  const stored = await worker.run(async ({ cache, block }, options) => {
    const turn = () => {
      const early = cache(options).set('early', 1);
      block(2 * options.timeout);
      return [early, cache(options).set('late', 2)];
    };
    return await Promise.all(await new Promise<Promise<boolean>[]>((resolve) => setTimeout(() => resolve(turn()), 0)));
  }, options);
  t.deepEqual(stored, [true, true]);
});

test('requests are sent and answered during an event-loop turn that does not end', async (t) => {
  const worker = cluster.worker(0);
  const options = patient();
  await worker.call(options, 'healthCheck');
  const asked = await worker.run(async ({ cache }, options) => {
    const mine = cache(options);
    const answers: boolean[] = [];
    let asked = 0;
    const end = performance.now() + 10_000;
    // Only microtasks: the code never returns to the event loop.
    while (answers.length === 0 && performance.now() < end) {
      void mine.set(`key ${asked % 100}`, asked).then((stored) => answers.push(stored));
      asked += 1;
      await undefined;
    }
    return answers.length > 0 ? asked : Infinity;
  }, options);
  t.true(asked < Infinity, 'nothing was answered');
  t.is(await worker.call(options, 'size'), 100);
});

test('requests of one event-loop turn are carried out in order, however many there are', async (t) => {
  const worker = cluster.worker(0);
  const last = await worker.run(async ({ cache }, options) => {
    const mine = cache(options);
    const counts = await Promise.all(Array.from({ length: 5_000 }, () => mine.incr('n')));
    return counts.every((count, index) => count === index + 1) && counts.length;
  }, patient());
  t.is(last, 5_000);
});
