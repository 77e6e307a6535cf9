// Changes by one process are visible to others: at once when they are acknowledged, and exactly when they are counted.
import test from 'ava';
import { type Agent, Agents } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { LONG } from './helpers/long.ts';
import { patient, unique } from './helpers/names.ts';
import { pingPong } from './helpers/ping-pong.ts';
import { SHARED } from './helpers/transport.ts';
import { until } from './helpers/wait.ts';

const ROUNDS = LONG ? 15_000 : 3_000;

let agents: Agents;
let shared: Cluster;

test.before(async () => {
  agents = await Agents.start();
  shared = await Cluster.start(agents, { workers: 3 });
});
test.after.always(() => agents?.close());

const memory = SHARED ? test : test.skip;
/** Synchronous reads need shared memory. */
const READS = SHARED ? (['getSync', 'get'] as const) : (['get'] as const);

/** Reads in a process, once its cache is open. */
const see = (agent: Agent, options: object, read: string, key: string): Promise<any> =>
  agent.run(
    async ({ cache }, options, read, key) => {
      const target = cache(options) as any;
      await target.ready;
      return target[read](key);
    },
    options,
    read,
    key,
  );

test('an acknowledged change of any kind is visible to the next read, of any kind, in another process', async (t) => {
  const options = { ...patient(), cacheNull: true };
  const players = [0, 1].map((index) => ({ worker: shared.worker(index), options }));
  t.deepEqual(await pingPong(shared, players as never, ROUNDS), []);
});

test('a change made by the host itself is visible to the next read of a worker', async (t) => {
  const options = patient();
  for (let round = 0; round < 300; round += 1) {
    const [method, args, expected] = [
      ['setSync', ['key', { round }], { round }] as const,
      ['deleteSync', ['key'], undefined] as const,
      ['incrSync', ['key', round], round] as const,
      ['set', ['key', round], round] as const,
      ['clearSync', [], undefined] as const,
    ][round % 5]!;
    await shared.primary.call(options, method, ...args);
    for (const read of READS)
      t.deepEqual(await see(shared.worker(0), options, read, 'key'), expected, `${method}, ${read}`);
  }
});

// --- program order -------------------------------------------------------------------------------------------------

/** Un-awaited changes of `key`, each after `set(key, 'old')`, and what a read right after it must see. */
const CHANGES: [name: string, change: (cache: any) => unknown, expected: unknown][] = [
  ['set', (cache) => cache.set('key', 'new'), 'new'],
  ['setIfAbsent', (cache) => (void cache.delete('key'), cache.setIfAbsent('key', 'new')), 'new'],
  ['delete', (cache) => cache.delete('key'), undefined],
  ['getAndDelete', (cache) => cache.getAndDelete('key'), undefined],
  ['getAndSet', (cache) => cache.getAndSet('key', 'new'), 'new'],
  ['incr', (cache) => (void cache.set('key', 1), cache.incr('key')), 2],
  ['decr', (cache) => (void cache.set('key', 1), cache.decr('key')), 0],
  ['count', (cache) => (void cache.set('key', 1), cache.count('key', 4)), 5],
  ['mSet', (cache) => cache.mSet([['key', 'new']]), 'new'],
  ['mDelete', (cache) => cache.mDelete(['key']), undefined],
  ['load', (cache) => cache.load([['key', { value: 'new' }]]), 'new'],
  ['clear', (cache) => cache.clear(), undefined],
  ['clear with a prefix', (cache) => cache.clear({ prefix: 'k' }), undefined],
  ['destroy', (cache) => cache.destroy(), undefined],
  ['max', (cache) => (void cache.set('other', 1), cache.max(1)), undefined],
];

