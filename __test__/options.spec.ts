import test from 'ava';
import { ClusteredCache } from '../index.js';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

const NOT_COUNTS = [0, -1, 1.5, NaN, Infinity, '10', true, {}, [], 10n];
const NOT_BOOLEANS = [0, 1, 'true', 'no', {}, []];

const BAD: Record<string, unknown[]> = {
  namespace: ['', 'n'.repeat(257), 'é'.repeat(129), 5, {}, true],
  max: NOT_COUNTS,
  maxSize: NOT_COUNTS,
  maxEntrySize: NOT_COUNTS,
  ttl: [-1, NaN, '1000', true, {}, 1n, 1e300],
  allowStale: NOT_BOOLEANS,
  updateAgeOnGet: NOT_BOOLEANS,
  updateAgeOnHas: NOT_BOOLEANS,
  noDeleteOnStaleGet: NOT_BOOLEANS,
  ttlAutopurge: NOT_BOOLEANS,
  cacheNull: NOT_BOOLEANS,
  timeout: [-1, NaN, '1000', true, {}],
  failsafe: ['', 'throw', true, 0, {}],
  handoverTimeout: [-1, NaN, '1000', true, {}, 2 ** 31],
  endpoint: ['', 5, {}],
  role: ['', 'worker', 1, {}],
  attach: [1, 'true', null, {}],
  allowUids: [4_242, '4242', true, null, {}, [-1], [1.5], ['4242'], [2 ** 32 - 1]],
  persist: [
    '/a/file',
    5,
    true,
    null,
    [],
    {},
    { path: '' },
    { path: 5 },
    { path: 'a\0b' },
    { path: '/a/file', interval: 999 },
    { path: '/a/file', interval: -1 },
    { path: '/a/file', interval: '5000' },
    { path: '/a/file', interval: Infinity },
    { path: '/a/file', often: true },
  ],
};

/** A value as messages may show it. */
const written = (value: unknown): string =>
  typeof value === 'string' ? value.slice(0, 10) : typeof value === 'object' ? '' : String(value);

for (const [option, values] of Object.entries(BAD)) {
  test(`${option} refuses an invalid value with its name, the value and what is allowed`, async (t) => {
    for (const value of values) {
      const error = await failsWith(t, () => new ClusteredCache({ [option]: value } as never), 'ERR_CC_INVALID_OPTION');
      t.true(error instanceof TypeError || error instanceof RangeError, `${option}: ${String(value)}`);
      t.true(error.message.includes(option), error.message);
      t.true(error.message.includes(written(value)), error.message);
      t.regex(error.message, /allowed|must|expected/i, 'it says what is allowed');
    }
  });
}

test('getInstance rejects and never throws', async (t) => {
  const answer = ClusteredCache.getInstance({ max: -1 });
  t.true(answer instanceof Promise);
  await failsWith(t, answer, 'ERR_CC_INVALID_OPTION', /max/);
});

test('options that are not an object are refused', async (t) => {
  for (const options of ['default', 5, true, null]) {
    const error = await t.throwsAsync(async () => new ClusteredCache(options as never));
    t.true(
      ['ERR_CC_INVALID_OPTION', 'ERR_CC_INVALID_ARGUMENT'].includes((error as { code?: string }).code ?? ''),
      String(error),
    );
  }
});

test('options that are undefined count as omitted', async (t) => {
  const cache = new ClusteredCache({
    namespace: 'undefined-options',
    max: undefined,
    ttl: undefined,
    allowStale: undefined,
  });
  t.is(await cache.set('key', 1), true);
  await cache.close();
});

test('an error thrown by an option getter is passed on unchanged', async (t) => {
  const failure = new Error('getter');
  const error = await t.throwsAsync(
    async () =>
      new ClusteredCache({
        get max(): number {
          throw failure;
        },
      }),
  );
  t.is(error, failure);
});

test('options are read once and not modified', async (t) => {
  const options = Object.freeze({ namespace: 'frozen-options', max: 5 });
  const cache = new ClusteredCache(options);
  t.is(await cache.max(), 5);
  await cache.close();
});

