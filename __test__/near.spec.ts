// Decoded values that a process keeps as long as their entries are unchanged.
import { setFlagsFromString } from 'node:v8';
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { ClusteredCache } from '../index.js';
import { Agents } from './helpers/agents.ts';
import { Cluster } from './helpers/cluster.ts';
import { failsWith } from './helpers/errors.ts';
import { LONG } from './helpers/long.ts';
import { patient } from './helpers/names.ts';
import { pingPong } from './helpers/ping-pong.ts';
import { Random } from './helpers/random.ts';
import { type AnyCache, rolesOf } from './helpers/roles.ts';
import { SHARED } from './helpers/transport.ts';
import { SAMPLES } from './helpers/values.ts';
import { until } from './helpers/wait.ts';

const each = rolesOf(test);
/** A failure prints the seed; CC_TEST_SEED runs it again. */
const SEED = Number(process.env.CC_TEST_SEED ?? Date.now() % 2 ** 31);

let agents: Agents;
let shared: Cluster;
let directory: string;
test.before(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'cc-near-'));
  agents = await Agents.start();
  shared = await Cluster.start(agents, { workers: 3 });
});
test.after.always(async () => {
  await agents?.close();
  rmSync(directory, { recursive: true, force: true });
});

const NEAR = { near: true } as const;
/** Whether a cache in this role keeps values: a client that reads over the socket cannot notice changes. */
const keeps = (role: string) => role === 'host' || SHARED;

/** Whether two reads in a row return the same object. */
async function isKept(cache: AnyCache, key: string | number): Promise<boolean> {
  const [first, second] = [await cache.get(key), await cache.get(key)];
  assert.deepStrictEqual(first, second);
  return first === second;
}

// --- what is kept ---------------------------------------------------------------------------------------------------

each('an object is decoded once and shared by all reads', async (t, { open, role }) => {
  const cache = await open(NEAR);
  await cache.set('key', { deep: { list: [1, { a: 1 }] } });
  const first = await cache.get('key');
  t.deepEqual(first, { deep: { list: [1, { a: 1 }] } });
  t.is((await cache.get('key')) === first, keeps(role));
  if (!keeps(role)) return;
  t.is(cache.getSync('key'), first);
  t.is(cache.peekSync('key'), first);
  t.is(await cache.peek('key'), first);
  t.is((await cache.mGet(['absent', 'key'])).get('key'), first);
  t.is(await cache.fetch('key', () => t.fail()), first);
  t.true(await cache.has('key'));
  t.true(cache.hasSync('key'));
});

each('a change does not affect other kept values', async (t, { open, role, peer, reach }) => {
  const cache = await open(NEAR);
  const other = await peer();
  const KEYS = Array.from({ length: 500 }, (_, index) => `key ${index}`);
  await cache.mSet(KEYS.map((key) => [key, { key }]));
  const kept = await cache.mGet(KEYS);
  await other.call(await reach(cache), 'set', 'key 7', 'changed');
  await other.call(await reach(cache), 'set', 'another', 'new');
  await cache.delete('key 8');
  const now = await cache.mGet(KEYS);
  t.is(now.get('key 7'), 'changed');
  t.is(now.get('key 8'), undefined);
  const same = KEYS.filter((key) => now.get(key) === kept.get(key));
  if (keeps(role)) t.is(same.length, KEYS.length - 2);
  for (const key of same) t.deepEqual(now.get(key), { key });
});

