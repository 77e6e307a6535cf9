import type { ForkOptions } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ClusteredCache } from '../index.js';
import { type Agent, Agents, type RemoteError } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { directoryFor } from './helpers/directories.ts';
import { failsWith } from './helpers/errors.ts';
import { patient, unique } from './helpers/names.ts';
import { Pm2 } from './helpers/daemon.ts';
import { node, ROOT, script } from './helpers/scripts.ts';
import { DEADLINE } from './helpers/wait.ts';

let agents: Agents;
test.before(async () => {
  agents = await Agents.start();
});
test.after.always(() => agents?.close());

const attached = () => ({ ...patient(), attach: true });

/** A helper that `parent` forks, by default after it has loaded the package. */
async function helperOf(parent: Agent, { loads = true, options = {} as ForkOptions } = {}): Promise<Agent> {
  if (loads) await parent.run(({ cc }) => typeof cc);
  const { token, agent } = agents.expect();
  await parent.run((scope, ...args) => scope.forkHelper(...args), token, 'process.cjs' as const, {}, options);
  return agent;
}

const roleIn = (agent: Agent, options: object) => agent.run(({ cache }, options) => cache(options).role, options);

/** Asserts that each sees the other's writes. */
async function share(t: ExecutionContext, one: Agent, other: Agent, options: { namespace: string; timeout: number }) {
  const plain = { namespace: options.namespace, timeout: options.timeout };
  await one.call(plain, 'set', 'of one', { n: 1 });
  t.deepEqual(await other.call(options, 'get', 'of one'), { n: 1 });
  t.is(await other.call(options, 'set', 'of the other', 2), true);
  t.is(await one.call(plain, 'get', 'of the other'), 2);
}

for (const serialization of ['json', 'advanced'] as const) {
  test.serial(`a helper joins the host that forked it (${serialization} messages)`, async (t) => {
    const host = await agents.spawn();
    const options = attached();
    const helper = await helperOf(host, { options: { serialization } });
    await share(t, host, helper, options);
    t.is(await roleIn(helper, options), 'client');
    t.is(await roleIn(host, { namespace: options.namespace }), 'host');
  });
}

test.serial('a helper joins a process that has only loaded the package', async (t) => {
  const host = await agents.spawn();
  const options = attached();
  const helper = await helperOf(host);
  await helper.call(options, 'set', 'key', 1);
  t.is(await host.call({ namespace: options.namespace }, 'get', 'key'), 1);
});

test.serial('without attach a helper has a cache of its own', async (t) => {
  const host = await agents.spawn();
  const options = patient();
  await host.call(options, 'set', 'key', 1);
  const helper = await helperOf(host);
  t.is(await helper.call({ ...options, attach: false }, 'get', 'key'), undefined);
  t.is(await roleIn(helper, options), 'host');
});

test.serial('helpers of a primary and of its workers join the cluster', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const options = attached();
  const helpers = await Promise.all([helperOf(cluster.primary), helperOf(cluster.worker(0))]);
  for (const helper of helpers) await share(t, cluster.primary, helper, options);
  await share(t, cluster.worker(0), helpers[1]!, options);
  t.is(await roleIn(helpers[1]!, options), 'client');
});

test.serial('workers of a primary that attaches join what it has joined', async (t) => {
  const host = await agents.spawn();
  await host.run(({ cc }) => typeof cc);
  const { token, agent } = agents.expect();
  const environment = { ...Cluster.environment({ load: 'after' }) };
  await host.run((scope, ...args) => scope.forkHelper(...args), token, 'primary.cjs' as const, environment);
  const primary = await agent;
  const options = attached();
  const opened = primary.call(options, 'set', 'key', 1);
  const cluster = await Cluster.of(agents, primary, 1);
  await opened;
  await share(t, host, cluster.worker(0), { namespace: options.namespace, timeout: options.timeout });
  t.is(await roleIn(primary, options), 'client');
});

test.serial('attach has no effect in a cluster worker', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  await share(t, cluster.primary, cluster.worker(0), attached());
});

