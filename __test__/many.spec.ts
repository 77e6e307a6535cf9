import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

each('mSet stores and mGet reads in the order of the keys', async (t, { open }) => {
  const cache = await open();
  t.is(
    await cache.mSet([
      ['a', 1],
      [2, 'two'],
      ['c', { deep: [3] }],
    ]),
    3,
  );
  const found = await cache.mGet(['c', 'absent', 2, 'a']);
  t.true(found instanceof Map);
  t.deepEqual(
    [...found],
    [
      ['c', { deep: [3] }],
      ['absent', undefined],
      [2, 'two'],
      ['a', 1],
    ],
  );
});

each('mGet returns a repeated key once, and an empty map for no keys', async (t, { open }) => {
  const cache = await open();
  await cache.set('a', 1);
  t.deepEqual(
    [...(await cache.mGet(['a', 'b', 'a']))],
    [
      ['a', 1],
      ['b', undefined],
    ],
  );
  t.is((await cache.mGet([])).size, 0);
  t.is(await cache.mSet([]), 0);
  t.is(await cache.mDelete([]), 0);
  t.is((await cache.mHas([])).size, 0);
});

each('mGet of hundreds of values of every kind, some just changed, keeps their order', async (t, { open }) => {
  const cache = await open({ cacheNull: true });
  const kinds = [
    (index: number) => `text ${index}`,
    (index: number) => `t\u00e4xt ${index} \ud83d\ude00`,
    (index: number) => index,
    (index: number) => index % 2 === 0,
    () => null,
    (index: number) => BigInt(index),
    (index: number) => Buffer.from([index & 255]),
    (index: number) => new Uint8Array([index & 255, 1]),
    (index: number) => ({ index, list: [index] }),
    (index: number) => new Map([[index, new Date(index)]]),
    () => undefined,
  ];
  const expected = new Map<string | number, unknown>();
  for (let index = 0; index < 400; index++) {
    const key = index % 3 === 0 ? index : `key ${index}`;
    expected.set(key, kinds[index % kinds.length]?.(index));
  }
  await cache.mSet([...expected].filter(([, value]) => value !== undefined));
  const late = [...expected.keys()].filter((_, index) => index % 50 === 7);
  const changes = late.map((key) => cache.set(key, `changed ${key}`));
  for (const key of late) expected.set(key, `changed ${key}`);
  const found = await cache.mGet(expected.keys());
  await Promise.all(changes);
  t.deepEqual([...found], [...expected]);
  const { hits, misses } = await cache.stats();
  const absent = [...expected.values()].filter((value) => value === undefined).length;
  t.deepEqual({ hits, misses }, { hits: expected.size - absent, misses: absent });
});

each('mHas and mDelete answer for each key', async (t, { open }) => {
  const cache = await open();
  await cache.mSet([
    ['a', 1],
    ['b', 2],
  ]);
  t.deepEqual(
    [...(await cache.mHas(['b', 'absent', 'a']))],
    [
      ['b', true],
      ['absent', false],
      ['a', true],
    ],
  );
  t.is(await cache.mDelete(['a', 'absent', 'b', 'a']), 2);
  t.is(await cache.size(), 0);
});

each('any iterable is accepted: sets, maps and generators', async (t, { open }) => {
  const cache = await open();
  t.is(
    await cache.mSet(
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    ),
    2,
  );
  function* keys() {
    yield 'a';
    yield 'b';
  }
  t.deepEqual([...(await cache.mGet(keys())).values()], [1, 2]);
  t.is(await cache.mDelete(new Set(['a', 'b'])), 2);
});

each('the options of an entry override those of the call', async (t, { open }) => {
  const cache = await open();
  await cache.mSet(
    [
      ['long', 1],
      ['short', 2, { ttl: 1_000 }],
      ['sized', 3, { size: 9 }],
    ],
    { ttl: 100_000, size: 5 },
  );
  t.true((await cache.getRemainingTTL('long')) > 90_000);
  t.true((await cache.getRemainingTTL('short')) <= 1_000);
  t.is((await cache.info('long'))?.size, 5);
  t.is((await cache.info('sized'))?.size, 9);
  t.true((await cache.getRemainingTTL('sized')) > 90_000);
});

each('thousands of entries are stored, read, counted and deleted in one call', async (t, { open }) => {
  const cache = await open();
  const entries = Array.from({ length: 70_000 }, (_, index): [number, string] => [index, `value ${index}`]);
  t.is(await cache.mSet(entries), entries.length);
  const keys = entries.map(([key]) => key);
  const found = await cache.mGet(keys);
  t.is(found.size, entries.length);
  t.true(entries.every(([key, value]) => found.get(key) === value));
  t.deepEqual([...found.keys()].slice(0, 3), [0, 1, 2]);
  t.true([...(await cache.mHas(keys)).values()].every(Boolean));
  t.is(await cache.mDelete(keys), entries.length);
});