for (const near of [false, true]) {
  const title = near ? ' and a near cache' : '';
  test(`a change that is not awaited is visible to later reads of the same process${title}`, async (t) => {
    for (const worker of [shared.worker(0), shared.primary]) {
      for (const [name, change, expected] of CHANGES) {
        const wrong = await worker.run(
          async ({ cc }, options, source, reads, expected) => {
            const change = new Function(`return (${source})`)();
            // The other instance has the same namespace: it must also see this process's changes.
            const caches = [0, 1].map(() => new cc.ClusteredCache<string, any>(options) as any);
            const wrong = new Set<string>();
            for (let round = 0; round < 60; round += 1) {
              for (const read of reads) {
                for (const [index, reader] of caches.entries()) {
                  await caches[0].set('key', 'old');
                  for (const one of caches) await one.get('key');
                  change(caches[0])?.catch?.(() => {});
                  const seen = await reader[read]('key');
                  if (seen !== expected) wrong.add(`${read} of instance ${index} saw ${seen}`);
                }
              }
              if (round % 20 === 0) await caches[0].destroy();
            }
            await Promise.all(caches.map((one) => one.close()));
            return [...wrong];
          },
          { ...patient(), near },
          change.toString(),
          READS,
          expected,
        );
        t.deepEqual(wrong, [], `${name} in the ${worker === shared.primary ? 'host' : 'worker'}`);
      }
    }
  });
}

memory('while a change is in flight, reads of the keys it changes wait for it, and other reads do not', async (t) => {
  const cluster = await Cluster.start(agents, { workers: 1 });
  const worker = cluster.worker(0);
  const cases: [string, unknown[], boolean][] = [
    ['set', ['key', 'new'], false],
    ['setIfAbsent', ['key', 'new'], false],
    ['delete', ['key'], false],
    ['getAndDelete', ['key'], false],
    ['getAndSet', ['key', 'new'], false],
    ['incr', ['key'], false],
    ['count', ['key'], false],
    ['touch', ['key', { ttl: 5_000 }], false],
    ['mSet', [[['key', 'new']]], true],
    ['mDelete', [['key']], true],
    ['clear', [], true],
    ['destroy', [], true],
    ['max', [100], true],
    ['ttl', [100_000], true],
    ['allowStale', [true], true],
  ];
  for (const [method, args, isWide] of cases) {
    const [options, elsewhere] = [patient(), patient()];
    for (const one of [options, elsewhere]) {
      await worker.call(one, 'mSet', [
        ['key', 1],
        ['other', 2],
      ]);
    }
    await cluster.primary.freeze();
    try {
      const seen = await worker.run(
        async ({ cache, state }, options, elsewhere, method, args) => {
          state.settled = [];
          const target = cache(options) as any;
          state.change = target[method](...args);
          state.reads = ['key', 'other'].map((key) => target.get(key).then(() => state.settled.push(key)));
          // Answered from memory, so after everything that memory could answer before.
          await (cache(elsewhere) as any).get('key');
          await new Promise((resolve) => setImmediate(resolve));
          return state.settled;
        },
        options,
        elsewhere,
        method,
        args,
      );
      t.deepEqual(seen, isWide ? [] : ['other'], method);
    } finally {
      cluster.primary.resume();
    }
    await worker.run(({ state }) => Promise.all([state.change, ...state.reads]));
  }
});

// --- recency and counts ----------------------------------------------------------------------------------------------

for (const read of READS) {
  for (const near of [false, true]) {
    test(`a key that is read only by ${read}${near ? ' and a near cache' : ''} is not evicted`, async (t) => {
      const MAX = 50;
      const options = { ...patient(), max: MAX };
      const [reader, writer] = [shared.worker(0), shared.worker(1)];
      await writer.call(options, 'mSet', [
        ['hot', { hot: true }],
        ['cold', { cold: true }],
      ]);
      const reads = async () => {
        const { hits } = await shared.primary.call(options, 'stats');
        t.deepEqual(await see(reader, { ...options, near }, read, 'hot'), { hot: true });
        // The reader sends no other request: it reports its reads by itself.
        await until('the host to hear of it', async () => (await shared.primary.call(options, 'stats')).hits > hits);
      };
      for (let round = 0; round < 12; round += 1) {
        await writer.call(
          options,
          'mSet',
          Array.from({ length: MAX / 2 }, (_, index) => [`${round} ${index}`, index]),
        );
        await reads();
      }
      t.is(await writer.call(options, 'peek', 'cold'), undefined);
      t.deepEqual(await writer.call(options, 'peek', 'hot'), { hot: true });
      t.is((await writer.call(options, 'keys'))[0], 'hot');
    });
  }
}

