import test from 'ava';
import { type Agent, Agents, type Scope } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { keep, quantile } from './helpers/figures.ts';
import { LONG } from './helpers/long.ts';
import { patient, unique } from './helpers/names.ts';
import { Pm2 } from './helpers/pm2.ts';
import { script } from './helpers/scripts.ts';
import { SHARED } from './helpers/transport.ts';
import { until, within } from './helpers/wait.ts';

const unix = process.platform === 'win32' ? test.skip : test;
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

const start = (app: string, count: number): Promise<Agent[]> =>
  Promise.all(Array.from({ length: count }, () => pm2.start(agents, app)));

// --- one cache -----------------------------------------------------------------------------------------------------

unix('all instances of an app share one cache, without code in a primary', async (t) => {
  const options = patient();
  const instances = await start(unique('app'), 4);
  const [first, ...others] = instances as [Agent, ...Agent[]];
  t.is(await first.call(options, 'set', 'key', { from: 'first' }), true);
  for (const instance of others) t.deepEqual(await instance.call(options, 'get', 'key'), { from: 'first' });
  await Promise.all(
    instances.map((instance) =>
      instance.run(async ({ cache }, options) => {
        for (let round = 0; round < 200; round += 1) await cache(options).incr('n');
      }, options),
    ),
  );
  t.is(await first.call(options, 'get', 'n'), 800);
  const { clients } = await first.call(options, 'stats');
  t.is(clients, 4, 'each is a client, and the connections that only watch are not counted');
});

unix('all instances are equal: each is a client that reads the memory of the elected host', async (t) => {
  const options = patient();
  for (const instance of await start(unique('app'), 2)) {
    const seen = await instance.run(async ({ cache, describe }, options) => {
      const one = cache(options);
      await one.ready;
      let error: unknown;
      try {
        one.setSync('key', 1);
      } catch (thrown) {
        error = thrown;
      }
      return { role: one.role, transport: one.transport, code: describe(error).code };
    }, options);
    t.deepEqual(seen, { role: 'client', transport: SHARED ? 'shared' : 'socket', code: 'ERR_CC_NOT_HOST' });
  }
});

unix('apps that differ by name, PM2 namespace or daemon do not share a cache', async (t) => {
  const options = patient();
  const app = unique('app');
  const elsewhere = new Pm2();
  t.teardown(() => elsewhere.remove());
  const apps = await Promise.all([
    pm2.start(agents, app),
    pm2.start(agents, `${app}-2`),
    pm2.start(agents, app, { namespace: 'other' }),
    elsewhere.start(agents, app, { TMPDIR: pm2.home }),
  ]);
  await Promise.all(apps.map((instance, index) => instance.call(options, 'set', 'key', index)));
  t.deepEqual(await Promise.all(apps.map((instance) => instance.call(options, 'get', 'key'))), [0, 1, 2, 3]);
});

unix('threads of an instance share its cache', async (t) => {
  const options = patient();
  const [instance, other] = (await start(unique('app'), 2)) as [Agent, Agent];
  await other.call(options, 'set', 'key', 'of the other');
  const inThread = ({ require, cache }: Scope, options: object, environment?: 'none'): Promise<unknown> => {
    const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
    const source = `
      const { parentPort, workerData: { file, options } } = require('node:worker_threads');
      const { ClusteredCache } = require(file);
      const cache = new ClusteredCache(options);
      cache.get('key').then((value) => parentPort.postMessage([cache.role, value]));`;
    void cache(options);
    return new Promise((resolve, reject) => {
      const workerData = { file: require.resolve('../../index.js'), options };
      const thread = new Worker(source, { eval: true, workerData, ...(environment && { env: {} }) });
      thread.once('message', resolve).once('error', reject);
    });
  };
  t.deepEqual(await instance.run(inThread, options), ['client', 'of the other']);
  t.deepEqual(await instance.run(inThread, options, 'none'), ['client', 'of the other']);
});

unix('a helper of an instance does not join by itself, although it inherits the environment', async (t) => {
  const options = patient();
  const [instance] = (await start(unique('app'), 1)) as [Agent];
  await instance.call(options, 'set', 'key', 1);
  const { token, agent } = agents.expect();
  await instance.run(({ forkHelper }, token) => forkHelper(token, 'process.cjs', {}), token);
  const helper = await agent;
  t.is(await helper.run(({ cache }, options) => cache(options).role, options), 'host');
  t.is(await helper.call(options, 'get', 'key'), undefined);
});

