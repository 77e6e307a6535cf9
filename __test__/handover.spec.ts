import test from 'ava';
import { type Agent, AgentGone, Agents } from './helpers/agents.ts';
import { keep, quantile } from './helpers/figures.ts';
import { begin, end, fill, intact, type Seen } from './helpers/load.ts';
import { LONG } from './helpers/long.ts';
import { patient, unique } from './helpers/names.ts';
import { Pm2 } from './helpers/pm2.ts';
import { type Outcome, script, startScript } from './helpers/scripts.ts';
import { SHARED } from './helpers/transport.ts';
import { until, within } from './helpers/wait.ts';

/** Tests that must know which process hosts; one at a time, because they also measure how long something takes. */
const linux = process.platform === 'linux' ? test.serial : test.serial.skip;

let agents: Agents;
let pm2: Pm2;
test.before(async () => {
  agents = await Agents.start();
  pm2 = new Pm2();
});
test.after.always(async () => {
  await agents?.close();
  pm2?.remove();
});

/** Handovers must succeed even on a machine that is busy with other tests. */
const unhurried = () => ({ ...patient(), handoverTimeout: 10_000 });

const start = (app: string, count: number): Promise<Agent[]> =>
  Promise.all(Array.from({ length: count }, () => pm2.start(agents, app)));

/** The instances of an app: the host, and the others, which use its cache. */
async function settled(app: string, count: number, options: object): Promise<[Agent, Agent[]]> {
  const instances = await start(app, count);
  await Promise.all(instances.map((instance) => instance.call(options, 'has', 'key')));
  const host = await pm2.hostAmong(instances);
  return [host, instances.filter((instance) => instance !== host)];
}

/** Ends a host and waits until another one has taken over. */
async function endHost(host: Agent, others: Agent[], how: (host: Agent) => unknown): Promise<Agent> {
  how(host);
  await within(host.gone, 'end of the host');
  return pm2.hostAmong(others);
}

const exit = (host: Agent): void => void host.run(() => process.exit(0)).catch(() => {});

/** Counts the events about the loss of the host in this process. */
const listen = (agent: Agent, options: object): Promise<void> =>
  agent.run(({ cache, state }, options) => {
    state.heard = [];
    for (const name of ['degraded', 'restored', 'epoch'] as const) {
      cache(options).on(name, () => void state.heard.push(name));
    }
  }, options);
const heard = (agent: Agent): Promise<string[]> => agent.run(({ state }) => state.heard as string[]);

// --- under load ----------------------------------------------------------------------------------------------------

linux('SIGINT to the host under load: no entry is lost, no operation fails or is repeated', async (t) => {
  t.timeout(120_000);
  const COUNT = 10_000;
  const options = { namespace: unique(), failsafe: 'reject', handoverTimeout: 10_000 };
  const app = unique('app');
  let [host, others] = await settled(app, 4, options);
  await fill(host, options, COUNT);
  const working = new Set([host, ...others]);
  for (const instance of working) {
    await listen(instance, options);
    await begin(instance, options, COUNT);
  }
  const worst: number[] = [];
  let counted = 0;
  const check = (seen: Seen) => {
    t.is(seen.misses, 0);
    t.is(seen.wrong, 0);
    t.deepEqual(seen.errors, []);
    worst.push(seen.worst);
    counted += seen.counted;
  };
  for (let round = 0; round < 8; round += 1) {
    // The ending process cannot report how many answers it got.
    check(await end(host));
    const next = await pm2.start(agents, app);
    await next.call(options, 'has', 'key');
    host = await endHost(host, [...others, next], (host) => host.signal('SIGINT'));
    t.is(await intact(host, options, COUNT), COUNT);
    await listen(next, options);
    await begin(next, options, COUNT);
    others = [...others, next].filter((instance) => instance !== host);
    for (const instance of [host, ...others]) t.deepEqual(await heard(instance), []);
  }
  for (const instance of [host, ...others]) check(await end(instance));
  t.is(await host.call(options, 'get', 'count'), counted, 'every acknowledged increment, once');
  t.log(`worst operation: ${Math.max(...worst).toFixed(1)} ms`);
});