each('kept objects are deeply frozen', async (t, { open, role }) => {
  const cache = await open(NEAR);
  const cyclic: Record<string, unknown> = { list: [{ inner: 1 }] };
  cyclic.self = cyclic;
  const shapes: Record<string, unknown> = {
    plain: { a: { b: [1, [2, { c: 3 }]] } },
    cyclic,
    list: [[1], [{ a: 1 }]],
    sparse: Object.assign([1, , { a: 1 }], { extra: { e: 1 } }),
    undefineds: { a: undefined, b: { c: undefined } },
    proto: JSON.parse('{"__proto__":{"a":{"b":1}},"c":1}'),
    bigint: { big: 1n, list: [{ big: 2n }] },
    numbers: { nan: [NaN, -0] },
  };
  const isFrozen = (value: unknown, seen = new Set<unknown>()): boolean =>
    typeof value !== 'object' ||
    value === null ||
    seen.has(value) ||
    (Object.isFrozen(value) && Object.values(value).every((one) => isFrozen(one, seen.add(value))));
  for (const [key, value] of Object.entries(shapes)) {
    await cache.set(key, value);
    const found: object = await cache.get(key);
    assert.deepStrictEqual(found, value, key);
    t.is(isFrozen(found), keeps(role), key);
    t.is(await isKept(cache, key), keeps(role), key);
    if (keeps(role)) t.throws(() => Object.assign(found, { a: 2 }), { instanceOf: TypeError });
  }
  const own = { mine: [1] };
  await cache.set('own', own);
  await cache.get('own');
  own.mine.push(2);
  t.deepEqual(await cache.get('own'), { mine: [1] }, 'what was set is not what is kept');
  t.false(Object.isFrozen(own));
});

each('values that cannot be frozen are copied for each read', async (t, { open }) => {
  const cache = await open(NEAR);
  const KINDS =
    /Buffer|Array\b.*buffer|Uint|Int8|Int16|Int32|Float|BigInt64|DataView|Date|RegExp|Map|Set|Error|object$|everything/;
  const samples = SAMPLES.filter(
    ({ name, make }) => KINDS.test(name) && typeof make() === 'object' && !isPlain(make()),
  );
  t.true(samples.length > 25, String(samples.length));
  for (const { name, make } of samples) {
    await cache.set(name, make());
    const [first, second] = [await cache.get(name), await cache.get(name)];
    t.not(first, second, name);
    t.false(Object.isFrozen(first), name);
    assert.deepStrictEqual(first, make(), name);
    assert.deepStrictEqual(second, make(), name);
  }
  await cache.set('bytes', Buffer.from('abc'));
  ((await cache.get('bytes')) as Buffer).fill(0);
  t.deepEqual(await cache.get('bytes'), Buffer.from('abc'));
  await cache.set('holder', { when: new Date(5), list: [1] });
  const holder = await cache.get('holder');
  holder.list.push(2);
  holder.when.setTime(0);
  t.deepEqual(await cache.get('holder'), { when: new Date(5), list: [1] });
});

/** Whether a value consists only of plain objects and arrays. */
function isPlain(value: unknown, seen = new Set<unknown>()): boolean {
  if (typeof value !== 'object' || value === null || seen.has(value)) return true;
  if (![Object.prototype, Array.prototype, null].includes(Object.getPrototypeOf(value))) return false;
  seen.add(value);
  return Object.values(value).every((one) => isPlain(one, seen));
}

each('a near cache returns values of every kind unchanged, at the first read and later', async (t, { open }) => {
  const cache = await open({ ...NEAR, cacheNull: true });
  for (const { name, make } of [...SAMPLES, { name: 'null', make: () => null }]) {
    t.is(await cache.set(name, make()), true);
    for (let read = 0; read < 3; read += 1) {
      assert.deepStrictEqual(await cache.get(name), make(), `${name}, read ${read}`);
      assert.deepStrictEqual(await cache.peek(name), make(), name);
    }
    t.true(await cache.has(name), name);
    t.is(await cache.set(name, 'over'), true);
    t.is(await cache.get(name), 'over', name);
  }
});

