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
      if (option === 'expiresAt') continue;
      await failsWith(t, () => cache.setIfAbsent('key', 1, options), 'ERR_CC_INVALID_OPTION', new RegExp(option));
      await failsWith(t, () => cache.mSet([['key', 1]], options), 'ERR_CC_INVALID_OPTION', new RegExp(option));
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
