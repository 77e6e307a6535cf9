import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { Agents, type Scope } from './helpers/agents.ts';
import { directoryFor } from './helpers/directories.ts';
import { ROOT, node, script } from './helpers/scripts.ts';

const onUnix = process.platform === 'win32' ? test.skip : test;
const asRoot = process.getuid?.() === 0 ? test : test.skip;

let agents: Agents;
test.before(async () => {
  agents = await Agents.start();
});
test.after.always(() => agents?.close());

/** Becomes the host at `endpoint`; run in a process. */
async function host({ cc, state }: Scope, endpoint: string): Promise<void> {
  state.cache = new cc.ClusteredCache({ role: 'host', endpoint });
  await state.cache.ready;
}

/** A script that collects the warnings of the process, and writes them when it ends. */
const warnings = (endpoint: string, source: string) =>
  script(`
    const endpoint = ${JSON.stringify(endpoint)};
    const open = (namespace, more) => new cc.ClusteredCache({ namespace, endpoint, timeout: 100, ...more });
    const warnings = [];
    process.on('warning', ({ code, message }) => warnings.push([code, message]));
    process.on('exit', () => console.log(JSON.stringify(warnings)));
    (async () => { ${source} })();
  `);

const told = ({ stdout }: { stdout: string }): [code: string, message: string][] => JSON.parse(stdout);

onUnix('without a host and without a listener, a process is warned once: where, why, what to do', async (t) => {
  const nowhere = path.join(directoryFor(t), 'nowhere', 's');
  const outcome = await warnings(
    nowhere,
    `
    const [one, other] = [open('one'), open('other')];
    await Promise.all([one.get('key'), other.set('key', 1)]);
    await open('third').get('key');
    await one.close(); await other.close();
    await open('fourth').get('key');
  `,
  );
  const all = told(outcome);
  t.deepEqual(
    all.map(([code]) => code),
    ['CC_NO_HOST'],
  );
  const [[, message]] = all as [[string, string]];
  t.regex(message, /pid \d+/);
  t.true(message.includes(nowhere), message);
  t.regex(message, /does not exist.*`endpoint`.*'degraded'/s);
});

onUnix('a process is warned of each host that it does not find', async (t) => {
  const here = directoryFor(t);
  const outcome = await warnings(
    path.join(here, 'a'),
    `
    await open('one').get('key');
    await open('two', { endpoint: ${JSON.stringify(path.join(here, 'b'))} }).get('key');
  `,
  );
  t.is(told(outcome).length, 2);
});

onUnix('an application that listens, or gives up, is not warned that there is no host', async (t) => {
  const nowhere = path.join(directoryFor(t), 'nowhere');
  const listens = await warnings(
    nowhere,
    `
    const cache = open('one').on('degraded', () => {});
    await cache.get('key');
    await open('other').get('key');
  `,
  );
  t.deepEqual(told(listens), []);
  const givesUp = await warnings(
    nowhere,
    `await cc.ClusteredCache.getInstance({ endpoint, timeout: 100 }).catch(({ code }) => code === 'ERR_CC_NO_HOST' || warnings.push(code));`,
  );
  t.deepEqual(told(givesUp), []);
});

test('a worker is warned that its primary has not loaded the package', async (t) => {
  const here = directoryFor(t);
  const file = path.join(here, 'app.cjs');
  writeFileSync(
    file,
    `
    const cluster = require('node:cluster');
    if (cluster.isPrimary) cluster.fork().on('message', (told) => Array.isArray(told) && console.log(JSON.stringify(told)));
    else {
      const warnings = [];
      process.on('warning', ({ code, message }) => warnings.push([code, message]));
      const { ClusteredCache } = require(process.argv[2]);
      const cache = new ClusteredCache({ timeout: 100 });
      (async () => {
        for (let round = 0; round < 3; round += 1) await cache.fetch('key', () => round);
        setImmediate(() => process.send(warnings, () => cluster.worker.disconnect()));
      })();
    }
  `,
  );
  const outcome = await node([file, `${ROOT}index.js`]);
  const all = told(outcome);
  t.deepEqual(
    all.map(([code]) => code),
    ['CC_NO_HOST'],
    outcome.stderr,
  );
  t.regex(all[0]![1], /load clustered-cache in the primary/);
});

test('a host that is back before calls fail causes no warning', async (t) => {
  const endpoint = path.join(directoryFor(t), 's');
  const [first, second, client] = [await agents.spawn(), await agents.spawn(), await agents.spawn()];
  await first.run(host, endpoint);
  await client.run(async ({ cc, state }, endpoint) => {
    state.warnings = [];
    process.on('warning', (warning: any) => state.warnings.push(warning.code));
    state.cache = new cc.ClusteredCache({ endpoint, timeout: 20_000 });
    await state.cache.set('key', 1);
  }, endpoint);
  await first.kill();
  await second.run(host, endpoint);
  const warned = await client.run(async ({ state }) => {
    await state.cache.healthCheck();
    await new Promise((resolve) => setImmediate(resolve));
    return state.warnings;
  });
  t.deepEqual(warned, []);
});