each('falsy values are hits', async (t, { open, role }) => {
  const cache = await open({ ...NEAR, cacheNull: true });
  for (const value of [null, false, 0, -0, '', NaN, 0n, '\ud800', '\udc00\ud800']) {
    await cache.set('key', value);
    for (let read = 0; read < 3; read += 1) t.is(await cache.get('key'), value);
    t.is(await cache.has('key'), true);
    t.is(await cache.fetch('key', () => t.fail()), value);
    t.deepEqual(await cache.mGet(['key']), new Map([['key', value]]));
    if (role === 'host') t.is(cache.getSync('key'), value);
  }
  const { hits, misses, near } = await cache.stats();
  t.deepEqual([hits, misses], role === 'host' ? [54, 0] : [45, 0]);
  t.is(near.hits, keeps(role) ? hits - 9 : 0);
});

each('keys of different types that look alike are distinct', async (t, { open }) => {
  const cache = await open(NEAR);
  await cache.mSet([
    ['1', 'text'],
    [1, 'number'],
    ['\ud800', 'lone'],
    ['\ufffd', 'replacement'],
    ['__proto__', 'proto'],
    [-0, 'zero'],
  ]);
  for (let read = 0; read < 2; read += 1) {
    t.is(await cache.get('1'), 'text');
    t.is(await cache.get(1), 'number');
    t.is(await cache.get('\ud800'), 'lone');
    t.is(await cache.get('\ufffd'), 'replacement');
    t.is(await cache.get('__proto__'), 'proto');
    t.is(await cache.get(0), 'zero');
    t.is(await cache.get(-0), 'zero');
    t.is(await cache.get('0'), undefined);
  }
  await cache.set(0, 'changed');
  t.is(await cache.get(-0), 'changed');
});

each('at most max values are kept, and recently read ones stay', async (t, { open, role }) => {
  const one = await open({ near: { max: 1 } });
  await one.mSet([
    ['a', { a: 1 }],
    ['b', { b: 1 }],
  ]);
  t.is(await isKept(one, 'a'), keeps(role));
  const a = await one.get('a');
  t.is(await isKept(one, 'b'), keeps(role));
  const again = await one.get('a');
  t.not(again, a, 'b took its place');
  t.deepEqual(again, { a: 1 });
  t.is(await isKept(one, 'a'), keeps(role));

  const ten = await open({ near: { max: 10 } });
  await ten.mSet(Array.from({ length: 1_000 }, (_, index) => [index, { index }]));
  const hot = await ten.get(0);
  for (let index = 1; index < 1_000; index += 1) {
    t.deepEqual(await ten.get(index), { index });
    if (keeps(role) && (await ten.get(0)) !== hot) return t.fail(`the hot key went at ${index}`);
  }
  const before = (await ten.stats()).near.hits;
  for (let index = 900; index < 1_000; index += 1) await ten.get(index);
  t.true((await ten.stats()).near.hits - before <= 10);
});

// --- how much is kept -----------------------------------------------------------------------------------------------

each('at most maxSize bytes are kept, and recently read values stay', async (t, { open, role }) => {
  const cache = await open({ near: { maxSize: 20_000 } });
  const value = (index: number) => ({ index, text: `${index}`.padEnd(1_000, 'x') });
  await cache.mSet(Array.from({ length: 100 }, (_, index) => [index, value(index)]));
  const hot = await cache.get(0);
  for (let index = 1; index < 100; index += 1) {
    t.deepEqual(await cache.get(index), value(index));
    if (keeps(role) && (await cache.get(0)) !== hot) return t.fail(`the hot key went at ${index}`);
  }
  const before = (await cache.stats()).near.hits;
  for (let index = 1; index < 100; index += 1) await cache.get(index);
  t.true((await cache.stats()).near.hits - before <= 20);
  await cache.set('large', 'x'.repeat(30_000));
  t.is((await cache.get('large')) as string, 'x'.repeat(30_000));
  if (keeps(role)) t.is(await cache.get(0), hot, 'a value that is too large pushes nothing out');
});

/** The garbage collector, called. */
async function collector(): Promise<() => void> {
  setFlagsFromString('--expose-gc');
  return (await import('node:vm')).runInNewContext('gc') as () => void;
}

