import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { ClusteredCache } from '../index.js';
import { Agents, type Scope } from './helpers/agents.ts';
import { patient, unique } from './helpers/names.ts';
import { node, ROOT, script } from './helpers/scripts.ts';
import { until } from './helpers/wait.ts';

let agents: Agents;
let endpoint: string;

test.before(async () => {
  agents = await Agents.start();
  const host = await agents.spawn();
  endpoint = await host.run(async ({ cc, state }) => {
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint;
  });
});
test.after.always(() => agents?.close());

/** Each role of a script, by its options. */
const roles = (): [string, Record<string, string>][] => [
  ['host', {}],
  ['client', { endpoint }],
];

/** A script that uses `cache`, a cache in each role. */
const withCache = (options: object, source: string, given = {}) =>
  script(`const cache = new cc.ClusteredCache(${JSON.stringify({ ...patient(), ...options })});\n${source}`, given);

const CLEAN = { code: 0, signal: null, hung: false, stderr: '' };

test('a process that only loads the package ends by itself', async (t) => {
  t.like(await script(''), CLEAN);
});

test('a process with an idle cache ends by itself', async (t) => {
  for (const [role, options] of roles()) {
    t.like(await withCache(options, ''), CLEAN, `${role}, never used`);
    t.like(
      await withCache(options, 'cache.set("key", 1).then(() => console.log("done"))'),
      { ...CLEAN, stdout: 'done\n' },
      role,
    );
    t.like(await withCache(options, 'cache.close()'), CLEAN, `${role}, closed`);
    t.like(
      await withCache({ ...options, ttlAutopurge: true, ttl: 600_000 }, 'cache.set("key", 1)'),
      CLEAN,
      `${role}, timers`,
    );
    t.like(await withCache(options, 'cache.on("degraded", () => {}); cache.get("key")'), CLEAN, `${role}, listeners`);
  }
});

test('a process does not end while a call is pending', async (t) => {
  for (const [role, options] of roles()) {
    const outcome = await withCache(
      options,
      `
      const steps = async () => {
        for (let round = 0; round < 100; round += 1) await cache.incr('n');
        console.log(await cache.get('n'));
      };
      steps();
    `,
    );
    t.like(outcome, { ...CLEAN, stdout: '100\n' }, role);
  }
});

test('a process does not end while it waits for a load by another process', async (t) => {
  const namespace = unique();
  const cache = new ClusteredCache<string, any>({ namespace, endpoint });
  let finish!: (value: string) => void;
  const mine = cache.fetch('key', () => new Promise<string>((resolve) => (finish = resolve)));
  await until('a leader', async () => (await cache.stats()).fetches.leads === 1);
  const outcome = withCache({ namespace, endpoint }, `cache.fetch('key', () => 'never').then(console.log)`);
  await until('a waiter', async () => (await cache.stats()).fetches.waits === 1);
  finish('from elsewhere');
  t.like(await outcome, { ...CLEAN, stdout: 'from elsewhere\n' });
  await mine;
  await cache.close();
});

test('a client whose host is silent ends when its calls have timed out', async (t) => {
  const host = await agents.spawn();
  const silent = await host.run(async ({ cc, state }) => {
    state.listener = await cc.ClusteredCache.listen();
    return state.listener.endpoint;
  });
  await host.freeze();
  const outcome = await withCache(
    { endpoint: silent, timeout: 200 },
    `cache.on('degraded', () => {}).get('key').then(console.log)`,
  );
  host.resume();
  t.like(outcome, { ...CLEAN, stdout: 'undefined\n' });
});

test('a client without a host ends by itself, without an unhandled rejection', async (t) => {
  const nowhere = path.join(path.dirname(endpoint), 'nowhere');
  t.like(await withCache({ endpoint: nowhere, timeout: 100 }, ''), CLEAN, 'never used');
  t.like(
    await withCache({ endpoint: nowhere, timeout: 100 }, `cache.on('degraded', () => {}).get('key').then(console.log)`),
    {
      ...CLEAN,
      stdout: 'undefined\n',
    },
  );
  t.like(
    await withCache(
      { endpoint: nowhere, timeout: 100, failsafe: 'reject' },
      `cache.on('degraded', () => {}).get('key').catch(({ code }) => console.log(code))`,
    ),
    { ...CLEAN, stdout: 'ERR_CC_NO_HOST\n' },
  );
});

