// Reads that clients answer themselves, from the host's memory.
import assert from 'node:assert/strict';
import test, { type ExecutionContext } from 'ava';
import { Agents } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { patient, unique } from './helpers/names.ts';
import { ROOT } from './helpers/scripts.ts';
import { ANYHOW, BY_SOCKET, SHARED } from './helpers/transport.ts';
import { REDUCED, SAMPLES } from './helpers/values.ts';
import { until } from './helpers/wait.ts';

let agents: Agents;
/** A cluster that tests share; each uses a namespace of its own. Those that stop a host start their own. */
let shared: Cluster;

test.before(async () => {
  agents = await Agents.start();
  shared = await Cluster.start(agents, { workers: 2 });
});
test.after.always(() => agents?.close());

/** A test that applies only if clients read the host's memory. */
const memory = SHARED ? test : test.skip;

/** Runs `body` while all threads of the primary are stopped: answers then come from memory. */
async function whileFrozen<T>({ primary }: Cluster, body: () => Promise<T>): Promise<T> {
  await primary.freeze();
  try {
    return await body();
  } finally {
    primary.resume();
  }
}

/** Options of a cache that fails rather than answering without its host. */
const strict = () => ({ namespace: unique(), timeout: 5_000, failsafe: 'reject' as const });

memory('get, peek, has, mGet, mHas, fetch and their variants find cached entries in memory', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const [worker, options] = [cluster.worker(0), strict()];
  await cluster.primary.call(options, 'mSet', [
    ['a', { is: 'a' }],
    ['b', 2],
  ]);
  await worker.run(({ cache }, options) => cache(options).ready, options);
  const answers = await whileFrozen(cluster, () =>
    worker.run(async ({ cache }, options) => {
      const target = cache(options);
      return [
        target.transport,
        await target.get('a'),
        await target.get('absent'),
        await target.peek('a'),
        await target.peek('absent'),
        await target.has('b'),
        await target.has('absent'),
        await target.mGet(['b', 'absent', 'a']),
        await target.mHas(['b', 'absent']),
        await target.fetch('b', () => 'loaded'),
        target.getSync('a'),
        target.getSync('absent'),
        target.peekSync('b'),
        target.hasSync('b'),
        target.hasSync('absent'),
      ];
    }, options),
  );
  const [there, twice] = [{ is: 'a' }, new Map<string, unknown>()];
  twice.set('b', 2).set('absent', undefined).set('a', there);
  const has = new Map<string, boolean>().set('b', true).set('absent', false);
  const expected = [there, undefined, there, undefined, true, false, twice, has, 2, there, undefined, 2, true, false];
  t.deepEqual(answers, ['shared', ...expected]);
  t.deepEqual([...(answers[7] as Map<string, unknown>).keys()], ['b', 'absent', 'a'], 'in the order of the keys');
});

memory('changes, and reads that memory cannot answer, go to the host', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const [worker, options] = [cluster.worker(0), { ...strict(), timeout: 1_000 }];
  await worker.call(options, 'set', 'key', 1);
  const reads = ['info', 'getRemainingTTL', 'keys', 'size', 'stats', 'healthCheck'];
  await whileFrozen(cluster, async () => {
    const late = reads.map((method) =>
      t.throwsAsync(worker.call(options, method, ...(/info|TTL/.test(method) ? ['key'] : [])), {
        code: 'ERR_CC_TIMEOUT',
      }),
    );
    const unknown = t.throwsAsync(worker.call(options, 'getAndDelete', 'key'), { code: 'ERR_CC_UNKNOWN_OUTCOME' });
    t.is(await worker.call(options, 'get', 'other'), undefined, 'a read of another key is answered all the same');
    await Promise.all([...late, unknown]);
  });
});

test('in socket mode no memory of the host is mapped, and synchronous reads are refused', async (t) => {
  const worker = await shared.fork(BY_SOCKET);
  const options = patient();
  await worker.call(options, 'set', 'key', 1);
  t.is(await worker.call(options, 'get', 'key'), 1);
  t.is(await worker.run(({ cache }, options) => cache(options).transport, options), 'socket');
  await t.throwsAsync(worker.call(options, 'getSync', 'key'), {
    code: 'ERR_CC_NO_SHARED_TABLE',
    message: /await get\(\)/,
  });
  if (process.platform === 'linux') {
    t.is(
      await worker.run(({ require }) => /memfd/.test(require('node:fs').readFileSync('/proc/self/maps', 'latin1'))),
      false,
    );
  }
});

