import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type RunnerFacts, sharingRunner } from '../ts/discovery/environment.ts';
import { node, ROOT } from './helpers/scripts.ts';
import { DEADLINE } from './helpers/wait.ts';

// `npm run test:tools` tests real test runners. This file tests the detection itself, and its effects.

const APPLICATION: RunnerFacts = {
  env: {},
  isMainThread: true,
  script: '/app/server.js',
  hasOwnGlobals: false,
  hasVitestState: false,
};
const JEST = { JEST_WORKER_ID: '1', NODE_ENV: 'test' };
const VITEST = { VITEST: 'true', VITEST_POOL_ID: '1', VITEST_WORKER_ID: '0', NODE_ENV: 'test' };
const AVA_WORKER = '/app/node_modules/ava/lib/worker/base.js';

const CASES: [what: string, facts: Partial<RunnerFacts>, runner: ReturnType<typeof sharingRunner>][] = [
  ['an application', {}, undefined],
  ['an application without a script', { script: undefined }, undefined],
  ['a context of an application', { hasOwnGlobals: true }, undefined],
  ['a file of jest', { env: JEST, hasOwnGlobals: true }, 'jest'],
  ['a file of jest in a thread', { env: JEST, hasOwnGlobals: true, isMainThread: false }, 'jest'],
  ['a process that a file of jest starts', { env: JEST }, undefined],
  ['a thread that a file of jest starts', { env: JEST, isMainThread: false }, undefined],
  ['a file of vitest in a thread', { env: VITEST, isMainThread: false, hasVitestState: true }, 'vitest'],
  ['a file of vitest in a context', { env: VITEST, hasOwnGlobals: true }, 'vitest'],
  ['a file of vitest in a process', { env: VITEST, hasVitestState: true }, undefined],
  ['a process that a file of vitest starts', { env: VITEST }, undefined],
  ['a thread that a file of vitest starts', { env: VITEST, isMainThread: false }, undefined],
  ['a file of ava in a thread', { isMainThread: false, script: AVA_WORKER }, 'ava'],
  ['the same on Windows', { isMainThread: false, script: AVA_WORKER.replaceAll('/', '\\') }, 'ava'],
  ['a file of ava in a process', { script: AVA_WORKER }, undefined],
  ['a thread that a file of ava starts', { isMainThread: false }, undefined],
  ['another thread by that name', { isMainThread: false, script: '/app/java/lib/worker/base.js' }, undefined],
  ['a file of node --test', { env: { NODE_TEST_CONTEXT: 'child-v8' } }, undefined],
];
for (const [what, facts, runner] of CASES) {
  test(`${what} ${runner ? 'shares its process with other files' : 'has a process like any other'}`, (t) => {
    t.is(sharingRunner({ ...APPLICATION, ...facts }), runner);
  });
}

/**
 * Runs a program that starts test files in threads, as ava does; `file` is the code of each, with the package as `cc`.
 */
function files(t: ExecutionContext, { main = '', file = '', env = {} }) {
  const directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-runner-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const worker = path.join(directory, 'ava/lib/worker/base.js');
  mkdirSync(path.dirname(worker), { recursive: true });
  const load = `const cc = require(${JSON.stringify(`${ROOT}index.js`)}); const timeout = ${DEADLINE};`;
  writeFileSync(
    worker,
    `${load} const { parentPort, Worker } = require('node:worker_threads'); (async () => { ${file} })();`,
  );
  const program = path.join(directory, 'main.js');
  writeFileSync(
    program,
    `const { once } = require('node:events');
    const { Worker } = require('node:worker_threads');
    /** Starts a file and resolves to its message. */
    const run = async () => {
      const thread = new Worker(${JSON.stringify(worker)});
      const [said] = await once(thread, 'message');
      return { said, thread };
    };
    (async () => { ${main} })();`,
  );
  // The process that started this suite may have set one.
  return node([program], { env: { CLUSTERED_CACHE_SCOPE: undefined, ...env } });
}