test('a conflict that is not awaited causes no unhandled rejection', async (t) => {
  const namespace = unique();
  const outcome = await withCache(
    { namespace, endpoint, max: 5 },
    `
    const steps = async () => {
      await cache.set('key', 1);
      const other = new cc.ClusteredCache({ namespace: cache.namespace, endpoint: ${JSON.stringify(endpoint)}, max: 6 });
      await cache.get('key');
      await other.get('key').catch(({ code }) => console.log(code));
    };
    steps();
  `,
  );
  t.like(outcome, { ...CLEAN, stdout: 'ERR_CC_OPTIONS_CONFLICT\n' });
});

test('process.exit during calls does not affect other processes', async (t) => {
  for (const [role, options] of roles()) {
    const outcome = await withCache(
      options,
      `
      for (let index = 0; index < 1000; index += 1) cache.set(index, 'x'.repeat(1000));
      cache.fetch('key', () => new Promise(() => {}));
      (async () => { for await (const _ of cache); })();
      cache.get('key').then(() => process.exit(7));
      setImmediate(() => setImmediate(() => process.exit(7)));
    `,
    );
    t.like(outcome, { ...CLEAN, code: 7 }, role);
  }
});

test('requests made before process.exit are sent', async (t) => {
  const namespace = unique();
  const outcome = await withCache(
    { namespace, endpoint },
    `
    cache.ready.then(() => {
      for (let index = 0; index < 10; index += 1) cache.set(index, index);
      process.exit(0);
    });
  `,
  );
  t.like(outcome, CLEAN);
  const cache = new ClusteredCache<number, number>({ namespace, endpoint });
  await until('the last words', async () => (await cache.size()) === 10);
  t.is(await cache.get(9), 9);
  await cache.close();
});

test("what the application's own exit listeners write is sent, and is in the snapshot", async (t) => {
  const namespace = unique();
  const snapshot = path.join(mkdtempSync(path.join(os.tmpdir(), 'cc-exit-')), 'snapshot');
  t.teardown(() => rmSync(path.dirname(snapshot), { recursive: true, force: true }));
  const write = `
    process.once('exit', () => cache.set('once', 1));
    cache.ready.then(() => process.on('exit', () => cache.set('on', 2)));
  `;
  t.like(await withCache({ namespace, endpoint }, write), CLEAN);
  const cache = new ClusteredCache<string, number>({ namespace, endpoint });
  await until('the last words', async () => (await cache.size()) === 2);
  await cache.close();

  const persist = { path: snapshot };
  t.like(await withCache({ namespace, persist }, write), CLEAN);
  const read = await withCache({ namespace, persist }, `console.log(cache.getSync('once'), cache.getSync('on'));`);
  t.like(read, { ...CLEAN, stdout: '1 2\n' });
});

test('the last reads of a process are reported, however it ends', async (t) => {
  for (const near of [false, true]) {
    for (const end of ['', 'process.exit(0);', 'await cache.close();', 'process.kill(process.pid, "SIGTERM");']) {
      const namespace = unique();
      const cache = new ClusteredCache<string, any>({ namespace, endpoint });
      await cache.set('key', { a: 1 });
      const outcome = await withCache(
        { namespace, endpoint, near },
        `
        process.on('SIGTERM', () => process.exit(0));
        (async () => {
          await cache.ready;
          for (let read = 0; read < 1000; read += 1) await cache.get('key');
          for (let read = 0; read < 10; read += 1) await cache.get('absent');
          ${end}
        })();
      `,
      );
      t.like(outcome, CLEAN, `${end}, near: ${near}`);
      const told = await until('the reads', async () => {
        const { hits, misses } = await cache.stats();
        return hits >= 1_000 && misses >= 10 && [hits, misses];
      }).catch(async () => [(await cache.stats()).hits, (await cache.stats()).misses]);
      t.deepEqual(told, [1_000, 10], `${end}, near: ${near}`);
      await cache.close();
    }
  }
});

test('a process with mapped memory, kept values and pending reports ends at once', async (t) => {
  for (const [role, options] of roles()) {
    const outcome = await withCache(
      { ...options, near: true },
      `
      (async () => {
        await cache.mSet(Array.from({ length: 1000 }, (_, index) => [index, { index }]));
        for (let index = 0; index < 5000; index += 1) await cache.get(index % 1000);
        // What keeps the event loop alive, apart from the script's own output.
        setImmediate(() => console.log(process.getActiveResourcesInfo().filter((name) => !/Pipe|Immediate/.test(name))));
      })();
    `,
    );
    t.like(outcome, { ...CLEAN, stdout: '[]\n' }, role);
  }
});