test.serial('a helper of a helper joins the same cache, whichever opens it first', async (t) => {
  const host = await agents.spawn();
  const options = attached();
  const first = await helperOf(host);
  const second = await helperOf(first);
  // Both ask at once: the first does not know yet what the second asks it for.
  const early = first.call(options, 'set', 'early', 1);
  t.is(await second.call(options, 'incr', 'n'), 1);
  await early;
  await share(t, host, second, options);
  await share(t, host, await helperOf(second), options);
});

test.serial('a helper of a helper that has a cache of its own joins that cache', async (t) => {
  const host = await agents.spawn();
  const options = attached();
  const middle = await helperOf(host);
  await middle.call({ namespace: options.namespace }, 'set', 'key', 'of the middle');
  const last = await helperOf(middle);
  t.is(await last.call(options, 'get', 'key'), 'of the middle');
});

test.serial('a helper of a client that knows its host by path joins that host', async (t) => {
  const host = await agents.spawn();
  const endpoint = await host.run(async ({ cc, state }) => {
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint as string;
  });
  const options = attached();
  const client = await agents.spawn();
  await client.call({ ...patient(), endpoint }, 'size');
  await share(t, host, await helperOf(client), options);
});

/** Hosts are not elected on Windows. */
const withElection = process.platform === 'win32' ? test.serial.skip : test.serial;

withElection('a helper of a PM2 instance joins the elected host, and follows when the host changes', async (t) => {
  const pm2 = new Pm2(agents);
  try {
    const app = await pm2.start({ instances: 2 });
    const [first, second] = app.instances as [Agent, Agent];
    const options = attached();
    const helper = await helperOf(first);
    await share(t, second, helper, options);
    t.is(await roleIn(helper, options), 'client');
    await second.kill();
    await app.settled(2, [second]);
    await helper.call(options, 'set', 'key', 'after');
    t.is(await first.call({ namespace: options.namespace }, 'get', 'key'), 'after');
  } finally {
    await pm2.close();
  }
});

test.serial('worker threads of a helper share through it', async (t) => {
  const host = await agents.spawn();
  const helper = await helperOf(host);
  const options = attached();
  await helper.call(options, 'set', 'key', 'shared');
  const found = await helper.run(
    ({ require }, root, options) => {
      const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
      const source = `
        const { ClusteredCache } = require(${JSON.stringify(root)});
        new ClusteredCache(${JSON.stringify(options)}).get('key')
          .then((value) => require('node:worker_threads').parentPort.postMessage(value));`;
      return new Promise((resolve, reject) => {
        new Worker(source, { eval: true }).once('message', resolve).once('error', reject);
      });
    },
    `${ROOT}index.js`,
    options,
  );
  t.is(found, 'shared');
});

test.serial('a helper that was forked before its parent loaded the package is told what to do', async (t) => {
  const parent = await agents.spawn();
  const helper = await helperOf(parent, { loads: false });
  await parent.run(({ cc }) => typeof cc);
  const strict = { namespace: unique(), timeout: 100, attach: true, failsafe: 'reject' as const };
  const error = (await t.throwsAsync(helper.call(strict, 'get', 'key'), { code: 'ERR_CC_NO_HOST' })) as RemoteError;
  t.regex(error.message, /load clustered-cache before/);
  t.is(await helper.call({ namespace: unique(), timeout: 100, attach: true }, 'get', 'key'), undefined);
});

test.serial('attach without a channel is refused at once', async (t) => {
  const outcome = await script(`
    try { new cc.ClusteredCache({ attach: true }); }
    catch (error) { console.log(error.code, error instanceof TypeError, error.message); }
  `);
  t.regex(outcome.stdout, /^ERR_CC_INVALID_OPTION true .*`attach`.*child_process\.fork/);
});

test.serial('a process that attaches is not a host', async (t) => {
  await failsWith(t, () => ClusteredCache.bootstrap({ attach: true }), 'ERR_CC_INVALID_OPTION', /bootstrap/);
});

test.serial('attach is a boolean, and conflicts with options that select another cache', async (t) => {
  for (const options of [{ attach: 1 }, { attach: true, endpoint: '/a/b' }, { attach: true, role: 'host' }]) {
    await failsWith(t, () => new ClusteredCache(options as object), 'ERR_CC_INVALID_OPTION', /`attach`/);
  }
});

