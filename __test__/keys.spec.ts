import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

each("1 and '1' are two keys and keep their types", async (t, { open }) => {
  const cache = await open();
  await cache.set(1, 'number');
  await cache.set('1', 'string');
  t.is(await cache.get(1), 'number');
  t.is(await cache.get('1'), 'string');
  t.deepEqual(await cache.keys(), ['1', 1]);
  t.deepEqual(
    [...(await cache.mGet([1, '1']))],
    [
      [1, 'number'],
      ['1', 'string'],
    ],
  );
  t.is(await cache.delete(1), true);
  t.is(await cache.has('1'), true);
});

each('every finite number is a key', async (t, { open }) => {
  const cache = await open();
  const keys = [0, 1, -1, 0.1, -0.1, Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER, -(2 ** 53)];
  for (const key of keys) await cache.set(key, `value of ${key}`);
  for (const key of keys) t.is(await cache.get(key), `value of ${key}`);
  t.deepEqual(await cache.keys(), keys.toReversed());
});

each('-0 is the key 0', async (t, { open }) => {
  const cache = await open();
  await cache.set(-0, 'zero');
  t.is(await cache.get(0), 'zero');
  t.true(Object.is((await cache.keys())[0], 0));
});

each('every string is a key', async (t, { open }) => {
  const cache = await open();
  const keys = [
    '',
    ' ',
    '\0',
    'a\0b',
    '__proto__',
    'constructor',
    'ключ',
    '鍵',
    '🔑',
    'e\u0301',
    '\u00e9',
    '\ud800',
    '\udc00',
    '\ud800a',
    '\ud83d\udd11!',
  ];
  for (const [index, key] of keys.entries()) await cache.set(key, index);
  t.is(await cache.size(), keys.length);
  for (const [index, key] of keys.entries()) t.is(await cache.get(key), index, JSON.stringify(key));
  t.deepEqual(await cache.keys(), keys.toReversed());
});

each('strings that differ in lone surrogates are different keys', async (t, { open }) => {
  const cache = await open();
  await cache.set('\ud83d', 'half');
  t.is(await cache.get('\ud83d\udd11'), undefined);
  t.is(await cache.get('\ufffd'), undefined, 'a lone surrogate is not replaced');
});

each('keys of up to 64 KiB encoded are accepted, longer ones refused', async (t, { open }) => {
  const cache = await open();
  const longest = 'k'.repeat(64 * 1024 - 1);
  await cache.set(longest, 1);
  t.is(await cache.get(longest), 1);
  t.deepEqual(await cache.keys(), [longest]);
  for (const key of [`${longest}kk`, '鍵'.repeat(22_000), 'k'.repeat(10_000_000)]) {
    await failsWith(t, () => cache.set(key, 1), 'ERR_CC_INVALID_KEY', /65536|64 KiB/);
    await failsWith(t, () => cache.get(key), 'ERR_CC_INVALID_KEY');
  }
  t.is(await cache.size(), 1);
});

each('every method refuses keys that are neither strings nor finite numbers', async (t, { open }) => {
  const cache = await open();
  const bad: unknown[] = [
    undefined,
    null,
    NaN,
    Infinity,
    -Infinity,
    true,
    1n,
    Symbol('k'),
    {},
    [],
    ['a'],
    () => {},
    new Date(),
    new String('k'),
  ];
  for (const key of bad as never[]) {
    const calls: [string, () => unknown][] = [
      ['get', () => cache.get(key)],
      ['set', () => cache.set(key, 1)],
      ['setIfAbsent', () => cache.setIfAbsent(key, 1)],
      ['delete', () => cache.delete(key)],
      ['has', () => cache.has(key)],
      ['peek', () => cache.peek(key)],
      ['mGet', () => cache.mGet(['good', key])],
      [
        'mSet',
        () =>
          cache.mSet([
            ['good', 1],
            [key, 1],
          ]),
      ],
      ['mHas', () => cache.mHas([key])],
      ['mDelete', () => cache.mDelete(['good', key])],
      ['getAndDelete', () => cache.getAndDelete(key)],
      ['getAndSet', () => cache.getAndSet(key, 1)],
      ['incr', () => cache.incr(key)],
      ['decr', () => cache.decr(key)],
      ['count', () => cache.count(key)],
      ['info', () => cache.info(key)],
      ['getRemainingTTL', () => cache.getRemainingTTL(key)],
      ['touch', () => cache.touch(key)],
      ['fetch', () => cache.fetch(key, () => 1)],
    ];
    for (const [method, call] of calls) {
      const error = await failsWith(t, call, 'ERR_CC_INVALID_KEY');
      t.true(error instanceof TypeError, method);
    }
  }
  t.is(await cache.size(), 0);
});

each('methods that return a promise reject instead of throwing', async (t, { open }) => {
  const cache = await open();
  const calls = [cache.get, cache.set, cache.delete, cache.has, cache.incr, cache.mGet, cache.fetch] as ((
    ...args: unknown[]
  ) => Promise<unknown>)[];
  for (const call of calls) {
    const answer = call.call(cache, Symbol('bad'));
    t.true(answer instanceof Promise);
    await t.throwsAsync(answer);
  }
});

each(
  'a prefix that ends within a character is refused, and one that ends before or after it is not',
  async (t, { open }) => {
    const cache = await open();
    await cache.set('a🔑', 1);
    await cache.set('a\udd11', 2);
    for (const prefix of ['a\ud83d', '\ud83d', 'a🔑\ud83d']) {
      for (const method of ['keys', 'values', 'entries', 'clear'] as const) {
        await failsWith(t, () => cache[method]({ prefix }), 'ERR_CC_INVALID_ARGUMENT', /surrogate pair/);
      }
    }
    t.deepEqual(await cache.keys({ prefix: 'a🔑' }), ['a🔑']);
    t.deepEqual(await cache.keys({ prefix: 'a\udd11' }), ['a\udd11']);
    t.is((await cache.keys({ prefix: 'a' })).length, 2);
  },
);