test('a process that ends during a read does not affect its host or other processes', async (t) => {
  const namespace = unique();
  const cache = new ClusteredCache<string, any>({ namespace, endpoint });
  await cache.set('key', 'x'.repeat(1_000_000));
  for (const near of [false, true]) {
    const outcome = await withCache(
      { namespace, endpoint, near },
      `
      const { Worker } = require('node:worker_threads');
      cache.ready.then(() => {
        const killer = new Worker('setTimeout(() => process.kill(process.pid, "SIGKILL"), 100)', { eval: true });
        killer.once('online', () => { for (;;) void cache.get('key'); });
      });
    `,
    );
    t.is(outcome.signal, 'SIGKILL');
  }
  t.is((await cache.get('key')).length, 1_000_000);
  await cache.close();
});

test("an application's uncaught error ends the process as without this package", async (t) => {
  for (const [role, options] of roles()) {
    const outcome = await withCache(
      options,
      `cache.set('key', 1).then(() => { throw new Error('of the application'); });`,
    );
    t.is(outcome.code, 1, role);
    t.regex(outcome.stderr, /of the application/);
  }
});

test('signals end a host as without this package', async (t) => {
  const outcome = await script(`
    const cache = new cc.ClusteredCache();
    cc.ClusteredCache.listen().then(() => process.kill(process.pid, 'SIGTERM'));
    setInterval(() => {}, 1000);
  `);
  t.is(outcome.signal, 'SIGTERM');
});

test('a host that ends leaves no files', async (t) => {
  const outcome = await script(`
    cc.ClusteredCache.listen().then(({ endpoint }) => {
      console.log(endpoint);
      process.exit(0);
    });
  `);
  t.like(outcome, CLEAN);
  const socket = outcome.stdout.trim();
  t.true(path.isAbsolute(socket));
  t.false(existsSync(socket));
  t.false(existsSync(path.dirname(socket)));
});

test('files of a killed host are removed by the next host', async (t) => {
  // A directory of its own, where no host of another test removes them first.
  const runtime = mkdtempSync(path.join(os.tmpdir(), 'cc-sweep-'));
  t.teardown(() => rmSync(runtime, { recursive: true, force: true }));
  const options = { env: { XDG_RUNTIME_DIR: runtime } };
  const listen = async ({ cc }: Scope) => (await cc.ClusteredCache.listen()).endpoint;
  const [killed, living, next] = [
    await agents.spawn(undefined, options),
    await agents.spawn(undefined, options),
    await agents.spawn(undefined, options),
  ];
  const [left, kept] = [await killed.run(listen), await living.run(listen)];
  t.true(left.startsWith(runtime));
  await killed.kill();
  t.true(existsSync(left), 'no process could remove them');
  await next.run(listen);
  await until('the sweep', () => !existsSync(left));
  t.true(existsSync(kept), 'those of a living host stay');
});

test('a closed listener does not keep the process alive', async (t) => {
  const outcome = await script(`
    const cache = new cc.ClusteredCache();
    cc.ClusteredCache.listen().then(async (listener) => {
      await cache.set('key', 1);
      await listener.close();
      console.log(await cache.get('key'));
    });
  `);
  t.like(outcome, { ...CLEAN, stdout: '1\n' });
});

test('a cluster ends by itself when its workers leave', async (t) => {
  const source = `
    const cluster = require('node:cluster');
    const { ClusteredCache } = require(${JSON.stringify(`${ROOT}index.js`)});
    const cache = new ClusteredCache();
    if (cluster.isPrimary) {
      let left = 2;
      for (let index = 0; index < 2; index += 1) cluster.fork().once('exit', async (code) => {
        if (code !== 0) process.exitCode = 9;
        if (--left === 0) console.log(await cache.get('n'));
      });
    } else {
      cache.incr('n').then(() => cluster.worker.disconnect());
    }
  `;
  // cluster.fork needs a file to run again; -e gives it none.
  const { mkdtempSync, rmSync, writeFileSync } = await import('node:fs');
  const { tmpdir } = await import('node:os');
  const directory = mkdtempSync(path.join(tmpdir(), 'cc-exit-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(path.join(directory, 'app.cjs'), source);
  t.like(await node([path.join(directory, 'app.cjs')]), { ...CLEAN, stdout: '2\n' });
});

test('loading the package does not start anything that is not needed', async (t) => {
  const outcome = await script(`
    const { readdirSync } = require('node:fs');
    if (process.platform === 'linux') {
      const threads = () => readdirSync('/proc/self/task').length;
      const before = threads();
      const cache = new cc.ClusteredCache();
      cache.setSync('key', 1);
      console.log(threads() - before);
    } else console.log(0);
  `);
  t.like(outcome, CLEAN);
  t.true(Number(outcome.stdout) <= 0, 'a host that does not listen needs no threads');
});