for (const near of [false, true]) {
  test(`hits and misses add up exactly over all processes${near ? ' and near caches' : ''}`, async (t) => {
    const options = { ...patient(), near };
    await shared.primary.call(
      options,
      'mSet',
      Array.from({ length: 100 }, (_, index) => [index, { index }]),
    );
    const everybody = [shared.primary, ...shared.workers];
    const counts = await Promise.all(
      everybody.map((agent, index) =>
        agent.run(
          async ({ cache }, options, seed, sync) => {
            const target = cache(options) as any;
            await target.ready;
            let [hits, misses, state] = [0, 0, seed];
            const below = (bound: number) => (state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647) % bound;
            const note = (value: unknown) => (value === undefined ? (misses += 1) : (hits += 1));
            for (let burst = 0; burst < 100; burst += 1) {
              // In one turn, many more than one report holds.
              if (sync) for (let read = 0; read < 700; read += 1) note(target.getSync(below(120)));
              const keys = new Set(Array.from({ length: below(40) }, () => below(120)));
              for (const value of (await target.mGet(keys)).values()) note(value);
              for (const value of await Promise.all(Array.from({ length: 30 }, () => target.get(below(120)))))
                note(value);
              const found = await target.fetch(below(100), () => 'never');
              note(found);
              await target.peek(1);
              await target.has(1);
              await target.peek('absent');
              if (sync) target.hasSync(below(120));
            }
            return { hits, misses, near: (await target.stats()).near.hits };
          },
          options,
          index + 1,
          SHARED || index === 0,
        ),
      ),
    );
    const sum = (of: 'hits' | 'misses' | 'near') => counts.reduce((sum, one) => sum + one[of], 0);
    const stats = await until('all reports', async () => {
      const stats = await shared.worker(2).call(options, 'stats');
      return stats.hits >= sum('hits') && stats.misses >= sum('misses') && stats;
    });
    t.deepEqual([stats.hits, stats.misses], [sum('hits'), sum('misses')]);
    if (near && SHARED) t.true(sum('near') > sum('hits') / 2, `${sum('near')} of ${sum('hits')} hits were near`);
    if (!near) t.is(sum('near'), 0);
    // Nothing is reported twice later.
    await shared.worker(0).call(options, 'get', 0);
    const after = await until('one more', async () => {
      const after = await shared.primary.call(options, 'stats');
      return after.hits > stats.hits && after;
    });
    t.deepEqual([after.hits, after.misses], [stats.hits + 1, stats.misses]);
  });
}

// --- at run time -----------------------------------------------------------------------------------------------------