test('an invalid CLUSTERED_CACHE_TRANSPORT is refused by name', async (t) => {
  const worker = await shared.fork({ CLUSTERED_CACHE_TRANSPORT: 'pigeon' });
  await t.throwsAsync(worker.call(patient(), 'get', 'key'), {
    code: 'ERR_CC_INVALID_OPTION',
    message: /CLUSTERED_CACHE_TRANSPORT.*"pigeon".*socket.*shared/,
  });
  const empty = await shared.fork(ANYHOW);
  t.is(await empty.call(patient(), 'get', 'key'), undefined, 'empty is unset');
});

// --- values ---------------------------------------------------------------------------------------------------------

memory('values of every kind are read from memory unchanged', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const [worker, options] = [cluster.worker(0), { ...strict(), cacheNull: true }];
  const samples = [...SAMPLES, { name: 'null', make: () => null }];
  for (const { name, make } of samples) await worker.call(options, 'set', name, make());
  await whileFrozen(cluster, async () => {
    for (const { name, make } of samples) {
      assert.deepStrictEqual(await worker.call(options, 'getSync', name), make(), name);
      assert.deepStrictEqual(await worker.call(options, 'get', name), make(), name);
    }
    const all = await worker.call(
      options,
      'mGet',
      samples.map(({ name }) => name),
    );
    for (const { name, make } of samples) assert.deepStrictEqual(all.get(name), make(), name);
  });
  // Values that structured clone reduces are reduced in the same way, whichever way they are read.
  for (const { name, make } of REDUCED) {
    const { own, theirs } = await worker.run(
      async ({ cache }, options, name, source) => {
        const value = new Function(`return (${source})()`)();
        await cache(options).set(name, value);
        return { own: cache(options).getSync(name), theirs: structuredClone(value) };
      },
      options,
      name,
      REPRODUCIBLE.has(name) ? make.toString() : '() => ({})',
    );
    assert.deepStrictEqual(own, theirs, name);
  }
  t.pass();
});

/** Samples whose source does not depend on its file. */
const REPRODUCIBLE = new Set(REDUCED.map(({ name }) => name).filter((name) => !name.startsWith('instance of a class')));

memory('every read returns a copy of its own', async (t) => {
  const options = patient();
  await shared.primary.call(options, 'mSet', [
    ['object', { list: [1] }],
    ['bytes', Buffer.from('abc')],
    ['map', new Map([[1, { deep: true }]])],
  ]);
  const worker = shared.worker(0);
  const kept = await worker.run(async ({ cache }, options) => {
    const target = cache(options);
    await target.ready;
    const first = ['object', 'bytes', 'map'].map((key) => target.getSync(key));
    first[0].list.push(2);
    first[1].fill(0);
    first[2].get(1).deep = false;
    return [target.getSync('object'), target.getSync('bytes'), await target.get('map')];
  }, options);
  t.deepEqual(kept, [{ list: [1] }, Buffer.from('abc'), new Map([[1, { deep: true }]])]);
});

memory('keys of every kind are distinct in memory', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const [worker, options] = [cluster.worker(0), strict()];
  const keys = [
    ...[
      '',
      '1',
      '-1',
      '0',
      'NaN',
      '__proto__',
      'constructor',
      'a\0b',
      'a\0',
      'a',
      'é',
      'e\u0301',
      '鍵',
      '\ud800',
      '\udc00',
    ],
    ...['\ud83d\ude00', 'k'.repeat(65_000), `${'k'.repeat(64_999)}l`, 'é'.repeat(30_000)],
    ...[0, 1, -1, 0.1, 1e300, -1e-300, Number.MAX_SAFE_INTEGER, 2 ** 53, Number.MIN_VALUE],
  ];
  await cluster.primary.call(
    options,
    'mSet',
    keys.map((key, index) => [key, index]),
  );
  await worker.run(({ cache }, options) => cache(options).ready, options);
  await whileFrozen(cluster, async () => {
    for (const [index, key] of keys.entries()) {
      t.is(await worker.call(options, 'getSync', key), index, `${typeof key} ${String(key).slice(0, 20)}`);
    }
    t.is(await worker.call(options, 'getSync', -0), keys.indexOf(0), '-0 is 0');
    for (const absent of ['2', 2, 'k'.repeat(64_999), '\ud83d', ' '])
      t.is(await worker.call(options, 'getSync', absent), undefined);
    for (const bad of [null, undefined, NaN, {}, true, 'k'.repeat(65_537)]) {
      await t.throwsAsync(worker.call(options, 'getSync', bad), { code: 'ERR_CC_INVALID_KEY' });
    }
  });
});

