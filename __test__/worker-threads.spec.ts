import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { ClusteredCache } from '../index.js';
import { type Agent, Agents } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { patient, unique } from './helpers/names.ts';
import { node, ROOT, script } from './helpers/scripts.ts';
import { Thread } from './helpers/threads.ts';
import { DEADLINE, until, within } from './helpers/wait.ts';

let agents: Agents;
test.before(async () => void (agents = await Agents.start()));
test.after.always(() => agents?.close());

test('threads of the host share its cache without a socket', async (t) => {
  const options = patient();
  const cache = new ClusteredCache<string, any>(options);
  const [first, second] = [new Thread(), new Thread()];
  t.is(await first.run(({ cache }, options) => cache(options).set('key', { from: 'first' }), options), true);
  t.deepEqual(await second.run(({ cache }, options) => cache(options).get('key'), options), { from: 'first' });
  t.deepEqual(await cache.get('key'), { from: 'first' });
  t.is(await first.run(({ cache }, options) => cache(options).role, options), 'host');
  t.is(await first.run(({ cache }, options) => cache(options).transport, options), 'direct');
  t.deepEqual(await second.run(({ cache }, options) => cache(options).getSync('key'), options), { from: 'first' });
  await Promise.all([first.terminate(), second.terminate()]);
  await cache.close();
});

test('counters are exact across threads', async (t) => {
  const options = patient();
  const cache = new ClusteredCache(options);
  const threads = [new Thread(), new Thread()];
  await Promise.all([
    ...threads.map((thread) =>
      thread.run(async ({ cache }, options) => {
        for (let round = 0; round < 500; round += 1) await cache(options).incr('n');
      }, options),
    ),
    Promise.all(Array.from({ length: 500 }, () => cache.incr('n'))),
  ]);
  t.is(await cache.get('n'), 1_500);
  await Promise.all(threads.map((thread) => thread.terminate()));
  await cache.close();
});

test('threads and the main thread load a key once', async (t) => {
  const options = patient();
  const cache = new ClusteredCache<string, any>(options);
  const thread = new Thread();
  const theirs = thread.run(
    ({ cache, state }, options) =>
      cache(options).fetch('key', () => new Promise((resolve) => (state.resolve = resolve))),
    options,
  );
  await until('a leader', async () => (await cache.stats()).fetches.leads === 1);
  const mine = cache.fetch('key', () => t.fail());
  await thread.run(({ state }) => state.resolve('loaded by the thread'));
  t.deepEqual(await Promise.all([theirs, mine]), ['loaded by the thread', 'loaded by the thread']);
  await thread.terminate();
  await cache.close();
});

test('a thread of the host that is killed during a load passes the load on', async (t) => {
  const options = patient();
  const cache = new ClusteredCache<string, any>(options);
  const thread = new Thread();
  void thread
    .run(({ cache }, options) => cache(options).fetch('key', () => new Promise(() => {})), options)
    .catch(() => {});
  await until('a leader', async () => (await cache.stats()).fetches.leads === 1);
  const mine = cache.fetch('key', () => 'taken over');
  await thread.terminate();
  t.is(await within(mine, 'takeover'), 'taken over');
  await cache.close();
});

test('threads that are killed during calls do not affect others', async (t) => {
  const options = patient();
  const cache = new ClusteredCache<string | number, any>(options);
  for (let round = 0; round < 5; round += 1) {
    const thread = new Thread();
    await thread.run(({ cache }, options) => {
      const target = cache(options);
      const again = (): void => void target.set('key', 'x'.repeat(1_000)).then(again);
      for (let chain = 0; chain < 10; chain += 1) again();
    }, options);
    await thread.terminate();
  }
  t.is(await cache.get('key'), 'x'.repeat(1_000));
  await cache.close();
});