each.serial('a near cache takes no more memory than its namespace, by default', async (t, { open }) => {
  const gc = await collector();
  const heap = () => (gc(), gc(), process.memoryUsage().heapUsed / 2 ** 20);
  const cache = await open({ ...NEAR, maxSize: 8 * 2 ** 20 });
  const before = heap();
  const kinds: ((index: number) => unknown)[] = [
    (index) => ({ index, html: `${index}`.padEnd(500_000, 'x') }),
    (index) => ({ index, html: `${index}`.padEnd(250_000, 'ж') }),
    (index) => Array.from({ length: 5_000 }, (_, at) => ({ index, at })),
    (index) => Array.from({ length: 20_000 }, (_, at) => at / (index + 3)),
    (index) => ({ index, at: Array.from({ length: 2_000 }, () => ({ a: [] })) }),
  ];
  for (const [kind, make] of kinds.entries()) {
    for (let index = 0; index < 60; index += 1) {
      await cache.set(`${kind}:${index}`, make(index));
      await cache.get(`${kind}:${index}`);
    }
    const grown = heap() - before;
    t.true(grown < 24, `kind ${kind}: the heap grew by ${Math.round(grown)} MiB`);
  }
});

each.serial(
  'what was evicted or has expired does not stay, although it is not read again',
  async (t, { open, role }) => {
    t.pass();
    if (!keeps(role)) return;
    const gc = await collector();
    /** Stores and reads a value, and keeps it only weakly. */
    const kept = async (cache: AnyCache, key: string) => {
      await cache.set(key, { key });
      const value = (await cache.get(key)) as object;
      t.is(await cache.get(key), value);
      return new WeakRef(value);
    };
    const expiring = await open({ ...NEAR, ttl: 3_000 });
    const small = await open({ ...NEAR, max: 3 });
    const values = [await kept(expiring, 'a'), await kept(small, 'b'), await kept(small, 'c')];
    // It reports the reads first, which would otherwise make the values recent later.
    await small.stats();
    for (const key of ['d', 'e', 'f']) await small.set(key, key);
    await until('collection', () => {
      gc();
      return values.every((value) => value.deref() === undefined);
    });
  },
);

each('values are not kept if reads restart their time to live', async (t, { open }) => {
  for (const option of ['updateAgeOnGet', 'updateAgeOnHas']) {
    const cache = await open({ ...NEAR, [option]: true, ttl: 600_000 });
    await cache.set('key', { a: 1 });
    t.false(await isKept(cache, 'key'), option);
    t.is((await cache.stats()).near.hits, 0);
  }
});

each('fetch and mGet keep the values they find, and forceRefresh loads again', async (t, { open, role }) => {
  const cache = await open(NEAR);
  let loads = 0;
  const load = () => ({ load: (loads += 1) });
  t.deepEqual(await cache.fetch('key', load), { load: 1 });
  const first = await cache.get('key');
  t.deepEqual(first, { load: 1 });
  t.is((await cache.fetch('key', load)) === first, keeps(role));
  t.deepEqual(await cache.fetch('key', load, { forceRefresh: true }), { load: 2 });
  t.deepEqual(await cache.get('key'), { load: 2 });
  t.deepEqual(await cache.fetch('key', load), { load: 2 });
  await cache.mSet([
    ['a', { a: 1 }],
    ['b', { b: 1 }],
  ]);
  const found = await cache.mGet(['b', 'none', 'a', 'b']);
  t.deepEqual([...found.keys()], ['b', 'none', 'a']);
  t.is((await cache.get('a')) === found.get('a'), keeps(role));
  t.is(loads, 2);
  await failsWith(t, cache.mGet('ab' as never), 'ERR_CC_INVALID_ARGUMENT');
  await failsWith(t, cache.mGet(['a', {} as never]), 'ERR_CC_INVALID_KEY');
});

