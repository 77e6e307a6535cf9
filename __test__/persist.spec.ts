import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { type Agent, Agents } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { directoryFor } from './helpers/directories.ts';
import { unique } from './helpers/names.ts';
import { Pm2 } from './helpers/pm2.ts';
import { script } from './helpers/scripts.ts';
import { until, within } from './helpers/wait.ts';

const unix = process.platform === 'win32' ? test.skip : test;
const linux = process.platform === 'linux' ? test : test.skip;

let agents: Agents;
test.before(async () => {
  agents = await Agents.start();
});
test.after.always(() => agents?.close());

const INTERVAL = 1_000;

/** A script in which `cache(more)` opens a cache that is saved to `file`. */
const saving = (file: string, source: string, persist: object = {}) =>
  script(`
    const persist = ${JSON.stringify({ path: file, ...persist })};
    const cache = (more) => new cc.ClusteredCache({ persist, ...more });
    const show = (value) => console.log(JSON.stringify(value));
    (async () => { ${source} })();
  `);

const CLEAN = { code: 0, signal: null, hung: false, stderr: '' };

// --- what comes back -----------------------------------------------------------------------------------------------

test('a process that ends by itself leaves its entries to the next one', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  const first = await saving(
    file,
    `
    await cache().mSet([['a', { n: 1 }], ['b', new Map([[1, 2]])]]);
    await cache({ namespace: 'other', max: 5 }).incr('n', 7);
  `,
  );
  t.like(first, CLEAN);
  if (process.platform !== 'win32') t.is(statSync(file).mode & 0o777, 0o600);
  const second = await saving(
    file,
    `
    const one = cache();
    show([one.getSync('a'), one.getSync('b').get(1), one.keysSync?.() ?? await one.keys()]);
    show(await cache({ namespace: 'other', max: 9 }).incr('n'));
  `,
  );
  t.like(second, { ...CLEAN, stdout: '[{"n":1},2,["b","a"]]\n8\n' });
});

test('the time to live continues while there is no process', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  const LIFE = 3_000;
  t.like(
    await saving(
      file,
      `await cache().set('soon', 1, { ttl: ${LIFE} }); await cache().set('later', 1, { ttl: 3_600_000 }); await cache().set('never', 1);`,
    ),
    CLEAN,
  );
  const stored = Date.now();
  await until('the time to be over', () => Date.now() > stored + LIFE);
  const second = await saving(
    file,
    `show([await cache().keys(), await cache().getRemainingTTL('later'), await cache().getRemainingTTL('never') === Infinity]);`,
  );
  const [keys, remaining, never] = JSON.parse(second.stdout);
  t.deepEqual(keys, ['never', 'later']);
  t.true(remaining <= 3_600_000 - LIFE && remaining > 3_000_000, String(remaining));
  t.true(never);
});

test('every graceful end of a process saves, and does not change its exit code', async (t) => {
  const directory = directoryFor(t);
  const ways: [string, object][] = [
    ['process.exit(7);', { code: 7, signal: null }],
    ['process.exitCode = 3;', { code: 3, signal: null }],
    ['setImmediate(() => { throw new Error("of the application"); });', { code: 1, signal: null }],
  ];
  if (process.platform !== 'win32') {
    for (const signal of ['SIGTERM', 'SIGINT']) {
      ways.push(
        [`setInterval(() => {}, 1000); process.kill(process.pid, '${signal}');`, { code: null, signal }],
        // An application that listens decides what happens, and may use the cache until then.
        [
          `process.on('${signal}', () => setTimeout(() => cache().setSync('last', 1) && process.exit(5), 20));
           setInterval(() => {}, 1000); process.kill(process.pid, '${signal}');`,
          { code: 5, signal: null },
        ],
      );
    }
  }
  for (const [index, [source, outcome]] of ways.entries()) {
    const file = path.join(directory, String(index));
    t.like(await saving(file, `await cache().set('key', 1); ${source}`), { hung: false, ...outcome }, source);
    const next = await saving(file, `show([await cache().get('key'), await cache().has('last')]);`);
    t.like(next, { ...CLEAN, stdout: `[1,${source.includes('last')}]\n` }, source);
  }
});