test('threads of a client process are clients of the same host', async (t) => {
  const host = await agents.spawn();
  const endpoint = await host.run(async ({ cc, state }) => {
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint;
  });
  const options = { ...patient(), endpoint };
  const cache = new ClusteredCache<string, any>(options);
  await cache.set('key', 'from the main thread');
  const thread = new Thread();
  t.is(await thread.run(({ cache }, options) => cache(options).get('key'), options), 'from the main thread');
  t.is(await thread.run(({ cache }, options) => cache(options).role, options), 'client');
  void thread
    .run(({ cache }, options) => cache(options).fetch('slow', () => new Promise(() => {})), options)
    .catch(() => {});
  await until('a leader', async () => (await cache.stats()).fetches.leads === 1);
  const mine = cache.fetch('slow', () => 'taken over');
  await thread.terminate();
  t.is(await within(mine, 'takeover'), 'taken over', 'its connection ended with it');
  await cache.close();
});

/** Reads a key in a thread of a worker: the thread's role, and the value or the code of the error. */
const readInThread = (worker: Agent, options: object): Promise<unknown> =>
  worker.run(
    ({ require }, root, options) => {
      const { Worker } = require('node:worker_threads');
      const source = `
      const { parentPort, workerData: { root, options } } = require('node:worker_threads');
      const { ClusteredCache } = require(root + 'index.js');
      const cache = new ClusteredCache(options);
      cache.get('key').catch(({ code }) => code).then((value) => parentPort.postMessage({ role: cache.role, value }));
    `;
      const thread = new Worker(source, { eval: true, workerData: { root, options } });
      return new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
    },
    ROOT,
    options,
  );

test('threads of a cluster worker are clients of the primary', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const options = patient();
  await cluster.primary.call(options, 'set', 'key', 'from the primary');
  t.is(await cluster.worker(0).call(options, 'get', 'key'), 'from the primary');
  t.deepEqual(await readInThread(cluster.worker(0), options), { role: 'client', value: 'from the primary' });
});

test('threads of a cluster worker may use the cache before its main thread does', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const options = patient();
  await cluster.primary.call(options, 'set', 'key', 'from the primary');
  const answer = readInThread(cluster.worker(0), options);
  await cluster.worker(0).run(({ cc }) => void new cc.ClusteredCache());
  t.deepEqual(await answer, { role: 'client', value: 'from the primary' });
});

test('threads of a cluster worker whose main thread never loads the package do not become hosts', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const options = { namespace: unique(), timeout: 200, failsafe: 'reject' };
  t.deepEqual(await readInThread(cluster.worker(0), options), { role: 'client', value: 'ERR_CC_NO_HOST' });
});

test('workers that a thread forks join its cache', async (t) => {
  const directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-thread-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const app = path.join(directory, 'app.cjs');
  writeFileSync(
    app,
    `
    const cluster = require('node:cluster');
    const { isMainThread, Worker } = require('node:worker_threads');
    const { ClusteredCache } = require(${JSON.stringify(`${ROOT}index.js`)});
    const cache = new ClusteredCache({ timeout: ${DEADLINE} });
    if (cluster.isWorker) cache.incr('visits').then(() => cluster.worker.disconnect());
    else if (isMainThread) new Worker(__filename).once('exit', async () => console.log(cache.role, await cache.get('visits')));
    else {
      cluster.setupPrimary({ exec: __filename });
      cluster.fork();
      cluster.fork();
    }
  `,
  );
  t.like(await node([app]), { code: 0, stderr: '', stdout: 'host 2\n' });
});

test('a process ends by itself when its threads have ended', async (t) => {
  const outcome = await script(`
    const { Worker } = require('node:worker_threads');
    const cache = new cc.ClusteredCache();
    const source = 'const cc = require(' + JSON.stringify(require.resolve(${JSON.stringify(`${ROOT}index.js`)})) + ');'
      + 'new cc.ClusteredCache().incr("threads")';
    let running = 3;
    for (let index = 0; index < 3; index += 1) {
      new Worker(source, { eval: true }).once('exit', async () => {
        if (--running === 0) console.log(await cache.get('threads'));
      });
    }
  `);
  t.deepEqual([outcome.code, outcome.stdout.trim(), outcome.stderr], [0, '3', '']);
});
