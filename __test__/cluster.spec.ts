import assert from 'node:assert/strict';
import test from 'ava';
import { type Agent, AgentGone, Agents, type RemoteError } from './helpers/agents.ts';
import { Cluster, type ClusterOptions } from './helpers/cluster.ts';
import { patient, unique } from './helpers/names.ts';
import { SHARED, TRANSPORT } from './helpers/transport.ts';
import { SAMPLES } from './helpers/values.ts';
import { until, within } from './helpers/wait.ts';

let agents: Agents;
/** A cluster that tests share; each uses a namespace of its own and leaves its processes alone. */
let shared: Cluster;

test.before(async () => {
  agents = await Agents.start();
  shared = await Cluster.start(agents, { workers: 3 });
});
test.after.always(() => agents?.close());

const VARIANTS: ClusterOptions[] = [
  { serialization: 'json', load: 'before', worker: 'worker.mjs' },
  { serialization: 'json', load: 'after', worker: 'worker.cjs' },
  { serialization: 'advanced', load: 'before', worker: 'worker.cjs' },
  { serialization: 'advanced', load: 'after', worker: 'worker.mjs' },
];

for (const variant of VARIANTS) {
  const title = `workers forked ${variant.load === 'before' ? 'after' : 'before'} the primary loads the package`;
  test.serial(`${title} share its cache (${variant.serialization} messages, ${variant.worker})`, async (t) => {
    const { primary, workers } = await Cluster.start(agents, variant);
    const options = { timeout: 15_000 };
    // In the `after` variants there is no host yet: the calls wait.
    const stored = workers.map((worker, index) => worker.call(options, 'set', `from ${index}`, { index }));
    if (variant.load === 'after') await primary.run(({ cc }) => void cc.ClusteredCache.bootstrap());
    t.deepEqual(await Promise.all(stored), [true, true]);
    for (const agent of [primary, ...workers]) {
      t.deepEqual(await agent.call(options, 'get', 'from 0'), { index: 0 });
      t.deepEqual(await agent.call(options, 'get', 'from 1'), { index: 1 });
    }
    const where = await Promise.all(
      [primary, ...workers].map((agent) =>
        agent.run(({ cache }, options) => {
          const { role, transport } = cache(options);
          return `${role} ${transport}`;
        }, options),
      ),
    );
    t.deepEqual(where, ['host direct', `client ${TRANSPORT}`, `client ${TRANSPORT}`]);
    await primary.kill();
    await Promise.all(workers.map((worker) => within(worker.gone, 'workers of a dead primary')));
  });
}

test('a plain import in the primary is enough for its workers', async (t) => {
  const cluster = await Cluster.start(agents, { load: 'after' });
  await cluster.primary.run(({ cc }) => typeof cc);
  t.is(await cluster.worker(0).call({ timeout: 15_000 }, 'set', 'key', 1), true);
  t.is(await cluster.worker(1).call({ timeout: 15_000 }, 'get', 'key'), 1);
});

test('values pass from worker to worker unchanged', async (t) => {
  const options = patient();
  const [first, second] = [shared.worker(0), shared.worker(1)];
  await first.call(
    options,
    'mSet',
    SAMPLES.map(({ name, make }) => [name, make()]),
  );
  for (const { name, make } of SAMPLES) {
    const value = make();
    // The test's own channel uses V8's serialization; an error recreated here has a stack of its own.
    const found = await second.call(options, 'get', name);
    assert.deepStrictEqual(found, value, name);
  }
  t.is(await second.call(options, 'size'), SAMPLES.length);
});