test('near accepts true, false or a max, and refuses other values by name', async (t) => {
  for (const [near, name] of [
    [0, 'near'],
    [1, 'near'],
    ['yes', 'near'],
    [null, 'near'],
    [[], 'near'],
    [{ max: 0 }, 'near.max'],
    [{ max: -1 }, 'near.max'],
    [{ max: 1.5 }, 'near.max'],
    [{ max: NaN }, 'near.max'],
    [{ max: Infinity }, 'near.max'],
    [{ max: '5' }, 'near.max'],
    [{ maximum: 5 }, 'near.maximum'],
  ] as const) {
    const error = await failsWith(t, () => new ClusteredCache({ near: near as never }), 'ERR_CC_INVALID_OPTION');
    t.true(error.message.includes(`\`${name}\``), error.message);
  }
  for (const near of [true, false, undefined, {}, { max: undefined }, { max: 1 }]) {
    const cache = new ClusteredCache({ ...patient(), near: near as never });
    await cache.set('key', 1);
    t.is(await cache.get('key'), 1);
    await cache.close();
  }
});

each('instances with different near caches, or none, share one namespace', async (t, { open, role }) => {
  const first = await open({ near: { max: 5 } });
  const second = await open({ namespace: first.namespace });
  const third = await open({ namespace: first.namespace, near: true });
  await second.set('key', { n: 1 });
  t.is(await isKept(first, 'key'), keeps(role));
  t.false(await isKept(second, 'key'));
  t.is(await isKept(third, 'key'), keeps(role));
  await second.set('key', { n: 2 });
  for (const cache of [first, second, third]) t.deepEqual(await cache.get('key'), { n: 2 });
  await first.close();
  await failsWith(t, first.get('key'), 'ERR_CC_CLOSED');
  await failsWith(t, first.mGet(['key']), 'ERR_CC_CLOSED');
  await failsWith(t, first.peek('key'), 'ERR_CC_CLOSED');
  await failsWith(t, first.has('key'), 'ERR_CC_CLOSED');
  await failsWith(
    t,
    first.fetch('key', () => ({})),
    'ERR_CC_CLOSED',
  );
  await failsWith(t, () => first.getSync('key'), 'ERR_CC_CLOSED');
  t.deepEqual(await third.get('key'), { n: 2 });
});

// --- how long -------------------------------------------------------------------------------------------------------

each('a kept value expires with its entry, to the millisecond', async (t, { open, role }) => {
  t.pass();
  if (!keeps(role)) return;
  const cache = await open(NEAR);
  for (let round = 0; round < 5; round += 1) {
    const asked = performance.now();
    await cache.set('key', { round }, { ttl: 50 });
    const stored = performance.now();
    const first = cache.getSync('key');
    let last: number;
    for (;;) {
      const before = performance.now();
      const value = cache.getSync('key');
      last = performance.now();
      if (value !== undefined && before > stored + 50) return t.fail(`a hit ${before - stored} ms after`);
      if (value === undefined) break;
      if (first !== undefined) t.is(value, first);
    }
    t.true(last >= asked + 50, `a miss ${last - asked} ms after`);
    t.false(cache.hasSync('key'));
    t.is(await cache.peek('key'), undefined);
  }
});

each('stale values are returned according to the options of the namespace', async (t, { open }) => {
  for (const allowStale of [false, true]) {
    for (const noDeleteOnStaleGet of [false, true]) {
      const cache = await open({ ...NEAR, allowStale, noDeleteOnStaleGet });
      await until('two reads in time', async () => {
        const start = performance.now();
        await cache.set('key', { a: 1 }, { ttl: 100 });
        await cache.get('key');
        await cache.get('key');
        return performance.now() < start + 100;
      });
      await until('expiry', async () => (await cache.getRemainingTTL('key')) === 0);
      t.is(await cache.has('key'), false);
      t.deepEqual(await cache.get('key'), allowStale ? { a: 1 } : undefined);
      t.deepEqual(await cache.get('key'), allowStale && noDeleteOnStaleGet ? { a: 1 } : undefined);
    }
  }
});