for (const near of [false, true]) {
  test(`options that change at run time apply to other readers${near ? ' through a near cache' : ''}`, async (t) => {
    const [tuner, reader] = [shared.worker(0), shared.worker(1)];
    for (const read of READS) {
      const plain = patient();
      const seen = (key: string) => see(reader, { ...plain, near }, read, key);
      // Reads are reported before the next request.
      const told = () => reader.call({ ...plain, near }, 'stats');
      const tune = (method: string, value: unknown) => tuner.call(plain, method, value);
      const fill = () =>
        tuner.call(
          plain,
          'mSet',
          ['a', 'b', 'c'].map((key) => [key, { key }]),
        );

      await fill();
      for (const key of ['a', 'b', 'c']) t.deepEqual(await seen(key), { key });
      await told();
      await tune('max', 2);
      t.deepEqual([await seen('a'), await seen('b'), await seen('c')], [undefined, { key: 'b' }, { key: 'c' }], 'max');
      await tune('max', 100);

      const bytes = (await tuner.call(plain, 'stats')).calculatedSize;
      await seen('b');
      await told();
      await tune('maxSize', bytes - 1);
      t.deepEqual([await seen('b'), await seen('c')], [{ key: 'b' }, undefined], 'maxSize');
      await tune('maxSize', 2 ** 28);

      await tune('ttl', 500);
      await fill();
      t.deepEqual(await seen('a'), { key: 'a' });
      await until('expiry', async () => (await seen('a')) === undefined);
      await tune('allowStale', true);
      await fill();
      await until('expiry', async () => (await tuner.call(plain, 'getRemainingTTL', 'b')) === 0);
      t.deepEqual([await seen('b'), await seen('b')], [{ key: 'b' }, undefined], 'stale, once');
      await tune('allowStale', false);
      await fill();
      await until('expiry', async () => (await tuner.call(plain, 'getRemainingTTL', 'c')) === 0);
      t.is(await seen('c'), undefined);
      await tune('ttl', 0);
      await fill();
      t.is(await tuner.call(plain, 'getRemainingTTL', 'a'), Infinity);
      t.deepEqual(await seen('a'), { key: 'a' });
    }
  });

  memory(
    `memory that was replaced by larger or smaller memory is released${near ? ' by near caches, too' : ''}`,
    async (t) => {
      const options = patient();
      const [tuner, reader] = [shared.worker(0), shared.worker(1)];
      // The first to be evicted, however late the host learns of reads of the others.
      await tuner.call(options, 'set', 'large', Buffer.alloc(3_000_000, 1));
      await tuner.call(
        options,
        'mSet',
        Array.from({ length: 500 }, (_, index) => [index, { index }]),
      );
      const reading = reader.run(
        async ({ cache, state }, options) => {
          const target = cache(options) as any;
          await target.ready;
          const progress = (state[options.namespace] = { done: false, reads: 0 });
          const wrong: unknown[] = [];
          while (!progress.done) {
            // Without a pause: meanwhile nothing can arrive but answers that a read waits for.
            for (let index = 0; index < 500; index += 1) {
              try {
                const value = target.getSync(index);
                if (value?.index !== index) wrong.push([index, value]);
              } catch (error) {
                wrong.push([index, (error as any).code]);
              }
            }
            progress.reads += 500;
            await new Promise((resolve) => setImmediate(resolve));
          }
          return { wrong, transport: target.transport };
        },
        { ...options, near },
      );
      const more = async () => {
        const reads = () => reader.run<[string], number>(({ state }, name) => state[name].reads, options.namespace);
        const before = await reads();
        await until('reads', async () => (await reads()) > before + 1_000);
      };
      for (const megabytes of [512, 1_024, 4_096, 1, 300, 2_048]) {
        await tuner.call(options, 'maxSize', megabytes * 2 ** 20);
        await tuner.call(options, 'set', 'written', megabytes);
        t.is(await see(reader, { ...options, near }, 'getSync', 'written'), megabytes);
        await more();
      }
      await reader.run(({ state }, name) => void (state[name].done = true), options.namespace);
      t.deepEqual(await reading, { wrong: [], transport: 'shared' });
      t.is(await reader.call({ ...options, near }, 'getSync', 'large'), undefined, 'it did not fit into one MiB');
    },
  );
}

memory('reads of many small namespaces that are destroyed and created again are always current', async (t) => {
  const prefix = unique();
  const wrong = await shared.worker(0).run(async ({ cache }, prefix) => {
    const wrong: string[] = [];
    for (let round = 0; round < 200; round += 1) {
      const target = cache({ namespace: `${prefix} ${round % 5}`, timeout: 15_000 }) as any;
      await target.set('key', round);
      if (target.getSync('key') !== round) wrong.push(`round ${round}: ${target.getSync('key')}`);
      await target.destroy();
      if (target.getSync('key') !== undefined) wrong.push(`round ${round}: ${target.getSync('key')} lives on`);
    }
    return wrong;
  }, prefix);
  t.deepEqual(wrong, []);
});