unix('an application that continues after a signal loses nothing', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  const first = await saving(
    file,
    `
    process.on('SIGTERM', () => {});
    process.kill(process.pid, 'SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 50));
    await cache().set('after', 1);
  `,
  );
  t.like(first, CLEAN);
  t.like(await saving(file, `show(await cache().get('after'));`), { ...CLEAN, stdout: '1\n' });
});

test('the package listens to signals only if a cache is to be saved', async (t) => {
  const outcome = await script(`
    new cc.ClusteredCache().setSync('key', 1);
    console.log(process.listenerCount('SIGTERM'), process.listenerCount('SIGINT'));
  `);
  t.like(outcome, { ...CLEAN, stdout: '0 0\n' });
});

test('a relative path is resolved in the directory where the cache was opened', async (t) => {
  const directory = directoryFor(t);
  mkdirSync(path.join(directory, 'elsewhere'));
  const source = `
    process.chdir(${JSON.stringify(directory)});
    const cache = new cc.ClusteredCache({ persist: { path: 'relative' } });
    cache.setSync('key', 1);
    process.chdir('elsewhere');
  `;
  t.like(await script(source), CLEAN);
  t.deepEqual(readdirSync(directory).sort(), ['elsewhere', 'relative']);
});

// --- what must not come back ---------------------------------------------------------------------------------------

/** An agent that hosts with a cache that is saved. */
const options = (file: string, interval?: number) => ({ persist: { path: file, ...(interval && { interval }) } });

test('without an interval a file is used once: after a crash nothing is restored', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  t.like(await saving(file, `await cache().set('deleted', 1);`), CLEAN);
  const host = await agents.spawn();
  t.is(await host.call(options(file), 'get', 'deleted'), 1);
  t.false(existsSync(file));
  await host.call(options(file), 'delete', 'deleted');
  await host.kill();
  t.like(await saving(file, `show(await cache().keys());`), { ...CLEAN, stdout: '[]\n' });
});

test('with an interval, the last written state is restored after a crash', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  const host = await agents.spawn();
  await host.call(options(file, INTERVAL), 'set', 'key', 'first');
  await until('the first snapshot', () => existsSync(file));
  const before = statSync(file).mtimeMs;
  await host.call(options(file, INTERVAL), 'set', 'key', 'second');
  await until('the next one', () => statSync(file).mtimeMs > before);
  await host.kill();
  const again = () =>
    saving(file, `show(await cache().get('key')); process.kill(process.pid, 'SIGKILL');`, { interval: INTERVAL });
  t.is((await again()).stdout, '"second"\n');
  t.is((await again()).stdout, '"second"\n', 'the file stays');
});

test('persist given after the cache is in use loads nothing, and warns', async (t) => {
  const directory = directoryFor(t);
  const file = path.join(directory, 'snapshot');
  t.like(await saving(file, `await cache().set('key', 1);`), CLEAN);
  const late = await saving(file, `new cc.ClusteredCache().deleteSync('key'); show(await cache().keys());`);
  t.like(late, { code: 0, stdout: '[]\n' });
  t.regex(late.stderr, /\[CC_SNAPSHOT_LATE\] ClusteredCacheWarning: .*first cache/);
  t.regex(late.stderr, /\[CC_SNAPSHOT_SET_ASIDE\]/);
  t.like(await saving(file, `show(await cache().keys());`), { ...CLEAN, stdout: '[]\n' }, 'it was saved all the same');
});

// --- what can be wrong ---------------------------------------------------------------------------------------------

test('a damaged file is set aside with a warning, and the cache starts without it', async (t) => {
  const directory = directoryFor(t);
  const file = path.join(directory, 'snapshot');
  t.like(await saving(file, `await cache().set('key', 'x'.repeat(1000));`), CLEAN);
  truncateSync(file, 700);
  const damaged = readFileSync(file);
  const next = await saving(
    file,
    `process.on('warning', ({ name, code, message }) => show([name, code, message])); show(await cache().keys());`,
  );
  const [warning, keys] = next.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(keys, []);
  t.deepEqual(warning.slice(0, 2), ['ClusteredCacheWarning', 'CC_SNAPSHOT_SET_ASIDE']);
  const aside = readdirSync(directory).find((name) => name.includes('.damaged-'))!;
  t.true(warning[2].includes(path.join(directory, aside)), warning[2]);
  t.deepEqual(readFileSync(path.join(directory, aside)), damaged);
  t.like(await saving(file, `show(await cache().keys());`), { ...CLEAN, stdout: '[]\n' });
});