unix('cluster workers of an instance in fork mode use the cache of the app', async (t) => {
  const options = patient();
  const app = unique('app');
  const [other] = (await start(app, 1)) as [Agent];
  await other.call(options, 'set', 'key', 'of the app');
  const env = { ...Cluster.environment({}), ...pm2.environment(app) };
  const primary = await agents.spawn('primary.cjs', { env });
  const cluster = await Cluster.of(agents, primary, 1);
  t.is(await primary.call(options, 'get', 'key'), 'of the app');
  t.is(await cluster.worker(0).call(options, 'get', 'key'), 'of the app');
});

unix('in cluster mode the daemon is the primary, and no instance waits for it', async (t) => {
  const options = patient();
  const app = unique('app');
  const daemon = await Cluster.start(agents, { load: 'after', workers: 0 });
  const home = new Pm2(daemon.primary.pid);
  t.teardown(() => home.remove());
  const instance = () => daemon.fork(home.environment(app, { exec_mode: 'cluster_mode' }));
  const [first, second] = await Promise.all([instance(), instance()]);
  await first.call(options, 'set', 'key', 'shared');
  t.is(await second.call(options, 'get', 'key'), 'shared');
});

unix("when the daemon's files cannot be read, the environment decides", async (t) => {
  const options = patient();
  const hidden = new Pm2();
  t.teardown(() => hidden.remove());
  hidden.hideDaemon();
  const app = unique('app');
  const [first, second] = await Promise.all([hidden.start(agents, app), hidden.start(agents, app)]);
  await first.call(options, 'set', 'key', 'shared');
  t.is(await second.call(options, 'get', 'key'), 'shared');
});

// --- what is asked for explicitly ----------------------------------------------------------------------------------

unix('bootstrap takes part in the election; methods that only a host has say why they are refused', async (t) => {
  const options = patient();
  const [instance, other] = (await start(unique('app'), 2)) as [Agent, Agent];
  const errors = await instance.run(async ({ cc: { ClusteredCache }, describe }, options) => {
    ClusteredCache.bootstrap(options);
    ClusteredCache.bootstrap();
    return Promise.all(
      [() => ClusteredCache.listen(), () => ClusteredCache.getAllCaches()].map(async (call) => {
        try {
          await call();
          return undefined;
        } catch (error) {
          return describe(error);
        }
      }),
    );
  }, options);
  for (const error of errors) {
    t.is(error?.code, 'ERR_CC_NOT_HOST');
    t.regex(error?.message ?? '', /PM2/);
  }
  t.is(await other.call(options, 'set', 'key', 1), true);
  t.is(await instance.call(options, 'get', 'key'), 1);
});

unix("an instance with role 'client' uses the cache and never hosts it", async (t) => {
  const options = patient();
  const app = unique('app');
  const [client] = (await start(app, 1)) as [Agent];
  const asked = { ...options, role: 'client' };
  const error = await t.throwsAsync(client.call({ ...asked, timeout: 200, failsafe: 'reject' }, 'get', 'key'));
  t.is((error as { code?: string }).code, 'ERR_CC_NO_HOST');
  const [host] = (await start(app, 1)) as [Agent];
  await host.call(options, 'set', 'key', 1);
  await until('the client to find the host', async () => (await client.call(asked, 'get', 'key')) === 1);
});

unix("role 'host' and endpoint take precedence over the election", async (t) => {
  const namespace = unique();
  const [instance, other] = (await start(unique('app'), 2)) as [Agent, Agent];
  const endpoint = `${pm2.home}/own`;
  t.is(await instance.run(({ cache }, options) => cache(options).role, { namespace, role: 'host', endpoint }), 'host');
  await instance.call({ namespace, role: 'host', endpoint }, 'set', 'key', 'own');
  t.is(await other.call({ ...patient(), namespace, endpoint }, 'get', 'key'), 'own');
  t.is(await other.call({ ...patient(), namespace }, 'get', 'key'), undefined);
});

// --- the end of processes ------------------------------------------------------------------------------------------

unix('an instance ends by itself, host or not, and sends nothing to its parent', async (t) => {
  const app = unique('app');
  const once = (more: string) =>
    script(
      `process.send = () => { throw new Error('a message to the parent'); };
       const cache = new cc.ClusteredCache({ timeout: 15_000 });
       cache.incr('n').then((n) => { console.log(n); ${more} });`,
      { env: pm2.environment(app) },
    );
  for (const more of ['', 'process.exit();']) {
    const { code, stdout, stderr, hung } = await once(more);
    t.deepEqual({ code, stdout, stderr, hung }, { code: 0, stdout: '1\n', stderr: '', hung: false });
  }
});