each('a change of any kind, by any process, invalidates the kept value', async (t, { open, role, peer, reach }) => {
  const cache = await open({ ...NEAR, max: 3 });
  const [plain, other] = [await open({ namespace: cache.namespace }), await peer()];
  const there = await reach(cache);
  const changes: [method: string, args: unknown[], expected: unknown][] = [
    ['set', ['key', { n: 2 }], { n: 2 }],
    ['set', ['key', { n: 1 }], { n: 1 }],
    ['delete', ['key'], undefined],
    ['getAndDelete', ['key'], undefined],
    ['getAndSet', ['key', { n: 6 }], { n: 6 }],
    ['mSet', [[['key', { n: 3 }]]], { n: 3 }],
    ['mDelete', [['key']], undefined],
    ['clear', [], undefined],
    ['clear', [{ prefix: 'k' }], undefined],
    ['destroy', [], undefined],
    ['load', [[['key', { value: { n: 4 } }]]], { n: 4 }],
    ['touch', ['key', { ttl: 0.001 }], undefined],
    ['set', ['key', 1, { expiresAt: 1 }], undefined],
    ['set', ['key', 'x'.repeat(17 * 2 ** 20)], undefined],
    // Three others evict it.
    ['mSet', [['a', 'b', 'c'].map((key) => [key, 0])], undefined],
    ['setIfAbsent', ['key', { n: 5 }], { n: 1 }],
    ['touch', ['key', { ttl: 600_000 }], { n: 1 }],
  ];
  for (const [method, args, expected] of changes) {
    for (const [who, change] of [
      ['itself', () => (cache as any)[method](...args)],
      ['another instance', () => (plain as any)[method](...args)],
      ['another process', () => other.call(there, method, ...args)],
    ] as const) {
      await cache.clear();
      await plain.set('key', { n: 1 });
      t.is(await isKept(cache, 'key'), keeps(role));
      await change();
      if (method === 'touch')
        await until('the end', async () => (await cache.getRemainingTTL('key')) !== 0 || expected === undefined);
      t.deepEqual(await cache.get('key'), expected, `${method} by ${who}`);
      t.is(await cache.has('key'), expected !== undefined);
      if (keeps(role)) t.deepEqual(cache.getSync('key'), expected, `${method} by ${who}`);
    }
  }
  await plain.set('n', 1);
  t.is(await cache.get('n'), 1);
  await other.call(there, 'incr', 'n');
  t.is(await cache.get('n'), 2);
  await cache.decr('n', 2);
  t.is(await cache.get('n'), 0);
  await plain.count('n', 5);
  t.is(await cache.get('n'), 5);
});

each('a slot that is reused for another key does not match the old key', async (t, { open }) => {
  t.pass();
  const cache = await open({ ...NEAR, max: 8 });
  for (let round = 0; round < 2_000; round += 1) {
    const key = `key ${round % 50}`;
    const found = await cache.get(key);
    if (found !== undefined && found.key !== key) return t.fail(`${key}: ${JSON.stringify(found)}`);
    await cache.set(key, { key, round });
    if ((await cache.get(key)).round !== round) return t.fail(`${key} is not of round ${round}`);
  }
});

test('an acknowledged change of any kind is visible through a near cache to the next read, of any kind', async (t) => {
  const options = { ...patient(), cacheNull: true, near: { max: 100 } };
  const [first, second] = [shared.worker(0), shared.worker(1)];
  const both = [
    { worker: first, options },
    { worker: second, options },
  ] as const;
  t.deepEqual(await pingPong(shared, [...both], LONG ? 15_000 : 2_000), []);
});