test('a file that cannot be written causes a warning at once and at the end, but no error', async (t) => {
  const file = path.join(directoryFor(t), 'missing', 'snapshot');
  const outcome = await saving(file, `show(await cache().set('key', 1));`);
  t.like(outcome, { code: 0, stdout: 'true\n', hung: false });
  const warnings = outcome.stderr.match(/\[CC_SNAPSHOT_FAILED\] ClusteredCacheWarning: .*cannot be written/g);
  t.is(warnings?.length, 2, outcome.stderr);
  const quiet = await saving(
    file,
    `process.removeAllListeners('warning'); process.on('warning', ({ code }) => process._rawDebug(code)); cache();`,
  );
  t.is(quiet.stderr, 'CC_SNAPSHOT_FAILED\nCC_SNAPSHOT_FAILED\n', 'also the last one reaches listeners');
});

unix('the second of two running hosts with one path is warned of the first', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  const first = await agents.spawn();
  await first.call(options(file, INTERVAL), 'set', 'key', 1);
  const pid = await first.run(() => process.pid);
  const second = await agents.spawn();
  const [code, message] = await second.run(async ({ cache }, options) => {
    const warned = new Promise<string[]>((resolve) => {
      process.on('warning', (warning) => resolve([(warning as { code?: string }).code!, warning.message]));
    });
    cache(options);
    return warned;
  }, options(file));
  t.is(code, 'CC_SNAPSHOT_SHARED');
  t.true(message!.includes(file) && message!.includes(`process ${pid}`), message);
});

linux('a file that cannot be removed is not used', async (t) => {
  if (process.getuid?.() === 0) return t.pass('root may remove everything');
  const directory = directoryFor(t);
  const file = path.join(directory, 'snapshot');
  t.like(await saving(file, `await cache().set('key', 1);`), CLEAN);
  chmodSync(directory, 0o500);
  t.teardown(() => chmodSync(directory, 0o700));
  const outcome = await saving(file, `show(await cache().keys());`);
  t.is(outcome.stdout, '[]\n');
  t.regex(outcome.stderr, /CC_SNAPSHOT_SET_ASIDE.*second time/);
  return undefined;
});

test('instances of a process that give different files conflict; omitting the option does not', async (t) => {
  const directory = directoryFor(t);
  const [one, two] = [path.join(directory, 'one'), path.join(directory, 'two')];
  const outcome = await saving(
    one,
    `
    cache(); cache(); cache({ persist: undefined, namespace: 'n' }); cache({ persist: { ...persist, interval: 0 } });
    for (const other of [{ path: ${JSON.stringify(two)} }, { ...persist, interval: 5000 }]) {
      try { cache({ persist: other }); } catch ({ code, message }) { show([code, message]); }
    }
  `,
  );
  t.is(outcome.stderr, '');
  const [path2, interval] = outcome.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.is(path2[0], 'ERR_CC_OPTIONS_CONFLICT');
  t.true(path2[1].includes(one) && path2[1].includes(two), path2[1]);
  t.is(interval[0], 'ERR_CC_OPTIONS_CONFLICT');
  t.regex(interval[1], /5000 ms/);
});

// --- hosts of others -----------------------------------------------------------------------------------------------

unix('a second host at an endpoint is refused and leaves the snapshot to the first', async (t) => {
  const directory = directoryFor(t);
  const [file, endpoint] = [path.join(directory, 'snapshot'), path.join(directory, 'socket')];
  const host = await agents.spawn();
  const given = { role: 'host', endpoint, ...options(file, INTERVAL) };
  await host.call(given, 'set', 'key', 1);
  await until('a snapshot', () => existsSync(file));
  const { stdout } = await saving(
    file,
    `try { cache({ role: 'host', endpoint: ${JSON.stringify(endpoint)} }); } catch ({ code }) { show(code); }`,
  );
  t.is(stdout, '"ERR_CC_INVALID_OPTION"\n');
  t.true(existsSync(file));
  await host.kill();
});