test('every method works in a worker', async (t) => {
  const options = patient();
  const worker = shared.worker(0);
  const call = (method: string, ...args: unknown[]) => worker.call(options, method, ...args);
  t.is(await call('set', 'a', 1, { ttl: 600_000 }), true);
  t.is(await call('get', 'a'), 1);
  t.is(await call('peek', 'a'), 1);
  t.is(await call('has', 'a'), true);
  t.is(await call('setIfAbsent', 'a', 2), false);
  t.is(await call('incr', 'n'), 1);
  t.is(await call('decr', 'n', 3), -2);
  t.is((await call('count', 'n', 2)).value, 0);
  t.is(
    await call('mSet', [
      ['b', 2],
      ['c', 3],
    ]),
    2,
  );
  t.deepEqual(
    await call('mGet', ['b', 'x']),
    new Map([
      ['b', 2],
      ['x', undefined],
    ]),
  );
  t.deepEqual(
    await call('mHas', ['b', 'x']),
    new Map([
      ['b', true],
      ['x', false],
    ]),
  );
  t.deepEqual(await call('keys'), ['b', 'c', 'n', 'a']);
  t.deepEqual(await call('values', { prefix: 'b' }), [2]);
  t.deepEqual(await call('entries', { prefix: 'c' }), [['c', 3]]);
  t.is(await call('size'), 4);
  t.true((await call('calculatedSize')) > 0);
  t.true((await call('getRemainingTTL', 'a')) <= 600_000);
  t.is(await call('touch', 'a', { ttl: 0 }), true);
  t.is((await call('info', 'a')).remainingTTL, Infinity);
  t.is(await call('purgeStale'), false);
  const dump = await call('dump');
  t.is(await call('getAndDelete', 'a'), 1);
  t.is(await call('delete', 'b'), true);
  t.is(await call('mDelete', ['c', 'x']), 1);
  t.is(await call('load', dump), 4);
  t.is(await call('clear', { prefix: 'a' }), 1);
  t.is(await call('max', 2), 2);
  t.is(await call('size'), 2);
  t.is((await call('stats')).evictions, 1);
  t.is(await call('healthCheck').then(() => true), true);
  t.is(
    await worker.run(async ({ cache }, options) => {
      let entries = 0;
      for await (const _ of cache(options)) entries += 1;
      return entries;
    }, options),
    2,
  );
  t.is(await worker.run(({ cache }, options) => cache(options).fetch('f', () => 'loaded'), options), 'loaded');
  t.is(await call('destroy').then(() => true), true);
  t.is(await call('size'), 0);
});

test('methods that only a host has are refused in a worker', async (t) => {
  const options = patient();
  const worker = shared.worker(0);
  for (const method of ['setSync', 'deleteSync', 'incrSync']) {
    await t.throwsAsync(worker.call(options, method, 'key', 1), { code: 'ERR_CC_NOT_HOST' }, method);
  }
  await t.throwsAsync(
    worker.run(({ cc }) => cc.ClusteredCache.getAllCaches().size),
    { code: 'ERR_CC_NOT_HOST' },
  );
});

test("synchronous reads work in a worker that reads the host's memory, and are refused in any other", async (t) => {
  const options = patient();
  const worker = shared.worker(0);
  await worker.call(options, 'set', 'key', { a: 1 });
  for (const [method, answer] of [
    ['getSync', { a: 1 }],
    ['peekSync', { a: 1 }],
    ['hasSync', true],
  ] as const) {
    const call = worker.call(options, method, 'key');
    if (SHARED) t.deepEqual(await call, answer, method);
    else await t.throwsAsync(call, { code: 'ERR_CC_NO_SHARED_TABLE', message: /await / }, method);
  }
});

test('counters are exact, whichever processes count', async (t) => {
  const options = patient();
  const count = async ({ cache }: { cache(options: object): any }, options: object) => {
    const target = cache(options);
    const seen: number[] = [];
    for (let round = 0; round < 20; round += 1) {
      seen.push(...(await Promise.all(Array.from({ length: 50 }, () => target.incr('n')))));
    }
    return seen;
  };
  const everybody = [shared.primary, ...shared.workers];
  const seen = (await Promise.all(everybody.map((agent) => agent.run(count, options)))).flat();
  t.is(seen.length, 4_000);
  t.is(new Set(seen).size, 4_000, 'no number was answered twice');
  t.is(await shared.primary.call(options, 'get', 'n'), 4_000);
});

test('setIfAbsent succeeds for one process only', async (t) => {
  const options = patient();
  for (let round = 0; round < 20; round += 1) {
    const answers = await Promise.all(
      shared.workers.map((worker) => worker.call(options, 'setIfAbsent', round, worker.pid)),
    );
    t.is(answers.filter(Boolean).length, 1);
  }
});