each('values many times the size of a message arrive complete', async (t, { open }) => {
  const cache = await open();
  const entries = Array.from({ length: 12 }, (_, index): [string, Buffer] => [
    `k${index}`,
    Buffer.alloc(2 ** 20, index),
  ]);
  t.is(await cache.mSet(entries), 12);
  const found = await cache.mGet(entries.map(([key]) => key));
  t.deepEqual(
    [...found.keys()],
    entries.map(([key]) => key),
  );
  t.true(entries.every(([key, value]) => value.equals(found.get(key) as Buffer)));
  t.is((await cache.entries()).length, 12);
  t.is((await cache.stats()).hits, 12, 'each was read once');
});

each('an entry over the limit is not stored or counted, the others are', async (t, { open }) => {
  const cache = await open({ maxEntrySize: 1_000 });
  await cache.set('large', 'old');
  t.is(
    await cache.mSet([
      ['a', 1],
      ['large', 'x'.repeat(2_000)],
      ['b', 2],
    ]),
    2,
  );
  t.deepEqual(await cache.get('large'), undefined, 'no older value is left under that key');
  t.is(await cache.size(), 2);
});

each('an iterable that throws midway stores nothing and rejects with its own error', async (t, { open }) => {
  const cache = await open();
  const failure = new Error('the source broke');
  let closed = false;
  function* broken(): Generator<[string, number]> {
    try {
      yield ['a', 1];
      yield ['b', 2];
      throw failure;
    } finally {
      closed = true;
    }
  }
  t.is(await t.throwsAsync(async () => cache.mSet(broken())), failure);
  t.true(closed);
  t.is(await cache.size(), 0);
  function* brokenKeys(): Generator<string> {
    yield 'a';
    throw failure;
  }
  await cache.set('a', 1);
  t.is(await t.throwsAsync(async () => cache.mDelete(brokenKeys())), failure);
  t.is(await t.throwsAsync(async () => cache.mGet(brokenKeys())), failure);
  t.is(await t.throwsAsync(async () => cache.mHas(brokenKeys())), failure);
  t.is(await cache.size(), 1);
});

each('one bad entry among good ones stores nothing', async (t, { open }) => {
  const cache = await open();
  const bad: [string, unknown][] = [
    ['a', 1],
    ['b', () => {}],
    ['c', 3],
  ];
  await t.throwsAsync(async () => cache.mSet(bad), { code: 'ERR_CC_DATA_CLONE' });
  await t.throwsAsync(
    async () =>
      cache.mSet([
        ['a', 1],
        [{} as never, 2],
      ]),
    { code: 'ERR_CC_INVALID_KEY' },
  );
  await t.throwsAsync(
    async () =>
      cache.mSet([
        ['a', 1],
        ['b', undefined],
      ]),
    { code: 'ERR_CC_INVALID_VALUE' },
  );
  await t.throwsAsync(async () => cache.mSet([['a', 1], 'b' as never]), { code: 'ERR_CC_INVALID_ARGUMENT' });
  t.is(await cache.size(), 0);
});

each('an array of holes is refused at its first element', async (t, { open }) => {
  const cache = await open();
  const holes: any[] = [];
  holes[4e9] = 1;
  for (const method of ['mGet', 'mHas', 'mDelete'] as const)
    await failsWith(t, cache[method](holes), 'ERR_CC_INVALID_KEY');
  for (const method of ['mSet', 'load'] as const) await failsWith(t, cache[method](holes), 'ERR_CC_INVALID_ARGUMENT');
});

each('an iterable that never ends is refused when it has more elements than a call may have', async (t, { open }) => {
  const cache = await open();
  function* endless<T>(element: T): Generator<T> {
    for (;;) yield element;
  }
  for (const method of ['mGet', 'mHas', 'mDelete'] as const) {
    const error = await failsWith(t, cache[method](endless('key')), 'ERR_CC_LIMIT');
    t.regex(error.message, /`keys` has more than 4,194,304 elements/, method);
  }
  await failsWith(t, cache.mSet(endless(['key', 1] as const)), 'ERR_CC_LIMIT');
  t.is(await cache.size(), 0, 'nothing was sent');
});

each('mSet and mDelete tell of each key where they are asked to', async (t, { open }) => {
  const cache = await open({ maxEntrySize: 1_000 });
  const stored = await cache.mSet(
    [
      ['a', 1],
      ['large', 'x'.repeat(2_000)],
      [3, 'three'],
    ],
    { each: true },
  );
  t.deepEqual(
    [...stored],
    [
      ['a', true],
      ['large', false],
      [3, true],
    ],
  );
  const deleted = await cache.mDelete([3, 'none', 'a', 'a'], { each: true });
  t.deepEqual(
    [...deleted],
    [
      [3, true],
      ['none', false],
      ['a', true],
    ],
  );
  t.deepEqual(await cache.mDelete([], { each: true }), new Map());
  t.is(await cache.mSet([['a', 1]], { each: false }), 1);
  const keys = Array.from({ length: 40_000 }, (_, index) => index);
  const many = await cache.mSet(
    keys.map((key) => [key, key] as const),
    { each: true },
  );
  t.is([...many.values()].filter(Boolean).length, keys.length, 'in several requests');
  t.deepEqual([...(await cache.mDelete(keys, { each: true })).keys()], keys);
});
