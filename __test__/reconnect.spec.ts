import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { ClusteredCache, ClusteredCacheError } from '../index.js';
import { type Agent, Agents } from './helpers/agents.ts';
import { failsWith } from './helpers/errors.ts';
import { unique } from './helpers/names.ts';
import { SHARED } from './helpers/transport.ts';
import { event, until, within } from './helpers/wait.ts';

let agents: Agents;
let directory: string;

test.before(async () => {
  agents = await Agents.start();
  // mkdtemp makes it private to this user, as a host demands.
  directory = mkdtempSync(path.join(os.tmpdir(), 'cc-reconnect-'));
});
test.after.always(async () => {
  await agents?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** A host at `endpoint`. */
async function hostAt(endpoint: string): Promise<Agent> {
  const host = await agents.spawn();
  await host.run(async ({ cc, state }, endpoint) => {
    state.listener = await cc.ClusteredCache.listen({ endpoint });
  }, endpoint);
  return host;
}

interface Setting {
  endpoint: string;
  host: Agent;
  open(options?: {
    timeout?: number;
    failsafe?: 'resolve' | 'reject';
    namespace?: string;
    max?: number;
  }): Promise<ClusteredCache<string, any>>;
}

/** Starts a host for one test. */
async function setting(t: ExecutionContext): Promise<Setting> {
  const endpoint = path.join(directory, unique('s'));
  const host = await hostAt(endpoint);
  return {
    endpoint,
    host,
    open: async (options) => {
      const cache = new ClusteredCache<string, any>({ namespace: unique(), endpoint, timeout: 1_000, ...options });
      t.teardown(() => cache.close());
      await cache.ready;
      return cache;
    },
  };
}

/** Waits for a new host, whatever the results of the first calls after its start. */
const back = (cache: ClusteredCache<string, any>) =>
  until('the new host', () =>
    cache.healthCheck().then(
      () => true,
      () => false,
    ),
  );

test.serial('clients reconnect to a host that is killed and restarted: degraded, restored, epoch', async (t) => {
  const { endpoint, host, open } = await setting(t);
  const cache = await open();
  await cache.set('key', 1);
  const { epoch } = await cache.stats();
  const [degraded, restored, changed] = [event(cache, 'degraded'), event(cache, 'restored'), event(cache, 'epoch')];
  await host.kill();
  const [error] = await degraded;
  t.true(error === undefined || error instanceof Error);
  t.is(await cache.get('key'), undefined, 'a miss meanwhile');
  await hostAt(endpoint);
  await restored;
  const [life] = await changed;
  t.is(await cache.get('key'), undefined, 'the new host is cold');
  t.is(await cache.set('key', 2), true);
  t.is(await cache.get('key'), 2);
  const now = await cache.stats();
  t.not(now.epoch, epoch);
  t.is(life, now.epoch);
});

test.serial('every instance gets each event once', async (t) => {
  const { endpoint, host, open } = await setting(t);
  const caches = [await open(), await open()];
  const heard = caches.map((cache) => {
    const events: string[] = [];
    for (const name of ['degraded', 'restored', 'epoch'] as const) cache.on(name, () => void events.push(name));
    return events;
  });
  await host.kill();
  await until('degraded', () => heard.every((events) => events.includes('degraded')));
  for (const cache of caches) t.is(await cache.get('key'), undefined);
  await hostAt(endpoint);
  await until('restored', () => heard.every((events) => events.includes('restored') && events.includes('epoch')));
  for (const events of heard) t.deepEqual([...events].sort(), ['degraded', 'epoch', 'restored']);
});

test.serial('a namespace keeps its options in a new host', async (t) => {
  const { endpoint, host, open } = await setting(t);
  const cache = await open({ max: 2 });
  await host.kill();
  await hostAt(endpoint);
  await back(cache);
  await cache.mSet([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]);
  t.is(await cache.size(), 2);
});

test.serial(
  "failsafe 'resolve': reads miss, set and delete resolve false, operations without an honest answer reject",
  async (t) => {
    const { host, open } = await setting(t);
    const cache = await open();
    await cache.set('key', 1);
    await host.kill();
    await until('loss', async () => (await cache.get('key')) === undefined);
    t.is(await cache.peek('key'), undefined);
    t.is(await cache.has('key'), false);
    t.is(await cache.set('key', 2), false);
    t.is(await cache.delete('key'), false);
    t.deepEqual(
      [...(await cache.mGet(['a', 'b']))],
      [
        ['a', undefined],
        ['b', undefined],
      ],
    );
    t.deepEqual([...(await cache.mHas(['a']))], [['a', false]]);
    t.is(await cache.mSet([['a', 1]]), 0);
    t.is(await cache.mDelete(['a']), 0);
    t.is(await cache.fetch('key', () => 'loaded here'), 'loaded here');
    for (const call of [
      () => cache.incr('n'),
      () => cache.decr('n'),
      () => cache.count('n'),
      () => cache.setIfAbsent('key', 1),
      () => cache.size(),
      () => cache.healthCheck(),
    ]) {
      const error: any = await t.throwsAsync(async () => call());
      t.true(error instanceof ClusteredCacheError, call.toString());
      t.true(['ERR_CC_NO_HOST', 'ERR_CC_DISCONNECTED'].includes(error.code), `${call}: ${error.code}`);
    }
  },
);

test.serial("failsafe 'reject': everything rejects", async (t) => {
  const { host, open } = await setting(t);
  const cache = await open({ failsafe: 'reject' });
  await cache.set('key', 1);
  await host.kill();
  await until('loss', () =>
    cache.get('key').then(
      () => false,
      () => true,
    ),
  );
  for (const call of [
    () => cache.get('key'),
    () => cache.peek('key'),
    () => cache.has('key'),
    () => cache.set('key', 1),
    () => cache.delete('key'),
    () => cache.mGet(['key']),
    () => cache.mSet([['key', 1]]),
    () => cache.keys(),
    () => cache.clear(),
    () => cache.incr('n'),
  ]) {
    const error: any = await t.throwsAsync(async () => call());
    t.true(['ERR_CC_NO_HOST', 'ERR_CC_DISCONNECTED'].includes(error.code), `${call}: ${error.code}`);
  }
});

test.serial('wrong arguments are refused with or without a host', async (t) => {
  const { host, open } = await setting(t);
  const cache = await open();
  await host.kill();
  await until('loss', async () => (await cache.set('key', 1)) === false);
  await failsWith(t, cache.get({} as never), 'ERR_CC_INVALID_KEY');
  await failsWith(
    t,
    cache.set('key', () => {}),
    'ERR_CC_DATA_CLONE',
  );
});

test.serial('a write that a stopped host may have received has an unknown outcome', async (t) => {
  const { host, open } = await setting(t);
  const cache = await open({ timeout: 400, failsafe: 'reject' });
  await cache.incr('n');
  await host.freeze();
  try {
    const error = await failsWith(t, cache.incr('n'), 'ERR_CC_UNKNOWN_OUTCOME');
    t.true(error.cause instanceof Error, 'the cause tells why');
    await failsWith(t, cache.set('key', 1), 'ERR_CC_UNKNOWN_OUTCOME');
    await failsWith(t, cache.info('n'), 'ERR_CC_TIMEOUT', /400/);
  } finally {
    host.resume();
  }
  await back(cache);
  const value = await cache.get('n');
  t.true(value === 1 || value === 2, String(value));
});

test.serial('a late answer is dropped', async (t) => {
  const { host, open } = await setting(t);
  const cache = await open({ timeout: 400 });
  await cache.mSet([
    ['a', 'of a'],
    ['b', 'of b'],
  ]);
  await host.freeze();
  const ask = (...prefixes: string[]) => Promise.all(prefixes.map((prefix) => cache.values({ prefix })));
  t.deepEqual(await within(ask('a', 'b', 'a'), 'timeouts'), [[], [], []]);
  host.resume();
  await back(cache);
  t.deepEqual(await ask('b', 'a'), [['of b'], ['of a']]);
});

test.serial('clients reconnect to a host that was stopped and resumed, with the same epoch and data', async (t) => {
  const { host, open } = await setting(t);
  const cache = await open({ timeout: 400 });
  await cache.set('key', 'kept');
  cache.on('epoch', () => t.fail('it is the same life'));
  const degraded = event(cache, 'degraded');
  await host.freeze();
  t.is(await cache.info('key'), undefined);
  await degraded;
  t.is(await cache.get('key'), SHARED ? 'kept' : undefined, 'its memory can still be read');
  const restored = event(cache, 'restored');
  host.resume();
  await back(cache);
  await restored;
  t.is(await cache.get('key'), 'kept');
});

test.serial('each instance has its own timeout', async (t) => {
  const { host, open } = await setting(t);
  const patient = await open({ timeout: 20_000, failsafe: 'reject' });
  const quick = await open({ timeout: 400, failsafe: 'reject', namespace: patient.namespace });
  await patient.set('key', 1);
  await host.freeze();
  const answer = patient.values();
  await failsWith(t, quick.values(), 'ERR_CC_TIMEOUT', /400/);
  host.resume();
  t.deepEqual(await answer, [1]);
});

test.serial('waiters of a load end when the host dies', async (t) => {
  const { host, open } = await setting(t);
  const strict = await open({ failsafe: 'reject' });
  const other = await agents.spawn();
  const { endpoint } = await host.run(({ state }) => ({ endpoint: state.listener.endpoint }));
  void other
    .run(({ cache }, options) => cache(options).fetch('key', () => new Promise(() => {})), {
      namespace: strict.namespace,
      endpoint,
    })
    .catch(() => {});
  await until('a leader', async () => (await strict.stats()).fetches.leads === 1);
  const waiting = strict.fetch('key', () => 'loaded here');
  waiting.catch(() => {});
  await until('a waiter', async () => (await strict.stats()).fetches.waits === 1);
  await host.kill();
  const outcome = await within(
    waiting.then(
      (value) => value,
      (error: { code?: string }) => error.code,
    ),
    'an end of the wait',
  );
  t.true(
    ['loaded here', 'ERR_CC_DISCONNECTED', 'ERR_CC_NO_HOST', 'ERR_CC_UNKNOWN_OUTCOME'].includes(outcome),
    String(outcome),
  );
});

test.serial('calls made before there is a host wait for it', async (t) => {
  const endpoint = path.join(directory, unique('s'));
  const cache = new ClusteredCache<string, any>({ namespace: unique(), endpoint, timeout: 20_000 });
  t.teardown(() => cache.close());
  const stored = cache.set('key', 1);
  const found = cache.get('key');
  await hostAt(endpoint);
  t.is(await within(stored, 'set'), true);
  t.is(await found, 1);
  await cache.ready;
});

test.serial('getInstance rejects when there is no host', async (t) => {
  const endpoint = path.join(directory, unique('s'));
  const error = await failsWith(t, ClusteredCache.getInstance({ endpoint, timeout: 100 }), 'ERR_CC_NO_HOST');
  t.true(error.message.length > 20);
});

test.serial('a closed listener leaves no files, and its clients reconnect to the next one', async (t) => {
  const { endpoint, host, open } = await setting(t);
  const cache = await open();
  await cache.set('key', 1);
  const degraded = event(cache, 'degraded');
  await host.run(({ state }) => state.listener.close());
  await degraded;
  await host.run(
    async ({ cc, state }, endpoint) => void (state.listener = await cc.ClusteredCache.listen({ endpoint })),
    endpoint,
  );
  await back(cache);
  t.is(await cache.get('key'), 1, 'the same process still holds the data');
});

test.serial('a client survives many lost hosts in a row', async (t) => {
  const { endpoint, host, open } = await setting(t);
  const cache = await open();
  let current = host;
  for (let life = 0; life < 5; life += 1) {
    await back(cache);
    t.is(await cache.set('life', life), true);
    await current.kill();
    current = await hostAt(endpoint);
  }
  await back(cache);
  t.is(await cache.get('life'), undefined);
});

test('a relative endpoint is resolved where the cache is opened, also for what comes later', async (t) => {
  const place = mkdtempSync(path.join(directory, 'relative-'));
  const endpoint = `./${path.basename(place)}/s`;
  const absolute = path.join(place, 's');
  const first = await hostAt(absolute);
  const client = await agents.spawn();
  const options = { namespace: unique(), endpoint, timeout: 15_000 };
  await client.run(
    ({ cache }, options, directory) => {
      process.chdir(directory);
      const opened = cache(options);
      process.chdir('/');
      return opened.ready;
    },
    options,
    directory,
  );
  t.is(await client.call(options, 'incr', 'count'), 1);
  await first.kill();
  await hostAt(absolute);
  t.is(await until('the next host', () => client.call(options, 'incr', 'count').catch(() => undefined)), 1);

  const second = await agents.spawn();
  const listening = await second.run(async ({ cc }, place) => {
    process.chdir(place);
    return (await cc.ClusteredCache.listen({ endpoint: './other' })).endpoint;
  }, place);
  t.is(listening, path.join(place, 'other'), 'a path that other processes can use');
});