test('a key is loaded once in the whole cluster', async (t) => {
  const options = patient();
  const load = ({ cache, state }: { cache(options: object): any; state: Record<string, any> }, options: object) => {
    state.loads ??= 0;
    return Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        cache(options).fetch(`key ${index % 10}`, async () => {
          state.loads += 1;
          await new Promise((resolve) => setImmediate(resolve));
          return process.pid;
        }),
      ),
    );
  };
  const everybody = [shared.primary, ...shared.workers];
  const answers = await Promise.all(everybody.map((agent) => agent.run(load, options)));
  for (const answer of answers) t.deepEqual(answer, answers[0]);
  const loads = await Promise.all(everybody.map((agent) => agent.run(({ state }) => state.loads)));
  t.is(
    loads.reduce((sum, one) => sum + one, 0),
    10,
  );
});

test('an acknowledged write is visible to every later read of every process', async (t) => {
  const options = patient();
  const everybody = [shared.primary, ...shared.workers];
  for (let round = 0; round < 100; round += 1) {
    const writer = everybody[round % everybody.length]!;
    await writer.call(options, 'set', 'key', round);
    const seen = await Promise.all(everybody.map((agent) => agent.call(options, 'get', 'key')));
    t.deepEqual(seen, [round, round, round, round]);
  }
});

test("workers are served while the primary's event loop is blocked", async (t) => {
  const cluster = await Cluster.start(agents);
  const options = patient();
  await Promise.all(cluster.workers.map((worker) => worker.call(options, 'get', 'key')));
  const BLOCKED = 2_000;
  await cluster.primary.block(BLOCKED);
  const order: string[] = [];
  const awake = cluster.primary.run(() => {}).then(() => order.push('primary'));
  const served = await Promise.all(
    cluster.workers.map((worker) =>
      worker.run(async ({ cache }, options) => {
        const target = cache(options);
        let slowest = 0;
        for (let round = 0; round < 200; round += 1) {
          const start = performance.now();
          await target.set('key', round);
          await target.get('key');
          await target.incr('n');
          slowest = Math.max(slowest, performance.now() - start);
        }
        return slowest;
      }, options),
    ),
  );
  order.push('workers');
  await awake;
  t.deepEqual(order, ['workers', 'primary']);
  for (const slowest of served) t.true(slowest < BLOCKED / 2, `${slowest} ms`);
  t.is(await cluster.primary.call(options, 'get', 'n'), 400);
});

test('killing a worker does not affect other workers or the data', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 2 });
  const options = patient();
  const [first, second] = [cluster.worker(0), cluster.worker(1)];
  await first.call(options, 'set', 'key', 'from the first');
  await second.call(options, 'get', 'key');
  await until('two clients', async () => (await second.call(options, 'stats')).clients === 2);
  const pending = first.run(({ cache }, options) => cache(options).fetch('slow', () => new Promise(() => {})), options);
  await until('a leader', async () => (await second.call(options, 'stats')).fetches.leads === 1);
  const takeover = second.run(({ cache }, options) => cache(options).fetch('slow', () => 'second'), options);
  await until('a waiter', async () => (await second.call(options, 'stats')).fetches.waits === 1);
  await first.kill();
  await t.throwsAsync(pending, { instanceOf: AgentGone });
  t.is(await takeover, 'second');
  t.is(await second.call(options, 'get', 'key'), 'from the first');
  await until('one client', async () => (await second.call(options, 'stats')).clients === 1);
  const third = await cluster.fork();
  t.is(await third.call(options, 'get', 'key'), 'from the first');
});

test('a worker that exits during calls does not affect other processes', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const options = patient();
  for (let round = 0; round < 5; round += 1) {
    const worker = await cluster.fork();
    const dying = worker.run(({ cache }, options) => {
      const target = cache(options);
      for (let index = 0; index < 1_000; index += 1) void target.set(index, 'x'.repeat(100));
      void target.fetch('key', () => new Promise(() => {}));
      setImmediate(() => process.exit(0));
      return new Promise(() => {});
    }, options);
    await t.throwsAsync(dying, { instanceOf: AgentGone });
  }
  t.is(
    await cluster.worker(0).run(({ cache }, options) => cache(options).fetch('key', () => 'alive'), options),
    'alive',
  );
});

test('a worker that has left the cluster still reaches the cache', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const worker = cluster.worker(0);
  const options = patient();
  await worker.call(options, 'set', 'key', 1);
  await worker.run(({ require }) => {
    const { worker } = require('node:cluster');
    return new Promise((resolve) => worker.once('disconnect', () => resolve(true)).disconnect());
  });
  t.is(await worker.call(options, 'get', 'key'), 1);
  t.is(await worker.call({ ...options, timeout: 14_000 }, 'incr', 'n'), 1, 'a new instance as well');
});