// --- how processes end ---------------------------------------------------------------------------------------------

/** A script for an instance that hosts; it prints `ready` when it holds an entry. */
async function scriptedHost(app: string, options: object, source = ''): Promise<ReturnType<typeof startScript>> {
  const running = startScript(
    `const cache = new cc.ClusteredCache(${JSON.stringify(options)});
     ${source}
     cache.set('key', 'value').then(() => { console.log('ready'); globalThis.onReady?.(); });
     const stays = setInterval(() => {}, 1_000);`,
    { env: pm2.environment(app) },
  );
  await running.said('ready');
  return running;
}

const CLEAN = { stderr: '', hung: false };

/** Ends a host in one way: what other processes then find, and how it ended. */
async function ending(source: string, signal?: NodeJS.Signals): Promise<{ outcome: Outcome; found: unknown }> {
  const options = unhurried();
  const app = unique('app');
  const host = await scriptedHost(app, options, source);
  const [other] = (await start(app, 1)) as [Agent];
  mustBeShared(await other.call(options, 'get', 'key'));
  if (signal) process.kill(host.pid, signal);
  else host.say('end');
  const outcome = await host.outcome;
  await pm2.hostAmong([other]);
  return { outcome, found: await other.call(options, 'get', 'key') };
}

function mustBeShared(value: unknown): void {
  if (value !== 'value') throw new Error(`another instance does not see what the host holds: ${String(value)}`);
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  linux(`${signal} ends a process as it would without this package`, async (t) => {
    const { outcome, found } = await ending('', signal);
    t.like(outcome, { ...CLEAN, code: null, signal });
    t.is(found, 'value');
  });

  linux(`an application that listens to ${signal} decides when and how it ends`, async (t) => {
    const { outcome, found } = await ending(
      `process.on('${signal}', async () => {
         console.log(await cache.get('key'), await cache.incr('n'), process.listenerCount('${signal}'));
         process.exitCode = 7;
         clearInterval(stays);
       });`,
      signal,
    );
    t.like(outcome, { ...CLEAN, code: 7, signal: null, stdout: 'ready\nvalue 1 1\n' });
    t.is(found, 'value');
  });
}

linux('a package that ends the process only if it is the only listener still ends it', async (t) => {
  const { outcome, found } = await ending(
    `const polite = () => {
       if (process.listenerCount('SIGTERM') > 1) return;
       process.removeListener('SIGTERM', polite);
       process.kill(process.pid, 'SIGTERM');
     };
     process.on('SIGTERM', polite);`,
    'SIGTERM',
  );
  t.like(outcome, { ...CLEAN, code: null, signal: 'SIGTERM' });
  t.is(found, 'value');
});

const ONCE_TOLD = (what: string) => `process.stdin.once('data', () => { ${what} });`;

linux('process.exit() hands over', async (t) => {
  const { outcome, found } = await ending(ONCE_TOLD('process.exit(3)'));
  t.like(outcome, { ...CLEAN, code: 3, signal: null });
  t.is(found, 'value');
});

linux('a process without work left hands over and ends', async (t) => {
  const { outcome, found } = await ending(ONCE_TOLD('clearInterval(stays); process.stdin.destroy()'));
  t.like(outcome, { ...CLEAN, code: 0, signal: null });
  t.is(found, 'value');
});

linux('an uncaught error hands over', async (t) => {
  const { outcome, found } = await ending(ONCE_TOLD('throw new Error("of the application")'));
  t.like(outcome, { code: 1, signal: null, hung: false });
  t.regex(outcome.stderr, /of the application/);
  t.is(found, 'value');
});