memory('the largest values are read complete, even while they are replaced', async (t) => {
  const options = { ...patient(), maxSize: 128 * 2 ** 20 };
  const SIZE = 16 * 2 ** 20 - 1_024;
  const [writer, reader] = [shared.worker(0), shared.worker(1)];
  await writer.run(({ cache }, options, size) => cache(options).set('key', Buffer.alloc(size, 1)), options, SIZE);
  t.is((await reader.call(options, 'get', 'key')).length, SIZE);
  const writes = writer.run(
    async ({ cache }, options, size) => {
      for (let fill = 2; fill < 12; fill += 1) {
        const stored = await cache(options).set('key', Buffer.alloc(size - fill * 1_000, fill));
        if (!stored) return `set ${fill} stored nothing`;
      }
      return 'all stored';
    },
    options,
    SIZE,
  );
  const seen = await reader.run(
    async ({ cache }, options, size) => {
      const target = cache(options);
      const seen = new Set<number>();
      while (!seen.has(11)) {
        const value = target.getSync('key') as Buffer;
        const fill = value[0]!;
        if (
          value.length !== (fill === 1 ? size : size - fill * 1_000) ||
          !value.equals(Buffer.alloc(value.length, fill))
        ) {
          return `a mixture: ${value.length} bytes from ${fill}`;
        }
        seen.add(fill);
        await new Promise((resolve) => setImmediate(resolve));
      }
      return [...seen];
    },
    options,
    SIZE,
  );
  t.is(await writes, 'all stored');
  t.true(Array.isArray(seen), String(seen));
  t.deepEqual(
    seen,
    [...(seen as number[])].sort((a, b) => a - b),
    'none came back',
  );
});

// --- time -----------------------------------------------------------------------------------------------------------

memory('a reader notices expiry by itself, to the millisecond', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const [worker, options] = [cluster.worker(0), strict()];
  await cluster.worker(0).run(({ cache }, options) => cache(options).ready, options);
  const setting = await worker.run(async ({ cache, state }, options) => {
    state.asked = performance.now();
    await cache(options).set('key', 1, { ttl: 1_500 });
    state.stored = performance.now();
    return state.stored - state.asked < 1_000;
  }, options);
  t.true(setting, 'the machine is fast enough for this test');
  const wrong = await whileFrozen(cluster, () =>
    worker.run(({ cache, state }, options) => {
      const target = cache(options);
      let reads = 0;
      for (;;) {
        const before = performance.now();
        const [value, has] = [target.getSync('key'), target.hasSync('key')];
        const after = performance.now();
        reads += 1;
        if (value !== undefined && before > state.stored + 1_500) return `a hit ${before - state.stored} ms after`;
        if (value === undefined && after < state.asked + 1_500) return `a miss ${after - state.asked} ms after`;
        if (has && value === undefined) return 'there again';
        if (value === undefined) return reads > 1 ? 'right' : 'no read came in time';
      }
    }, options),
  );
  t.is(wrong, 'right');
});

memory('a stale entry is a miss, counted once per read, and is removed when the host learns of it', async (t) => {
  for (const noDeleteOnStaleGet of [false, true]) {
    const options = { ...patient(), noDeleteOnStaleGet };
    const worker = shared.worker(0);
    await worker.call(options, 'set', 'key', 1, { ttl: 5 });
    await until('expiry', async () => (await worker.call(options, 'getRemainingTTL', 'key')) === 0);
    const seen = await worker.run(async ({ cache }, options) => {
      const target = cache(options);
      return [
        target.getSync('key'),
        await target.get('key'),
        target.hasSync('key'),
        target.peekSync('key'),
        await target.mGet(['key']),
      ];
    }, options);
    t.deepEqual(seen, [undefined, undefined, false, undefined, new Map([['key', undefined]])]);
    const { hits, misses, size, expirations } = await worker.call(options, 'stats');
    t.deepEqual([hits, misses], [0, 3], 'has and peek do not count');
    t.deepEqual([size, expirations], noDeleteOnStaleGet ? [1, 0] : [0, 1]);
  }
});