unix('acknowledged writes are in the snapshot of a host that ends under load', async (t) => {
  const directory = directoryFor(t);
  const [file, endpoint] = [path.join(directory, 'snapshot'), path.join(directory, 'socket')];
  const [host, client] = await Promise.all([agents.spawn(), agents.spawn()]);
  await host.call({ role: 'host', endpoint, ...options(file) }, 'set', 'n', 0);
  const counting = client.run(async ({ cache }, endpoint) => {
    const counter = cache({ endpoint, timeout: 3_000, failsafe: 'reject' });
    let told = 0;
    try {
      for (;;) told = await counter.incr('n');
    } catch {
      return told;
    }
  }, endpoint);
  await until(
    'some counting',
    async () => (await host.call({ role: 'host', endpoint, ...options(file) }, 'get', 'n')) > 50,
  );
  host.signal('SIGTERM');
  await within(host.gone, 'end of the host');
  const told = await counting;
  const { stdout } = await saving(file, `show(await cache().get('n'));`);
  // The last write may have been carried out without an answer.
  t.true(Number(stdout) === told || Number(stdout) === told + 1, `${told} told, ${stdout} saved`);
});

unix('a cluster keeps its content over a restart; the option has no effect in its workers', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  const given = { ...options(file), timeout: 15_000 };
  const first = await Cluster.start(agents, { workers: 2 });
  await first.primary.call(given, 'set', 'of the primary', 1);
  t.is(await first.worker(0).call(given, 'set', 'of a worker', 2), true);
  t.is(await first.worker(1).run(() => process.listenerCount('SIGTERM')), 0);
  first.primary.signal('SIGTERM');
  await within(first.primary.gone, 'end of the primary');
  t.true(existsSync(file));
  const second = await Cluster.start(agents, { workers: 1 });
  await second.primary.call(given, 'size');
  t.is(await second.worker(0).call(given, 'get', 'of the primary'), 1);
  t.is(await second.worker(0).call(given, 'get', 'of a worker'), 2);
});

test('bootstrap loads the snapshot before any cache can be opened', async (t) => {
  const file = path.join(directoryFor(t), 'snapshot');
  t.like(await saving(file, `await cache({ namespace: 'n' }).set('key', 1);`), CLEAN);
  const next = await saving(
    file,
    `cc.ClusteredCache.bootstrap({ persist }); show(new cc.ClusteredCache({ namespace: 'n' }).getSync('key'));`,
  );
  t.like(next, { ...CLEAN, stdout: '1\n' });
});

// --- elected hosts -------------------------------------------------------------------------------------------------

const end = async (agent: Agent) => {
  agent.signal('SIGTERM');
  await within(agent.gone, 'end of an instance');
};

linux('the instances of an app load the content that the last host saved', async (t) => {
  const pm2 = new Pm2();
  t.teardown(() => pm2.remove());
  const app = unique('app');
  const given = { ...options(path.join(pm2.home, 'snapshot')), timeout: 15_000 };
  const first = await pm2.start(agents, app);
  await first.call(given, 'set', 'key', 1);
  await end(first);
  const [second, third] = [await pm2.start(agents, app), await pm2.start(agents, app)];
  t.is(await second.call(given, 'get', 'key'), 1);
  t.is(await third.call(given, 'get', 'key'), 1);
  await second.call(given, 'delete', 'key');
  await second.kill();
  await third.kill();
  const fourth = await pm2.start(agents, app);
  t.deepEqual(await fourth.call(given, 'keys'), [], 'used once');
});

linux('only an instance that never had a host loads the snapshot; one that lost its host starts empty', async (t) => {
  const pm2 = new Pm2();
  t.teardown(() => pm2.remove());
  const app = unique('app');
  const file = path.join(pm2.home, 'snapshot');
  const given = { ...options(file, INTERVAL), timeout: 15_000 };
  const host = await pm2.start(agents, app);
  await host.call(given, 'set', 'key', 'old');
  const survivor = await pm2.start(agents, app);
  t.is(await survivor.call(given, 'get', 'key'), 'old');
  await until('a snapshot', () => existsSync(file));
  await host.call(given, 'delete', 'key');
  await host.kill();
  await pm2.hostAmong([survivor]);
  t.deepEqual(await survivor.call(given, 'keys'), [], 'it saw the newer content');
  await survivor.call(given, 'set', 'key', 'new');
  const before = await until('a snapshot of its own', () => existsSync(file) && statSync(file).mtimeMs);
  await until('the next one', () => statSync(file).mtimeMs > before);
  await survivor.kill();
  const fresh = await pm2.start(agents, app);
  t.is(await fresh.call(given, 'get', 'key'), 'new');
});