linux('handoverTimeout 0 disables the handover', async (t) => {
  const options = { ...unhurried(), handoverTimeout: 0 };
  const [host, [other]] = (await settled(unique('app'), 2, options)) as [Agent, [Agent]];
  await other.call(options, 'set', 'key', 'value');
  await endHost(host, [other], (host) => host.signal('SIGTERM'));
  t.is(await other.call(options, 'get', 'key'), undefined);
});

linux('without a successor the host continues, and tries again when it ends', async (t) => {
  const options = unhurried();
  const app = unique('app');
  const host = await scriptedHost(
    app,
    options,
    `process.on('SIGINT', () => console.log('asked')); ${ONCE_TOLD('process.exit()')}`,
  );
  process.kill(host.pid, 'SIGINT');
  await host.said('asked');
  const [other] = (await start(app, 1)) as [Agent];
  t.is(await other.call(options, 'get', 'key'), 'value', 'it serves still');
  host.say('end');
  t.like(await host.outcome, { ...CLEAN, code: 0 });
  await pm2.hostAmong([other]);
  t.is(await other.call(options, 'get', 'key'), 'value');
});

linux('messages keep a process alive exactly while the application listens', async (t) => {
  const options = unhurried();
  const app = unique('app');
  const seen = await script(
    `const cache = new cc.ClusteredCache(${JSON.stringify(options)});
     const listeners = () => process.listenerCount('message');
     const later = () => new Promise(setImmediate);
     (async () => {
       await cache.ready;
       const counts = [listeners()];
       const mine = () => {};
       process.on('message', mine);
       await later();
       counts.push(listeners());
       process.off('message', mine);
       await later();
       counts.push(listeners());
       process.once('message', mine);
       await later();
       process.emit('message', 'shutdown');
       await later();
       counts.push(listeners());
       console.log(counts.join());
     })();`,
    { env: pm2.environment(app) },
  );
  t.like(seen, { ...CLEAN, code: 0, stdout: '0,2,0,0\n' });
});

linux('the end of a thread does not end hosting in its process', async (t) => {
  const options = unhurried();
  const [host, [other]] = (await settled(unique('app'), 2, options)) as [Agent, [Agent]];
  await host.run(({ require }, options) => {
    const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
    const source = `
        const { workerData: { file, options } } = require('node:worker_threads');
        const { ClusteredCache } = require(file);
        new ClusteredCache(options).get('key').then(() => process.exit());`;
    const workerData = { file: require.resolve('../../index.js'), options };
    const thread = new Worker(source, { eval: true, workerData });
    return new Promise((resolve, reject) => thread.once('exit', resolve).once('error', reject));
  }, options);
  t.is(await pm2.hostAmong([host, other]), host);
});

// --- what continues ------------------------------------------------------------------------------------------------