/** Only on Linux can a test choose the directory for sockets. */
const onLinux = process.platform === 'linux' ? test : test.skip;
const CLEAN = { code: 0, signal: null, hung: false, stderr: '' };
/** Two files at a time, each with the default namespace. */
const VISIT = {
  main: 'console.log((await Promise.all([run(), run()])).map(({ said }) => said).sort().join());',
  file: `const cache = new cc.ClusteredCache(); parentPort.postMessage(await cache.incr('visits'));`,
};

test('test files in threads of one process do not share a cache', async (t) => {
  t.like(await files(t, VISIT), { ...CLEAN, stdout: '1,1\n' });
});

test('test files share a cache when the scope is set, even to an empty one', async (t) => {
  for (const scope of ['', 'common']) {
    const env = { CLUSTERED_CACHE_SCOPE: scope };
    t.like(await files(t, { ...VISIT, env }), { ...CLEAN, stdout: '1,2\n' }, scope);
  }
});

test('a test file sees only its own namespaces, by their names', async (t) => {
  const outcome = await files(t, {
    main: VISIT.main,
    file: `
      const cache = new cc.ClusteredCache({ namespace: 'n' });
      await cache.ready;
      const { namespace } = await cache.stats();
      parentPort.postMessage([cache.namespace, namespace, ...cc.ClusteredCache.getAllCaches().keys()].join(' '));`,
  });
  t.like(outcome, { ...CLEAN, stdout: 'n n n,n n n\n' });
});

test('a thread that a test file starts shares its cache, and so do threads of that thread', async (t) => {
  const inner = `
    const { parentPort, workerData, Worker } = require('node:worker_threads');
    const cc = require(workerData.root + 'index.js');
    new cc.ClusteredCache().incr('visits').then((visits) => {
      if (visits === workerData.last) return parentPort.postMessage(visits);
      new Worker(workerData.source, { eval: true, workerData }).on('message', (visits) => parentPort.postMessage(visits));
    });`;
  const workerData = JSON.stringify({ root: ROOT, source: inner, last: 3 });
  const outcome = await files(t, {
    main: VISIT.main,
    file: `
      await new cc.ClusteredCache().incr('visits');
      const workerData = ${workerData};
      new Worker(workerData.source, { eval: true, workerData }).on('message', (visits) => parentPort.postMessage(visits));`,
  });
  t.like(outcome, { ...CLEAN, stdout: '3,3\n' });
});

test('a process that is given the endpoint of a test file shares its cache', async (t) => {
  const outcome = await files(t, {
    main: VISIT.main,
    file: `
      const { endpoint } = await cc.ClusteredCache.listen();
      await new cc.ClusteredCache().incr('visits');
      const guest = new cc.ClusteredCache({ endpoint, timeout, failsafe: 'reject' });
      parentPort.postMessage(guest.role + (await guest.incr('visits')));`,
  });
  t.like(outcome, { ...CLEAN, stdout: 'client2,client2\n' });
});

onLinux("a test file's cache and its files are removed when its thread ends", async (t) => {
  const outcome = await files(t, {
    main: `
      const { readdirSync } = require('node:fs');
      const listening = () => readdirSync(process.env.XDG_RUNTIME_DIR, { recursive: true }).length > 1;
      const { thread, said } = await run();
      console.log(said, listening());
      await thread.terminate();
      console.log(listening());`,
    file: `
      await new cc.ClusteredCache().set('key', 'x');
      await cc.ClusteredCache.listen();
      parentPort.postMessage('listens');
      setInterval(() => {}, 1_000);`,
    env: { XDG_RUNTIME_DIR: privateDirectory(t) },
  });
  t.like(outcome, { ...CLEAN, stdout: 'listens true\nfalse\n' });
});

/** Where a process may put its socket. */
function privateDirectory(t: ExecutionContext): string {
  const directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), 'cc-run-')));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