linux('a host that ends is replaced and the other instances continue', async (t) => {
  const options = patient();
  const instances = await start(unique('app'), 3);
  await Promise.all(instances.map((instance) => instance.call(options, 'set', instance.pid, 1)));
  const host = await pm2.hostAmong(instances);
  host.run(() => process.exit(0)).catch(() => {});
  await within(host.gone, 'end of the host');
  const others = instances.filter((instance) => instance !== host);
  await pm2.hostAmong(others);
  await Promise.all(others.map((instance) => instance.call(options, 'set', 'key', 'after')));
  for (const instance of others) t.is(await instance.call(options, 'get', 'key'), 'after');
});

interface Seen {
  operations: number;
  wrong: number;
  slowest: number;
  gap: number;
  failures: Record<string, number>;
}

const beginLoad = (instance: Agent, options: object): Promise<void> =>
  instance.run(async ({ cache, require, state }, options) => {
    await cache(options).ready;
    state.load = require('./load.cjs').start(cache(options));
  }, options);
const takeSeen = (instance: Agent): Promise<Seen> => instance.run(({ state }) => state.load.take() as Seen);

linux('a host that is killed under load is replaced at once: nothing hangs, nothing is wrong', async (t) => {
  t.timeout(LONG ? 600_000 : 60_000);
  const rounds = LONG ? 200 : 8;
  const TIMEOUT = 1_000;
  const options = { namespace: unique(), timeout: TIMEOUT, failsafe: 'reject' };
  const app = unique('app');
  const instances = await start(app, 4);
  await Promise.all(instances.map((instance) => beginLoad(instance, options)));
  const gaps: number[] = [];
  let operations = 0;
  for (let round = 0; round < rounds; round += 1) {
    const host = await pm2.hostAmong(instances);
    instances.splice(instances.indexOf(host), 1);
    for (const { wrong } of await Promise.all(instances.map(takeSeen))) t.is(wrong, 0);
    await host.kill();
    await pm2.hostAmong(instances);
    await Promise.all(
      instances.map((instance) =>
        // After this the load has reached the new host too: it uses the same connection.
        instance.call({ ...options, timeout: 15_000 }, 'set', 'met', 1),
      ),
    );
    const seen = await Promise.all(instances.map(takeSeen));
    for (const { wrong, slowest, failures } of seen) {
      t.is(wrong, 0);
      t.true(slowest < TIMEOUT + 500, `an operation took ${slowest} ms`);
      // The outcome of requests in flight is unknown; all others wait for the next host.
      const others = Object.keys(failures).filter(
        (code) => code !== 'ERR_CC_UNKNOWN_OUTCOME' && code !== 'ERR_CC_DISCONNECTED',
      );
      t.deepEqual(others, []);
    }
    gaps.push(Math.max(...seen.map(({ gap }) => gap)));
    operations += seen.reduce((sum, one) => sum + one.operations, 0);
    const next = await pm2.start(agents, app);
    await beginLoad(next, options);
    instances.push(next);
  }
  keep(t, 'kill -9 of the host under load', {
    kills: rounds,
    operations,
    wrong: 0,
    'without a host, median ms': quantile(gaps, 0.5),
    'without a host, p99 ms': quantile(gaps, 0.99),
  });
  await Promise.all(instances.map((instance) => instance.run(({ state }) => state.load.stop())));
});

linux('a host that was stopped for longer than its clients wait starts over empty', async (t) => {
  const options = { namespace: unique(), timeout: 300 };
  const instances = await start(unique('app'), 3);
  await Promise.all(instances.map((instance) => instance.call(options, 'has', 'key')));
  const host = await pm2.hostAmong(instances);
  const [other, third] = instances.filter((instance) => instance !== host) as [Agent, Agent];
  t.is(await other.call(options, 'set', 'key', 'old'), true);
  const { epoch } = await other.call(options, 'stats');
  await host.freeze();
  const frozen = performance.now();
  t.is(await other.call(options, 'delete', 'key'), false, 'no host answers that it was deleted');
  await until('its clients to have given up', () => performance.now() - frozen > 1_300);
  host.resume();
  const changed = async () => {
    const stats = await third.call({ ...options, failsafe: 'reject' }, 'stats').catch(() => undefined);
    return stats !== undefined && stats.epoch !== epoch;
  };
  await until('a new epoch', changed);
  t.is(await third.call({ ...options, timeout: 15_000 }, 'get', 'key'), undefined);
});