each('invalid options of a call are refused with name and value, and nothing is stored', async (t, { open }) => {
  const cache = await open();
  const bad: [string, unknown[]][] = [
    ['ttl', [-1, NaN, '5', true, {}, 1n]],
    ['expiresAt', [NaN, 'tomorrow', true, {}, 1n]],
    ['size', [0, -1, 0.5, NaN, '5', true]],
  ];
  for (const [option, values] of bad) {
    for (const value of values) {
      const options = { [option]: value } as never;
      await failsWith(t, () => cache.set('key', 1, options), 'ERR_CC_INVALID_OPTION', new RegExp(option));
      await failsWith(t, () => cache.mSet([['key', 1, options]]), 'ERR_CC_INVALID_OPTION', new RegExp(option));
      await failsWith(t, () => cache.setIfAbsent('key', 1, options), 'ERR_CC_INVALID_OPTION', new RegExp(option));
      await failsWith(t, () => cache.mSet([['key', 1]], options), 'ERR_CC_INVALID_OPTION', new RegExp(option));
      if (option === 'expiresAt') continue;
      await failsWith(t, () => cache.incr('key', 1, options), 'ERR_CC_INVALID_OPTION', new RegExp(option));
      await failsWith(
        t,
        () => cache.fetch('key', () => t.fail(), options),
        'ERR_CC_INVALID_OPTION',
        new RegExp(option),
      );
    }
  }
  await failsWith(t, () => cache.touch('key', { ttl: -1 }), 'ERR_CC_INVALID_OPTION', /ttl/);
  await failsWith(t, () => cache.clear({ prefix: 5 as never }), 'ERR_CC_INVALID_OPTION', /prefix/);
  await failsWith(t, () => cache.keys({ prefix: {} as never }), 'ERR_CC_INVALID_OPTION', /prefix/);
  await failsWith(t, () => cache.set('key', 1, 5 as never), 'ERR_CC_INVALID_OPTION', /options/);
  t.is(await cache.size(), 0);
});

each('arguments of the wrong kind are refused', async (t, { open }) => {
  const cache = await open();
  for (const keys of [undefined, null, 5, {}, 'abc']) {
    if (keys === 'abc') continue;
    await failsWith(t, () => cache.mGet(keys as never), 'ERR_CC_INVALID_ARGUMENT');
    await failsWith(t, () => cache.mHas(keys as never), 'ERR_CC_INVALID_ARGUMENT');
    await failsWith(t, () => cache.mDelete(keys as never), 'ERR_CC_INVALID_ARGUMENT');
    await failsWith(t, () => cache.mSet(keys as never), 'ERR_CC_INVALID_ARGUMENT');
    await failsWith(t, () => cache.load(keys as never), 'ERR_CC_INVALID_ARGUMENT');
  }
  for (const fetcher of [undefined, null, 5, 'value', {}]) {
    await failsWith(t, () => cache.fetch('key', fetcher as never), 'ERR_CC_INVALID_ARGUMENT', /fetcher|function/);
  }
  await failsWith(t, () => cache.fetch('key', () => 1, { lease: -1 }), 'ERR_CC_INVALID_OPTION', /lease/);
  await failsWith(t, () => cache.fetch('key', () => 1, { signal: {} as never }), 'ERR_CC_INVALID_OPTION', /signal/);
  await failsWith(
    t,
    () => cache.fetch('key', () => 1, { forceRefresh: 'yes' as never }),
    'ERR_CC_INVALID_OPTION',
    /forceRefresh/,
  );
});

each('a getter of the options of a call is called once, and may use the cache', async (t, { open, role }) => {
  const cache = await open();
  let asked = 0;
  const used: Promise<unknown>[] = [];
  /** Options whose getter reads and writes, also values whose encoding takes as much memory as that of the call's. */
  const options = <N extends string, T>(name: N, value: T) =>
    Object.defineProperty({} as Record<N, T>, name, {
      enumerable: true,
      get: () => {
        asked += 1;
        used.push(cache.set('other', { id: asked, text: 'of the getter' }), cache.get('key'), cache.incr('used'));
        if (role === 'host') cache.setSync('now', [asked]);
        return value;
      },
    });
  const value = { id: 0, text: 'of the caller' };
  t.is(await cache.set('key', value, options('ttl', 60_000)), true);
  t.deepEqual(await cache.get('key'), value);
  t.true((await cache.getRemainingTTL('key')) > 50_000);
  t.deepEqual(await cache.getAndSet('key', { ...value, id: 1 }, options('size', 77)), value);
  t.is((await cache.info('key'))?.size, 77);
  t.is(await cache.setIfAbsent('absent', value, options('ttl', 60_000)), true);
  t.deepEqual(await cache.get('absent'), value);
  t.is(await cache.touch('key', options('ttl', 60_000)), true);
  t.is(await cache.incr('n', 1, options('max', 5)), 1);
  t.is(await cache.mSet([['many', value, options('ttl', 60_000)]], options('size', 5)), 1);
  t.deepEqual(await cache.get('many'), value);
  t.deepEqual(await cache.keys(options('prefix', 'man')), ['many']);
  t.is(await cache.fetch('fetched', () => 3, options('ttl', 60_000)), 3);
  t.is(await cache.clear(options('prefix', 'man')), 1);
  t.is(asked, 10);
  t.deepEqual(
    (await Promise.all(used)).filter((answer) => answer === false),
    [],
  );
  t.is(await cache.incr('used', 0), asked);
  t.deepEqual(await cache.get('other'), { id: asked, text: 'of the getter' });
});