test("the application's own messages arrive unchanged", async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const worker = cluster.worker(0);
  await cluster.primary.run(({ cluster, state }) => {
    state.received = [];
    cluster.on('message', (_worker, message) => state.received.push(message));
    for (const one of Object.values(cluster.workers ?? {})) one?.send({ application: 'to worker' });
  });
  await worker.run(({ state }) => {
    state.received = [];
    process.on('message', (message) => state.received.push(message));
    process.send?.({ application: 'to primary' });
    process.send?.('text');
    process.send?.(null as never, () => {});
  });
  await worker.call(patient(), 'set', 'key', 1);
  const received = await until('messages', () =>
    cluster.primary.run(({ state }) => state.received.length >= 3 && state.received),
  );
  t.deepEqual(
    received.filter((message: any) => !message?.['clustered-cache']),
    [{ application: 'to primary' }, 'text', null],
  );
});

test('a helper that a worker forks hosts a cache of its own', async (t) => {
  const worker = shared.worker(0);
  const options = patient();
  await worker.call(options, 'set', 'key', 'of the cluster');
  const helper = await shared.forkHelper(worker);
  t.is(await helper.run(({ cache }, options) => cache(options).role, options), 'host');
  t.is(await helper.call(options, 'get', 'key'), undefined);
  await helper.call(options, 'set', 'key', 'of the helper');
  t.is(await worker.call(options, 'get', 'key'), 'of the cluster');
});

test("a helper with the cluster's endpoint in its environment shares the cache", async (t) => {
  const endpoint = await shared.primary.run(async ({ cc }) => (await cc.ClusteredCache.listen()).endpoint);
  const options = patient();
  await shared.worker(0).call(options, 'set', 'key', 'of the cluster');
  const helper = await shared.forkHelper(shared.worker(0), 'process.cjs', { CLUSTERED_CACHE_ENDPOINT: endpoint });
  t.is(await helper.run(({ cache }, options) => cache(options).role, options), 'client');
  t.is(await helper.call(options, 'get', 'key'), 'of the cluster');
  await helper.call(options, 'set', 'key', 'of the helper');
  t.is(await shared.worker(1).call(options, 'get', 'key'), 'of the helper');
});

test('a cluster inside a worker of another is a cluster of its own', async (t) => {
  const options = patient();
  const outer = shared.worker(0);
  const primary = await shared.forkHelper(outer, 'primary.cjs', Cluster.environment({ load: 'before' }));
  const inner = await Cluster.of(agents, primary, 2);
  await outer.call(options, 'set', 'key', 'outer');
  await inner.worker(0).call(options, 'set', 'key', 'inner');
  t.is(await inner.worker(1).call(options, 'get', 'key'), 'inner');
  t.is(await primary.call(options, 'get', 'key'), 'inner');
  t.is(await shared.worker(1).call(options, 'get', 'key'), 'outer');
});

test('without a host, the error in a worker says what to do', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1, load: 'after' });
  const worker = cluster.worker(0);
  const strict = { namespace: unique(), timeout: 100, failsafe: 'reject' as const };
  const error = (await t.throwsAsync(worker.call(strict, 'get', 'key'), { code: 'ERR_CC_NO_HOST' })) as RemoteError;
  t.regex(error.message, /primary/);
  await t.throwsAsync(worker.call(strict, 'healthCheck'), { code: 'ERR_CC_NO_HOST' });
  await t.throwsAsync(
    worker.run(async ({ cc }, options) => void (await cc.ClusteredCache.getInstance(options)), strict),
    { code: 'ERR_CC_NO_HOST' },
  );
  const lenient = { namespace: unique(), timeout: 100 };
  t.is(await worker.call(lenient, 'get', 'key'), undefined);
  t.is(await worker.call(lenient, 'set', 'key', 1), false);
  await t.throwsAsync(worker.call(lenient, 'incr', 'key'), { code: 'ERR_CC_NO_HOST' });
  t.is(
    await worker.run(({ cache }, options) => cache(options).fetch('key', () => 'loaded here'), lenient),
    'loaded here',
  );
});