onUnix('an instance that is opened while there is no host is told so, and of the return too', async (t) => {
  const endpoint = path.join(directoryFor(t), 's');
  const [client, late] = [await agents.spawn(), await agents.spawn()];
  const heard = await client.run(async ({ cc, state }, endpoint) => {
    const open = (namespace: string) => {
      const cache = new cc.ClusteredCache({ namespace, endpoint, timeout: 100 });
      const events: unknown[] = [];
      state[namespace] = events;
      cache.on('degraded', (error: any) => events.push(error.code)).on('restored', () => events.push('restored'));
      return cache;
    };
    state.first = open('a');
    state.restored = new Promise((resolve) => state.first.once('restored', () => setImmediate(resolve)));
    await state.first.get('key');
    state.second = open('b');
    await state.second.get('key');
    await new Promise((resolve) => setImmediate(resolve));
    return [state.a, state.b];
  }, endpoint);
  t.deepEqual(heard, [['ERR_CC_NO_HOST'], ['ERR_CC_NO_HOST']]);
  await late.run(host, endpoint);
  const after = await client.run(async ({ state }) => {
    await state.restored;
    return [state.a, state.b];
  });
  t.deepEqual(after, [
    ['ERR_CC_NO_HOST', 'restored'],
    ['ERR_CC_NO_HOST', 'restored'],
  ]);
});

onUnix('a process that was busy while it looked for its host is not told that the host is back', async (t) => {
  const nowhere = path.join(directoryFor(t), 'nowhere');
  const outcome = await script(`
    const events = [];
    const cache = new cc.ClusteredCache({ endpoint: ${JSON.stringify(nowhere)}, timeout: 100 });
    cache.on('degraded', () => events.push('degraded')).on('restored', () => events.push('restored'));
    const end = Date.now() + 1_000;
    while (Date.now() < end);
    Promise.all([cache.get('a'), cache.get('b')]).then(() => setImmediate(() => console.log(events.join())));
  `);
  t.is(outcome.stdout, 'degraded\n', outcome.stderr);
});

/** The error of `ready` at `endpoint`. */
const readyAt = async (endpoint: string, options = {}) => {
  const { stdout, stderr } = await script(
    `new cc.ClusteredCache({ endpoint: ${JSON.stringify(endpoint)}, timeout: 100 }).on('degraded', () => {}).ready
      .catch(({ code, message }) => console.log(code + ': ' + message));`,
    options,
  );
  return stdout || stderr;
};

onUnix('`ready` at a dead endpoint says what is wrong there', async (t) => {
  const here = directoryFor(t);
  const remedy = /start the host there.*correct `endpoint`/s;
  const missing = await readyAt(path.join(here, 'none', 's'));
  t.regex(missing, /^ERR_CC_NO_HOST: .*there is no socket at .*none does not exist/s);
  t.regex(missing, remedy);

  const empty = await readyAt(path.join(here, 's'));
  t.regex(empty, /^ERR_CC_NO_HOST: .*there is no socket at .*\/s;/s);
  t.regex(empty, remedy);

  writeFileSync(path.join(here, 'file'), '');
  t.regex(await readyAt(path.join(here, 'file')), /^ERR_CC_NO_HOST: .*not the socket of a host/s);

  const killed = await agents.spawn();
  await killed.run(host, path.join(here, 'killed'));
  await killed.kill();
  const refused = await readyAt(path.join(here, 'killed'));
  t.regex(refused, /^ERR_CC_NO_HOST: .*no process listens at the socket .*killed, whose host has ended/s);
  t.regex(refused, remedy);
  for (const text of [missing, empty, refused]) t.notRegex(text, /primary/);

  const open = path.join(here, 'open');
  mkdirSync(open);
  chmodSync(open, 0o777);
  t.regex(await readyAt(path.join(open, 's')), /^ERR_CC_NO_HOST: .*is open to other users \(mode 777\)/s);
});

asRoot('`ready` at the endpoint of another user says that the user may not connect', async (t) => {
  const here = directoryFor(t);
  t.regex(
    await readyAt(path.join(here, 's'), { uid: 65_534, cwd: '/' }),
    /^ERR_CC_NO_HOST: .*(may not enter|belongs to user 0, not to user 65534)/s,
  );
});

onUnix('a dropped promise of a write does not end a process without a host', async (t) => {
  const nowhere = path.join(directoryFor(t), 'nowhere');
  const calls = [
    ...['incr("n")', 'decr("n")', 'count("n")', 'setIfAbsent("k", 1)', 'getAndDelete("k")', 'clear()'],
    ...['destroy()', 'max(5)', 'ttl()', 'stats()', 'size()', 'purgeStale()'],
  ];
  for (const wait of ['', 'await cache.get("key");']) {
    const outcome = await script(`
      const cache = new cc.ClusteredCache({ endpoint: ${JSON.stringify(nowhere)}, timeout: 100 }).on('degraded', () => {});
      (async () => {
        ${wait}
        ${calls.map((call) => `void cache.${call};`).join('\n')}
        await cache.incr('n').catch(({ code }) => console.log(code));
        console.log('lives');
      })();
    `);
    t.like(outcome, { code: 0, stdout: 'ERR_CC_NO_HOST\nlives\n', stderr: '' }, wait);
  }
});

onUnix(
  'a failed write that is awaited, or dropped with `failsafe: "reject"`, is an error of the application',
  async (t) => {
    const nowhere = path.join(directoryFor(t), 'nowhere');
    for (const [failsafe, call] of [
      ['resolve', '(async () => { await cache.incr("n"); })()'],
      ['reject', 'void cache.incr("n")'],
    ]) {
      const outcome = await script(`
      const cache = new cc.ClusteredCache({
        endpoint: ${JSON.stringify(nowhere)}, timeout: 100, failsafe: ${JSON.stringify(failsafe)},
      }).on('degraded', () => {});
      ${call};
      setTimeout(() => {}, 60_000);
    `);
      t.is(outcome.code, 1, failsafe);
      t.regex(outcome.stderr, /ERR_CC_NO_HOST/);
    }
  },
);