/** What a client sees of an expiring entry, with these options. */
const life = async (
  { cache }: { cache(options: object): any },
  options: object,
  touch: 'get' | 'has' | 'getSync' | 'hasSync' | 'mGet' | undefined,
): Promise<unknown[]> => {
  const target = cache(options);
  const seen: unknown[] = [];
  const sync = target.transport === 'shared';
  const TTL = 300;
  await target.set('key', { v: 1 }, { ttl: TTL });
  let start = performance.now();
  if (touch) {
    const method = sync ? touch : touch.replace('Sync', '');
    // Three times its time to live, unless these reads keep it alive. If the machine pauses this process for too long,
    // the attempt does not count and is repeated.
    for (let last = start; performance.now() < start + 3 * TTL; last = performance.now()) {
      await target[method](method === 'mGet' ? ['key'] : 'key');
      await new Promise((resolve) => setTimeout(resolve, 10));
      if (performance.now() > last + TTL / 2) {
        await target.set('key', { v: 1 }, { ttl: TTL });
        start = performance.now();
      }
    }
    return [await target.has('key')];
  }
  while ((await target.getRemainingTTL('key')) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  seen.push(await target.has('key'), [...(await target.mHas(['key']))], await target.peek('key'), await target.size());
  seen.push(await target.get('key'), await target.size(), await target.get('key'));
  await target.set('key', 2, { ttl: 1 });
  while ((await target.getRemainingTTL('key')) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  seen.push(sync ? target.getSync('key') : await target.get('key'));
  seen.push(sync ? target.getSync('key') : await target.get('key'));
  await target.set('key', 3, { ttl: 1 });
  while ((await target.getRemainingTTL('key')) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  seen.push([...(await target.mGet(['key', 'absent']))], [...(await target.mGet(['key']))]);
  await target.set('key', 4, { ttl: 1 });
  while ((await target.getRemainingTTL('key')) > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  seen.push(await target.fetch('key', () => 'loaded'), await target.get('key'));
  const { hits, misses, expirations, size } = await target.stats();
  return [...seen, { hits, misses, expirations, size }];
};

const OPTIONS = [false, true].flatMap((allowStale) =>
  [false, true].map((noDeleteOnStaleGet) => ({ allowStale, noDeleteOnStaleGet })),
);

/** The life of the same entry, seen by a client that reads memory and by one that never does. */
async function compare(t: ExecutionContext, given: object, ...rest: [Parameters<typeof life>[2]?]): Promise<unknown[]> {
  const socket = await (bySocket ??= shared.fork(BY_SOCKET));
  const [ours, theirs] = await Promise.all([
    shared.worker(0).run(life, { ...patient(), ...given }, rest[0]),
    socket.run(life, { ...patient(), ...given }, rest[0]),
  ]);
  t.deepEqual(ours, theirs, `${JSON.stringify(given)} ${rest[0] ?? ''}`);
  return ours;
}
let bySocket: ReturnType<Cluster['fork']> | undefined;

memory('allowStale and noDeleteOnStaleGet are the same from memory and over the socket', async (t) => {
  await Promise.all(OPTIONS.map((given) => compare(t, given)));
});

memory('updateAgeOnGet and updateAgeOnHas are the same from memory and over the socket', async (t) => {
  const cases = (['get', 'getSync', 'mGet', 'has', 'hasSync'] as const).flatMap((touch) =>
    [false, true].map((on) => ({ touch, on })),
  );
  await Promise.all(
    cases.map(async ({ touch, on }) => {
      const option = touch.startsWith('has') ? 'updateAgeOnHas' : 'updateAgeOnGet';
      const [alive] = await compare(t, { [option]: on }, touch);
      t.is(alive, on, `${touch} with ${option}: ${on}`);
    }),
  );
});

// --- many of them ---------------------------------------------------------------------------------------------------

memory('hundreds of namespaces are read from memory, and closed ones leave nothing behind', async (t) => {
  const worker = await shared.fork();
  const prefix = unique();
  const COUNT = 400;
  const mapped = () =>
    worker.run(({ require }) => {
      if (process.platform !== 'linux') return 0;
      const maps: string = require('node:fs').readFileSync('/proc/self/maps', 'latin1');
      return maps.split('\n').filter((line) => line.includes('memfd')).length;
    });
  const read = await worker.run(
    async ({ cc, state }, prefix, count) => {
      state.caches = Array.from(
        { length: count },
        (_, index) => new cc.ClusteredCache<string, any>({ namespace: `${prefix} ${index}`, timeout: 15_000 }),
      );
      await Promise.all(state.caches.map((cache: any, index: number) => cache.set('key', { index })));
      return state.caches.map((cache: any) => `${cache.transport} ${cache.getSync('key').index}`);
    },
    prefix,
    COUNT,
  );
  t.deepEqual(
    read,
    Array.from({ length: COUNT }, (_, index) => `shared ${index}`),
  );
  if (process.platform === 'linux') t.true((await mapped()) >= COUNT);
  t.deepEqual(await shared.worker(1).call({ namespace: `${prefix} 7` }, 'get', 'key'), { index: 7 });
  await worker.run(async ({ state }) => {
    await Promise.all(state.caches.map((cache: any) => cache.close()));
  });
  t.is(await mapped(), 0);
});

memory('two instances of one namespace in one process read the same memory', async (t) => {
  const options = patient();
  const seen = await shared.worker(0).run(async ({ cc }, options) => {
    const [first, second] = [new cc.ClusteredCache<string, any>(options), new cc.ClusteredCache<string, any>(options)];
    await first.set('key', 1);
    const seen = [second.getSync('key')];
    void first.set('key', 2);
    // A change by one of them is in flight: the other must not see the state before it.
    seen.push(second.getSync('key'));
    void first.delete('key');
    seen.push(await second.get('key'));
    await first.set('key', 3);
    await first.close();
    seen.push(second.getSync('key'), second.transport);
    await second.close();
    const third = new cc.ClusteredCache<string, any>(options);
    await third.ready;
    seen.push(third.getSync('key'));
    await third.close();
    return seen;
  }, options);
  t.deepEqual(seen, [1, 2, undefined, 3, 'shared', 3]);
});

memory('threads of a worker read memory too', async (t) => {
  const options = patient();
  const worker = shared.worker(0);
  await worker.call(options, 'set', 'key', { from: 'main' });
  const seen = await worker.run(
    ({ require, cache }, root, options) => {
      const { Worker } = require('node:worker_threads');
      const source = `
        const { parentPort, workerData: { root, options } } = require('node:worker_threads');
        const { ClusteredCache } = require(root + 'index.js');
        const cache = new ClusteredCache(options);
        parentPort.on('message', () => parentPort.postMessage([cache.transport, cache.getSync('key')]));
        cache.ready.then(() => parentPort.postMessage([cache.transport, cache.getSync('key')]));
      `;
      const thread = new Worker(source, { eval: true, workerData: { root, options } });
      const next = () => new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
      return (async () => {
        const seen = [await next()];
        await cache(options).set('key', { from: 'main, again' });
        const answer = next();
        thread.postMessage('read');
        seen.push(await answer);
        await thread.terminate();
        return [...seen, cache(options).getSync('key')];
      })();
    },
    ROOT,
    options,
  );
  t.deepEqual(seen, [['shared', { from: 'main' }], ['shared', { from: 'main, again' }], { from: 'main, again' }]);
});

memory('threads that end during reads do not affect others', async (t) => {
  const options = patient();
  const worker = shared.worker(1);
  await worker.call(options, 'set', 'key', 'x'.repeat(10_000));
  const ended = await worker.run(
    async ({ require }, root, options) => {
      const { Worker } = require('node:worker_threads');
      const source = `
        const { parentPort, workerData: { root, options } } = require('node:worker_threads');
        const cache = new (require(root + 'index.js').ClusteredCache)(options);
        cache.ready.then(() => { parentPort.postMessage(0); for (;;) cache.getSync('key'); });
      `;
      let ended = 0;
      for (let round = 0; round < 5; round += 1) {
        const thread = new Worker(source, {
          eval: true,
          workerData: { root, options: { ...options, near: round % 2 === 1 } },
        });
        await new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
        await thread.terminate();
        ended += 1;
      }
      return ended;
    },
    ROOT,
    options,
  );
  t.is(ended, 5);
  t.is(await worker.call(options, 'getSync', 'key'), 'x'.repeat(10_000));
});