linux('a surviving instance loads what a host without a successor saved, and never anything older', async (t) => {
  const pm2 = new Pm2();
  t.teardown(() => pm2.remove());
  const app = unique('app');
  const file = path.join(pm2.home, 'snapshot');
  // With a time of 0 there is no handover.
  const given = { ...options(file, 3_600_000), timeout: 15_000, handoverTimeout: 0 };
  const host = await pm2.start(agents, app);
  await host.call(given, 'set', 'key', 'saved');
  const survivors = [await pm2.start(agents, app), await pm2.start(agents, app)];
  for (const survivor of survivors) t.is(await survivor.call(given, 'get', 'key'), 'saved');
  await survivors[0]!.call(given, 'set', 'last', 1);
  await end(host);
  const next = await pm2.hostAmong(survivors);
  const other = survivors.find((survivor) => survivor !== next)!;
  await until('the next host', async () => (await other.call(given, 'get', 'last')) === 1);
  t.is(await other.call(given, 'get', 'key'), 'saved');
  await other.call(given, 'delete', 'key');
  t.true(existsSync(file), 'it stays, for the sake of a crash');
  await next.kill();
  await pm2.hostAmong([other]);
  await until('another life', async () => (await other.call(given, 'size')) === 0);
  t.is(await other.call(given, 'get', 'key'), undefined, 'it was deleted since');
});

linux('an instance that names another file than the host gets a warning, and works', async (t) => {
  const pm2 = new Pm2();
  t.teardown(() => pm2.remove());
  const app = unique('app');
  const [one, two] = [path.join(pm2.home, 'one'), path.join(pm2.home, 'two')];
  const host = await pm2.start(agents, app);
  await host.call({ ...options(one), timeout: 15_000 }, 'set', 'key', 1);
  const other = await pm2.start(agents, app);
  const warned = other.run(
    ({ cache }, options) => {
      const warning = new Promise<NodeJS.ErrnoException>((resolve) => process.once('warning', resolve));
      cache(options);
      return warning.then(({ name, code, message }) => ({ name, code, message }));
    },
    { ...options(two), timeout: 15_000 },
  );
  const { name, code, message } = await warned;
  t.is(name, 'ClusteredCacheWarning');
  t.is(code, 'CC_SNAPSHOT_DIFFERS');
  t.true(message.includes(one) && message.includes(two), message);
  t.is(await other.call({ ...options(two), timeout: 15_000 }, 'get', 'key'), 1);
});

linux('a host that was stopped for too long starts over without the snapshot', async (t) => {
  const pm2 = new Pm2();
  t.teardown(() => pm2.remove());
  const file = path.join(pm2.home, 'snapshot');
  const given = { ...options(file, INTERVAL), timeout: 15_000 };
  const stopped = await pm2.start(agents, unique('app'));
  await stopped.call(given, 'set', 'key', 1);
  await until('a snapshot', () => existsSync(file));
  await stopped.freeze();
  const frozen = performance.now();
  await until('it to have overslept', () => performance.now() - frozen > 1_500);
  writeFileSync(file, 'of another', { mode: 0o600 });
  stopped.resume();
  // It starts over empty: its clients must see neither its old content nor the file.
  // Requests made while the old host ends are lost with their connection.
  const size = () =>
    stopped.call(given, 'size').catch((error: { code?: string }) => {
      if (error.code !== 'ERR_CC_DISCONNECTED') throw error;
    });
  await until('a new life', async () => (await size()) === 0);
  const isOwn = () => existsSync(file) && readFileSync(file).subarray(0, 6).toString() === 'CCSNAP';
  t.true(await until('its own snapshot', isOwn));
  t.is(await stopped.call(given, 'get', 'key'), undefined);
});