each('reads of thousands of keys that come, change and go are always current', async (t, { open, peer, reach }) => {
  t.log(`seed ${SEED}`);
  const cache = await open({ near: { max: 700 } });
  const [other, there] = [await peer(), await reach(cache)];
  const random = new Random(SEED);
  const model = new Map<string | number, unknown>();
  const KEYS = 3_000;
  const some = () =>
    random.several(
      Array.from({ length: KEYS }, (_, key) => key),
      300,
    );
  for (let round = 0; round < (LONG ? 2_000 : 60); round += 1) {
    const keys = some();
    const writer = (method: string, ...args: unknown[]): Promise<unknown> =>
      random.below(2) === 0 ? other.call(there, method, ...args) : (cache as any)[method](...args);
    if (random.below(4) === 0) {
      for (const key of keys) model.delete(key);
      await writer('mDelete', keys);
    } else {
      const entries = keys.map((key): [number, unknown] => [
        key,
        random.pick<unknown>([{ key, round }, `${key} ${round}`, round, [round, { key }]]),
      ]);
      for (const [key, value] of entries) model.set(key, value);
      await writer('mSet', entries);
    }
    if (random.below(40) === 0) {
      model.clear();
      await writer('clear');
    }
    const asked = [...some(), ...keys];
    for (const key of asked.slice(0, 100)) {
      if (!t.deepEqual(await cache.get(key), model.get(key), `seed ${SEED}, round ${round}`)) return;
    }
    const found = await cache.mGet(asked);
    for (const [key, value] of found) if (!t.deepEqual(value, model.get(key), `seed ${SEED}, round ${round}`)) return;
  }
});

// Engines may hoist a plain read of memory out of a loop that does not seem to change it.
test('a loop that only reads one kept value sees its change', async (t) => {
  t.pass();
  if (!SHARED) return;
  const options = { ...patient(), near: true };
  const [reader, writer] = [shared.worker(0), shared.worker(1)];
  const mark = path.join(directory, 'looping');
  await writer.call(options, 'set', 'key', 1);
  const reads = reader.run(
    async ({ cache, require }, options, mark) => {
      const { writeFileSync } = require('node:fs') as typeof import('node:fs');
      const target = cache(options);
      await target.ready;
      const loop = (most: number) => {
        let reads = 0;
        while (reads < most && target.getSync('key') === 1) reads += 1;
        return reads;
      };
      // Until it has reached its final compiled form.
      for (let round = 0; round < 50; round += 1) loop(50_000);
      writeFileSync(mark, '');
      return loop(2_000_000_000);
    },
    options,
    mark,
  );
  await until('the loop', () => existsSync(mark));
  await writer.call(options, 'set', 'key', 2);
  t.true((await reads) < 2_000_000_000);
});

// --- where it is kept -------------------------------------------------------------------------------------------------

each('tables larger than the part that JavaScript sees are read like any other', async (t, { open, role }) => {
  const cache = await open({ ...NEAR, maxSize: 5 * 2 ** 30 });
  await cache.mSet(Array.from({ length: 100 }, (_, index) => [index, { index }]));
  for (let index = 0; index < 100; index += 1) {
    t.deepEqual(await cache.get(index), { index });
    t.is(await isKept(cache, index), keeps(role));
  }
});

each.serial('memory of the host is released when no kept value refers to it', async (t, { open, role }) => {
  t.pass();
  if (!keeps(role) || process.platform !== 'linux') return;
  const gc = await collector();
  const mapped = () =>
    readFileSync('/proc/self/maps', 'latin1')
      .split('\n')
      .filter((line) => /memfd/.test(line)).length;
  const before = mapped();
  for (let round = 0; round < 20; round += 1) {
    const cache = await open(NEAR);
    await cache.set('key', { round });
    await isKept(cache, 'key');
    if (round % 2 === 0) await cache.maxSize((300 + round) * 2 ** 20);
    await isKept(cache, 'key');
    await cache.destroy();
    await cache.close();
  }
  await until('unmapping', async () => {
    gc();
    return mapped() <= before + 2;
  });
});