test('after a worker has waited in vain for a host, its calls fail at once until the primary answers', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1, load: 'after' });
  const worker = cluster.worker(0);
  const namespace = unique();
  t.is(await worker.call({ namespace, timeout: 100 }, 'get', 'key'), undefined, 'the first one waits');
  const patientOnes = { namespace, timeout: 3_600_000 };
  t.is(await worker.call(patientOnes, 'set', 'key', 1), false, 'not for an hour');
  const restored = worker.run(
    ({ cache }, options) => new Promise<boolean>((resolve) => cache(options).once('restored', () => resolve(true))),
    patientOnes,
  );
  await cluster.primary.run(({ cc }) => void cc.ClusteredCache.bootstrap());
  t.true(await restored);
  t.is(await worker.call(patientOnes, 'set', 'key', 2), true);
});

/** Collects the warnings of a process; returns how to get those of differing options. */
async function collectWarnings(agent: Agent): Promise<() => Promise<string[]>> {
  await agent.run(({ state }) => {
    state.warnings = [];
    process.on('warning', (warning) => {
      if ((warning as { code?: string }).code === 'CC_OPTIONS_DIFFER') state.warnings.push(warning.message);
    });
  });
  return () => agent.run(({ state }) => state.warnings as string[]);
}

test('of two processes that declare an option, the one that started last is right, and the other warns once', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const namespace = unique();
  const old = cluster.worker(0);
  const warnings = await collectWarnings(old);
  const declared = { namespace, max: 5, timeout: 15_000 };
  await old.call(declared, 'set', 'key', 1);

  const young = await cluster.fork();
  const silence = await collectWarnings(young);
  const newer = { namespace, max: 6, timeout: 15_000 };
  t.is(await young.call(newer, 'get', 'key'), 1, 'the content stays');
  for (const [agent, options] of [
    [old, declared],
    [young, newer],
  ] as const)
    t.is(await agent.call(options, 'max'), 6);
  const [warning] = await until('a warning', async () => {
    const found = await warnings();
    return found.length > 0 && found;
  });
  for (const part of [namespace, '`max` as 5', '6 is in force', `pid ${old.pid}`, `process ${young.pid}`]) {
    t.true(warning!.includes(part), `${part} in: ${warning}`);
  }

  // Another process that agrees, and an older one that opens the namespace again.
  const third = await cluster.fork();
  t.is(await third.call(newer, 'max'), 6);
  t.is(await old.call({ ...declared, near: true }, 'max'), 6);
  t.is((await warnings()).length, 1);
  t.deepEqual(await silence(), []);
});

test('instances of one process must agree, and one that is strict must agree with all', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 2 });
  const namespace = unique();
  await cluster.worker(0).call({ namespace, max: 5, timeout: 15_000 }, 'set', 'key', 1);
  const conflict = { namespace, max: 6, timeout: 15_000 };
  for (const [agent, options] of [
    [cluster.worker(0), conflict],
    [cluster.worker(1), { ...conflict, conflict: 'reject' }],
  ] as const) {
    const ready = agent.run(({ cache }, options) => cache(options).ready, options);
    await t.throwsAsync(ready, { code: 'ERR_CC_OPTIONS_CONFLICT', message: /max/ });
    await t.throwsAsync(agent.call(options, 'get', 'key'), { code: 'ERR_CC_OPTIONS_CONFLICT' });
    t.is(await agent.call({ namespace }, 'get', 'key'), 1);
  }
});

test('an instance that was refused works once nothing stands against it', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const namespace = unique();
  const outcomes = await cluster.worker(0).run(async ({ cc }, namespace) => {
    const open = (max: number) => new cc.ClusteredCache<string, number>({ namespace, max, timeout: 15_000 });
    const first = open(5);
    await first.set('key', 1);
    const refused = open(6);
    const code = await refused.get('key').catch((error: Error & { code?: string }) => error.code);
    await first.close();
    return [code, await refused.get('key'), await refused.max()];
  }, namespace);
  t.deepEqual(outcomes, ['ERR_CC_OPTIONS_CONFLICT', 1, 6]);
});

test("errors of a worker's calls have the right class in the worker", async (t) => {
  const error = (await t.throwsAsync(shared.worker(0).call({}, 'get', null))) as RemoteError;
  t.is(error.code, 'ERR_CC_INVALID_KEY');
  t.true(error.classes.includes('TypeError'));
});