/** Runs a program that forks the file `helper.cjs`; both have the package as `cc` and `attached` as options. */
function family(t: ExecutionContext, parent: string, helper: string) {
  const directory = directoryFor(t);
  const head = `
    const cc = require(${JSON.stringify(`${ROOT}index.js`)});
    const { fork } = require('node:child_process');
    const attached = { attach: true, timeout: ${DEADLINE} };`;
  for (const [name, source] of Object.entries({ parent, helper })) {
    const file = path.join(directory, `${name}.cjs`);
    writeFileSync(
      file,
      `${head}\nconst startHelper = () => fork(${JSON.stringify(`${directory}/helper.cjs`)});\n${source}`,
    );
    chmodSync(file, 0o644);
  }
  return node([path.join(directory, 'parent.cjs')]);
}

const CLEAN = { code: 0, signal: null, hung: false, stderr: '' };

test.serial('attaching keeps neither process alive', async (t) => {
  const parent = `startHelper().once('exit', (code, signal) => console.log(code, signal));`;
  for (const helper of [
    'new cc.ClusteredCache(attached);',
    "new cc.ClusteredCache(attached).set('key', 1);",
    'new cc.ClusteredCache(attached).close();',
  ]) {
    t.like(await family(t, parent, helper), { ...CLEAN, stdout: '0 null\n' }, helper);
  }
});

test.serial('an idle helper whose parent never answers ends by itself', async (t) => {
  const directory = directoryFor(t);
  writeFileSync(
    path.join(directory, 'helper.cjs'),
    `const cc = require(${JSON.stringify(`${ROOT}index.js`)});\nnew cc.ClusteredCache({ attach: true });`,
  );
  const source = `require('node:child_process').fork(${JSON.stringify(`${directory}/helper.cjs`)})
    .once('exit', (code, signal) => console.log(code, signal));`;
  t.like(await node(['-e', source]), { ...CLEAN, stdout: '0 null\n' });
});

test.serial('a helper whose application listens to messages lives until it is disconnected', async (t) => {
  const outcome = await family(
    t,
    `
    const helper = startHelper();
    helper.on('message', (message) => {
      if (message === 'idle') setTimeout(() => helper.send('work'), 300);
      if (message === 'done') helper.disconnect();
    });
    helper.once('exit', (code) => console.log(code));`,
    `
    process.on('message', (message) => { if (message === 'work') process.send('done'); });
    new cc.ClusteredCache(attached).set('key', 1).then(() => process.send('idle'));`,
  );
  t.like(outcome, { ...CLEAN, stdout: '0\n' });
});

test.serial("the application's messages arrive in order, including those sent before it listens", async (t) => {
  const outcome = await family(
    t,
    `
    const { once } = require('node:events');
    const helper = startHelper();
    for (const n of [1, 2, 3]) helper.send({ n });
    // The helper has sent all its messages when it ends its first task: nothing has listened until then.
    const cache = new cc.ClusteredCache();
    (async () => {
      while (!(await cache.get('sent'))) await new Promise((resolve) => setTimeout(resolve, 10));
      const heard = [];
      while (heard.length < 3) {
        const [message] = await once(helper, 'message');
        if (!message['clustered-cache']) heard.push(message.n);
      }
      console.log('parent', ...heard);
      helper.send('end');
    })();`,
    `
    const { once } = require('node:events');
    const cache = new cc.ClusteredCache(attached);
    for (const n of [4, 5, 6]) process.send({ n });
    (async () => {
      await cache.ready;
      const heard = [];
      for (let count = 0; count < 3; count++) {
        const [message] = await once(process, 'message');
        heard.push(message.n);
      }
      console.log('helper', ...heard);
      const end = once(process, 'message');
      await cache.set('sent', true);
      await end;
      process.disconnect();
    })();`,
  );
  t.is(outcome.stderr, '');
  t.deepEqual(outcome.stdout.trim().split('\n').sort(), ['helper 1 2 3', 'parent 4 5 6']);
  t.is(outcome.code, 0);
});