test('while the table grows, stored keys are found and others are not', async (t) => {
  const options = patient();
  const KEYS = LONG ? 1_000_000 : 60_000;
  const [writer, ...readers] = shared.workers;
  await writer!.call(options, 'set', 'stored', 0);
  const reports = readers.map((reader, index) =>
    reader.run(
      async ({ cache }, options, keys, method) => {
        const target = cache(options) as any;
        await target.ready;
        const wrong: string[] = [];
        let stored = 0;
        for (let round = 0; stored < keys && wrong.length < 5; round += 1) {
          stored = await target[method]('stored');
          const reads = stored > 0 ? 200 : 0;
          for (let read = 0; read < reads; read += 1) {
            const key = Math.floor(Math.random() * stored);
            const value = await target[method](`key ${key}`);
            if (value !== key) wrong.push(`key ${key} of ${stored} is ${value}`);
          }
          const absent = await target[method](`absent ${round}`);
          if (absent !== undefined) wrong.push(`absent ${round} is ${absent}`);
          await new Promise((resolve) => setImmediate(resolve));
        }
        return wrong;
      },
      { ...options, near: index === 1 },
      KEYS,
      READS[index % READS.length]!,
    ),
  );
  await writer!.run(
    async ({ cache }, options, keys) => {
      const target = cache(options);
      for (let from = 0; from < keys; from += 500) {
        await target.mSet(Array.from({ length: 500 }, (_, index) => [`key ${from + index}`, from + index]));
        await target.set('stored', from + 500);
      }
    },
    options,
    KEYS,
  );
  t.deepEqual((await Promise.all(reports)).flat(), []);
});

test('values whose sizes change constantly in too little memory are never mixed up', async (t) => {
  const options = { ...patient(), maxSize: 6 * 2 ** 20 };
  const [writer, ...readers] = shared.workers;
  await writer!.call(options, 'set', 'over', false);
  const reports = readers.map((reader, index) =>
    reader.run(
      async ({ cache }, options, method) => {
        const target = cache(options) as any;
        await target.ready;
        const [wrong, counts]: [string[], { hits: number; misses: number }] = [[], { hits: 0, misses: 0 }];
        while (wrong.length < 5 && !(await target[method]('over'))) {
          for (let key = 0; key < 200; key += 1) {
            const value: Buffer | undefined = await target[method](key);
            counts[value === undefined ? 'misses' : 'hits'] += 1;
            if (value === undefined) continue;
            // Its key, its length, and one byte throughout.
            const isWhole = value.readUInt32LE(0) === key && value.readUInt32LE(4) === value.length;
            if (!isWhole || !value.subarray(9).equals(Buffer.alloc(value.length - 9, value[8]))) {
              wrong.push(`key ${key}: ${value.length} bytes, ${value.subarray(0, 12).toString('hex')}`);
            }
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
        return { wrong, counts };
      },
      options,
      READS[index % READS.length]!,
    ),
  );
  await writer!.run(
    async ({ cache }, options, rounds) => {
      const target = cache(options) as any;
      for (let round = 0; round < rounds; round += 1) {
        // Small ones for a while, then large ones.
        const most = round % 100 < 50 ? 1_000 : 100_000;
        const entries = Array.from({ length: 20 }, () => {
          const key = Math.floor(Math.random() * 200);
          const value = Buffer.alloc(9 + Math.floor(Math.random() * most), round);
          value.writeUInt32LE(key, 0);
          value.writeUInt32LE(value.length, 4);
          return [key, value];
        });
        await target.mSet(entries);
        await target.get('over');
      }
      await target.set('over', true);
    },
    options,
    LONG ? 20_000 : 400,
  );
  for (const { wrong, counts } of await Promise.all(reports)) {
    t.deepEqual(wrong, []);
    t.true(counts.hits > 1_000 && counts.misses > 0, JSON.stringify(counts));
  }
});