each('a getter that throws ends the call and nothing else', async (t, { open }) => {
  const cache = await open();
  const failure = new Error('getter');
  const options = {
    get ttl(): number {
      void cache.set('first', 1);
      throw failure;
    },
  };
  const [before, error, after] = await Promise.all([
    cache.set('before', 1),
    t.throwsAsync(async () => cache.set('key', 1, options)),
    cache.set('after', 1),
  ]);
  t.deepEqual([before, error, after], [true, failure, true]);
  t.deepEqual((await cache.keys()).sort(), ['after', 'before', 'first']);
});

each(
  'a change is visible to the next read, whatever the getters of its options have read',
  async (t, { open, role }) => {
    for (const near of [false, true]) {
      const cache = await open({ near });
      const reads: Promise<unknown>[] = [];
      const options = {
        get ttl() {
          reads.push(cache.get('key'), cache.peek('key'));
          if (role === 'host' || cache.transport === 'shared') cache.getSync('key');
          return 60_000;
        },
      };
      await cache.set('key', { is: 'old' });
      await cache.get('key');
      const stored = cache.set('key', { is: 'new' }, options);
      t.deepEqual(await cache.get('key'), { is: 'new' });
      t.is(await stored, true);
      t.deepEqual(await Promise.all(reads), [{ is: 'old' }, { is: 'old' }]);
    }
  },
);

each('options may be inherited, and are checked all the same', async (t, { open }) => {
  const cache = await open();
  class Terms {
    readonly #ttl: number;
    constructor(ttl: number) {
      this.#ttl = ttl;
    }
    get ttl() {
      return this.#ttl;
    }
  }
  t.is(await cache.set('key', 1, new Terms(60_000)), true);
  t.true((await cache.getRemainingTTL('key')) <= 60_000);
  await failsWith(t, () => cache.set('key', 2, new Terms(-1)), 'ERR_CC_INVALID_OPTION', /ttl/);
  t.is(await cache.get('key'), 1);
});

test('names that every object inherits are refused as unknown', async (t) => {
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']) {
    const options = JSON.parse(`{ "namespace": "inherited-names", "${name}": {} }`);
    const said = new RegExp(`option \`${name}\` is an object; allowed is one of`);
    await failsWith(t, () => new ClusteredCache(options), 'ERR_CC_INVALID_OPTION', said);
    const near = JSON.parse(`{ "max": 5, "${name}": {} }`);
    await failsWith(t, () => new ClusteredCache({ near }), 'ERR_CC_INVALID_OPTION', /near\./);
  }
});

each('options of a call with a name that every object inherits are refused', async (t, { open }) => {
  const cache = await open();
  for (const name of ['constructor', '__proto__', 'toString']) {
    const options = JSON.parse(`{ "${name}": 1 }`);
    await failsWith(t, () => cache.set('key', 1, options), 'ERR_CC_INVALID_OPTION', new RegExp(name));
  }
});

test('inherited options are checked and apply like own ones', async (t) => {
  for (const options of [{ max: -1 }, { near: Object.create({ max: 0 }) }, { persist: Object.create({ path: '' }) }]) {
    await failsWith(t, () => new ClusteredCache(Object.create(options)), 'ERR_CC_INVALID_OPTION');
  }
  const cache = new ClusteredCache(Object.create({ namespace: 'inherited-options', max: 7 }));
  t.is(cache.namespace, 'inherited-options');
  t.is(await cache.max(), 7);
  await cache.close();
});

test('an option with an accessor is read once', async (t) => {
  let asked = 0;
  const cache = new ClusteredCache({
    namespace: 'asked-options',
    get max() {
      return (asked += 1) === 1 ? 5 : -1;
    },
  });
  t.is(await cache.max(), 5);
  t.is(asked, 1);
  await cache.close();
});

test('a namespace whose name has lone surrogates is refused, so that no two names mean one namespace', async (t) => {
  for (const namespace of ['\ud800', '\udc00', 'a\udfffb', '\udc00\ud800']) {
    await failsWith(t, () => new ClusteredCache({ namespace }), 'ERR_CC_INVALID_OPTION', /`namespace`.*surrogates/);
  }
  await new ClusteredCache({ namespace: `${process.pid} 🔑` }).close();
});

test('a bound of the near cache that is none is refused by its name', async (t) => {
  for (const maxSize of [0, -1, 1.5, '5', null, Infinity]) {
    const near = { maxSize } as never;
    await failsWith(t, () => new ClusteredCache({ near }), 'ERR_CC_INVALID_OPTION', /`near\.maxSize`/);
  }
});