linux('a thread in a loop of synchronous reads finds every value during a handover', async (t) => {
  if (!SHARED) {
    t.pass('there are no such reads over the socket');
    return;
  }
  const options = unhurried();
  const [host, others] = await settled(unique('app'), 3, options);
  const [reader] = others as [Agent, Agent];
  await reader.call(options, 'set', 'key', 'value');
  const reading = reader.run(async ({ cache }, options) => {
    const one = cache(options);
    const seen = { right: 0, wrong: 0, worst: 0 };
    for (const finish = performance.now() + 1_500; performance.now() < finish;) {
      const start = performance.now();
      // For a long time without the event loop: the read itself takes what arrives.
      for (let n = 0; n < 1_000; n += 1) {
        if (one.getSync('key') === 'value') seen.right += 1;
        else seen.wrong += 1;
      }
      seen.worst = Math.max(seen.worst, performance.now() - start);
      if (seen.right % 50_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return seen;
  }, options);
  await endHost(host, others, (host) => host.signal('SIGTERM'));
  const { right, wrong, worst } = await reading;
  t.true(right > 0);
  t.is(wrong, 0);
  t.log(`${right} reads, the longest thousand took ${worst.toFixed(1)} ms`);
});

linux('near caches are coherent with the new host', async (t) => {
  const options = { ...unhurried(), near: true };
  const app = unique('app');
  const [host, others] = await settled(app, 3, options);
  const [reader, writer] = others as [Agent, Agent];
  await writer.call(options, 'set', 'key', 0);
  for (let round = 0; round < 5; round += 1) t.is(await reader.call(options, 'get', 'key'), 0);
  await endHost(host, others, (host) => host.signal('SIGTERM'));
  t.is(await reader.call(options, 'get', 'key'), 0);
  for (let round = 1; round <= 50; round += 1) {
    await writer.call(options, 'set', 'key', round);
    t.is(await reader.call(options, 'get', 'key'), round);
  }
});

linux('a load in flight continues: its leader stores the value, and the waiters get it', async (t) => {
  const options = unhurried();
  const [host, others] = await settled(unique('app'), 3, options);
  const [leader, waiter] = others as [Agent, Agent];
  const leading = leader.run(
    ({ cache, state }, options) =>
      cache(options).fetch('key', () => new Promise((resolve) => (state.finish = resolve))),
    options,
  );
  const stats = () => waiter.call(options, 'stats');
  await until('a leader', async () => (await stats()).fetches.leads === 1);
  const waiting = waiter.run(({ cache }, options) => cache(options).fetch('key', () => 'not this'), options);
  await until('a waiting caller', async () => (await stats()).fetches.waits === 1);
  await endHost(host, others, (host) => host.signal('SIGTERM'));
  await until('the wait to be known to the next host', async () => (await stats()).fetches.waits === 2);
  await leader.run(({ state }) => state.finish('loaded'));
  t.deepEqual(await Promise.all([leading, waiting]), ['loaded', 'loaded']);
  t.is(await waiter.call(options, 'get', 'key'), 'loaded');
  t.is((await stats()).fetches.leads, 1);
});

/** Starts several iterations: takes their first entries and keeps the iterators in `state`. */
const beginIterations = (agent: Agent, options: object, iterations: number, take: number): Promise<void> =>
  agent.run(
    async ({ cache, state }, options, iterations, take) => {
      state.iterations = Array.from({ length: iterations }, () => ({
        iterator: cache(options)[Symbol.asyncIterator](),
        seen: [] as string[],
      }));
      for (const { iterator, seen } of state.iterations) {
        while (seen.length < take) seen.push((await iterator.next()).value[0]);
      }
    },
    options,
    iterations,
    take,
  );

/** Takes this many more entries of each, or all; returns the keys that each has seen so far. */
const goOn = (agent: Agent, take = Infinity): Promise<string[][]> =>
  agent.run(async ({ state }, take) => {
    for (const { iterator, seen } of state.iterations) {
      for (let left = take ?? Infinity; left > 0; left -= 1) {
        const { done, value } = await iterator.next();
        if (done) break;
        if (value[1].key !== value[0]) throw new Error(`${value[0]} came with the value of ${value[1].key}`);
        seen.push(value[0]);
      }
    }
    return state.iterations.map(({ seen }: { seen: string[] }) => seen);
  }, take);

linux('iterations continue at every new host and return each entry once', async (t) => {
  const COUNT = 10_000;
  const options = unhurried();
  const app = unique('app');
  const next = async () => {
    const instance = await pm2.start(agents, app);
    await instance.call(options, 'has', 'key');
    return instance;
  };
  let host = await next();
  const reader = await next();
  // The instance that joined last is the successor.
  let successor = await next();
  await fill(reader, options, COUNT);
  await beginIterations(reader, options, 20, 2_500);
  const all = await reader.call(options, 'keys');
  for (let round = 0; round < 2; round += 1) {
    // Changes the order of use, and removes some of the original entries.
    await reader.call(options, 'mGet', all.slice(-3_000, -1_000));
    await reader.call(options, 'mDelete', all.slice(round * 100, round * 100 + 50));
    await reader.call(options, 'set', `new ${round}`, { key: `new ${round}` });
    // A handover may also happen while a page is in flight.
    const going = goOn(reader, 1_500);
    await endHost(host, [successor], (host) => host.signal('SIGTERM'));
    await going;
    host = successor;
    successor = await next();
  }
  // The deleted entries had already been returned.
  for (const seen of await goOn(reader)) t.deepEqual(seen, all);
  t.is((await reader.call(options, 'keys')).length, COUNT - 100 + 2);
});

linux('an iteration fails with an error when its host was killed', async (t) => {
  const options = unhurried();
  const [host, [other]] = (await settled(unique('app'), 2, options)) as [Agent, [Agent]];
  await fill(other, options, 3_000);
  await beginIterations(other, options, 1, 1);
  await endHost(host, [other], (host) => host.signal('SIGKILL'));
  await until('the next host', async () => (await other.call(options, 'size')) === 0);
  const error = await t.throwsAsync(goOn(other));
  t.is((error as { code?: string }).code, 'ERR_CC_INVALID_ARGUMENT');
});

linux('a wait that its caller abandons ends at the new host', async (t) => {
  const options = unhurried();
  const [host, others] = await settled(unique('app'), 3, options);
  const [leader, waiter] = others as [Agent, Agent];
  void leader
    .run(({ cache }, options) => cache(options).fetch('key', () => new Promise(() => {})), options)
    .catch((error) => t.true(error instanceof AgentGone));
  const stats = () => waiter.call(options, 'stats');
  await until('a leader', async () => (await stats()).fetches.leads === 1);
  await waiter.run(({ cache, state }, options) => {
    state.controller = new AbortController();
    state.wait = cache(options)
      .fetch('key', () => 'not this', { signal: state.controller.signal })
      .catch((error: Error) => error.name);
  }, options);
  await until('a waiting caller', async () => (await stats()).fetches.waits === 1);
  await endHost(host, others, (host) => host.signal('SIGTERM'));
  const aborted = await waiter.run(({ state }) => {
    state.controller.abort();
    return state.wait as string;
  });
  t.is(aborted, 'AbortError');
  t.is(await waiter.call(options, 'get', 'key'), undefined);
});

linux('requests of the host itself that were not answered yet are carried out', async (t) => {
  const options = unhurried();
  const [host, others] = await settled(unique('app'), 2, options);
  await endHost(host, others, (host) => {
    host
      .run(({ cache }, options) => {
        for (let n = 0; n < 100; n += 1) void cache(options).incr('n');
        process.exit(0);
      }, options)
      .catch(() => {});
  });
  t.is(await others[0]!.call(options, 'get', 'n'), 100);
});

// --- how long it takes ---------------------------------------------------------------------------------------------

for (const [count, bytes] of [
  [10_000, 100],
  [100_000, 1_024],
] as const) {
  linux(`duration of a handover: ${count} x ${bytes} B`, async (t) => {
    t.timeout(120_000);
    const rounds = count > 10_000 ? 5 : LONG ? 50 : 10;
    const options = { ...unhurried(), maxSize: 2 ** 30 };
    const app = unique('app');
    let [host, others] = await settled(app, 3, options);
    await fill(host, options, count, bytes);
    const took: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const [watcher] = others as [Agent];
      // From the freeze to the first answer of the new host, as a client sees it: the longest of its operations.
      await begin(watcher, options, count, 1);
      host = await endHost(host, others, exit);
      t.is(await intact(host, options, count), count);
      took.push((await end(watcher)).worst);
      const next = await pm2.start(agents, app);
      await next.call(options, 'has', 'key');
      others = [...others, next].filter((instance) => instance !== host);
    }
    keep(t, `handover, ${count.toLocaleString('en')} entries`, {
      handovers: rounds,
      entries: count,
      bytes,
      'median ms': quantile(took, 0.5),
      'longest, ms': Math.max(...took),
    });
  });
}
