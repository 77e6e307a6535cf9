import assert from 'node:assert/strict';
import test from 'ava';
import { failsWith } from './helpers/errors.ts';
import { rolesOf } from './helpers/roles.ts';
import { REDUCED, REFUSED, SAMPLES } from './helpers/values.ts';

const each = rolesOf(test);

const same = (actual: unknown, expected: unknown, what: string) => {
  try {
    assert.deepStrictEqual(actual, expected);
  } catch (error) {
    throw new Error(`${what}: ${(error as Error).message}`, { cause: error });
  }
};

each('values that structured clone accepts are returned deep-strict-equal', async (t, { open }) => {
  const cache = await open();
  for (const { name, make } of SAMPLES) {
    const value = make();
    t.is(await cache.set('key', value), true, name);
    const found = await cache.get('key');
    same(found, value, name);
    same(value, make(), `${name}: the value itself is untouched`);
    if (Object.is(value, -0)) t.true(Object.is(found, -0));
  }
});

each('every way of reading gives the same value', async (t, { open }) => {
  const cache = await open();
  t.is(await cache.mSet(SAMPLES.map(({ name, make }): [string, unknown] => [name, make()])), SAMPLES.length);
  const found = await cache.mGet(SAMPLES.map(({ name }) => name));
  const entries = new Map(await cache.entries());
  for (const { name, make } of SAMPLES) {
    const value = make();
    same(found.get(name), value, `mGet: ${name}`);
    same(await cache.peek(name), value, `peek: ${name}`);
    same(entries.get(name), value, `entries: ${name}`);
    same(await cache.fetch(name, () => t.fail(name)), value, `fetch: ${name}`);
    same(await cache.getAndSet(name, value), value, `getAndSet: ${name}`);
    same(await cache.getAndDelete(name), value, `getAndDelete: ${name}`);
  }
});

each('an invalid Date is returned as an invalid Date', async (t, { open }) => {
  const cache = await open();
  // A test of its own: Node 20's deepStrictEqual considers no two invalid Dates equal.
  await cache.set('key', { when: new Date(NaN) });
  const { when } = (await cache.get('key')) as { when: Date };
  t.true(when instanceof Date && Number.isNaN(when.getTime()));
});

each('every read returns a copy of its own', async (t, { open }) => {
  const cache = await open();
  for (const { name, make } of SAMPLES) {
    const value = make();
    if (typeof value !== 'object' || value === null) continue;
    await cache.set('key', value);
    const [first, second] = [await cache.get('key'), await cache.get('key')];
    t.not(first, value, name);
    t.not(first, second, name);
  }
});

each('changing a value after set or get does not change the cache', async (t, { open }) => {
  const cache = await open();
  const object = { list: [1, 2], bytes: Buffer.from('abc') };
  await cache.set('object', object);
  object.list.push(3);
  object.bytes[0] = 0;
  const found = (await cache.get('object')) as typeof object;
  t.deepEqual(found, { list: [1, 2], bytes: Buffer.from('abc') });
  found.list.length = 0;
  found.bytes.fill(0);
  t.deepEqual(await cache.get('object'), { list: [1, 2], bytes: Buffer.from('abc') });

  const bytes = Buffer.from('bytes');
  const stored = cache.set('bytes', bytes);
  bytes.fill(0);
  await stored;
  t.is(String(await cache.get('bytes')), 'bytes', 'it was copied before set returned');
});

each('Buffers come back as Buffers and Uint8Arrays as Uint8Arrays', async (t, { open }) => {
  const cache = await open();
  await cache.set('both', { buffer: Buffer.from('a'), bytes: Uint8Array.of(1) });
  const both = (await cache.get('both')) as { buffer: Buffer; bytes: Uint8Array };
  t.true(Buffer.isBuffer(both.buffer));
  t.false(Buffer.isBuffer(both.bytes));
  await cache.set('bytes', Uint8Array.of(1));
  t.false(Buffer.isBuffer(await cache.get('bytes')));
});

each('an own __proto__ key remains data', async (t, { open }) => {
  const cache = await open();
  await cache.set('key', JSON.parse('{"__proto__":{"admin":true}}'));
  const found = (await cache.get('key')) as any;
  t.is(found.admin, undefined);
  t.is(Object.getPrototypeOf(found), Object.prototype);
  t.true(Object.hasOwn(found, '__proto__'));
});

each('shared references and cycles are preserved', async (t, { open }) => {
  const cache = await open();
  const part = {};
  await cache.set('shared', { a: part, b: part });
  const shared = (await cache.get('shared')) as any;
  t.is(shared.a, shared.b);
  const cycle: any = {};
  cycle.self = cycle;
  await cache.set('cycle', cycle);
  const found = (await cache.get('cycle')) as any;
  t.is(found.self, found);
});

each('values that structured clone reduces are returned as structured clone gives them', async (t, { open }) => {
  const cache = await open();
  for (const { name, make } of REDUCED) {
    t.is(await cache.set('key', make()), true, name);
    const [found, expected] = [await cache.get('key'), structuredClone(make())];
    // A stack names the line that created the error, so the two differ.
    if (expected instanceof Error)
      t.deepEqual([(found as Error).name, (found as Error).message], [expected.name, expected.message]);
    else same(found, expected, name);
  }
});

each('errors keep name, message, stack and cause', async (t, { open }) => {
  const cache = await open();
  const error = new TypeError('outer', { cause: new RangeError('inner') });
  await cache.set('error', error);
  const found = (await cache.get('error')) as TypeError;
  t.true(found instanceof TypeError);
  t.is(found.stack, error.stack);
  t.true(found.cause instanceof RangeError);
  t.is((found.cause as Error).message, 'inner');
});

each('functions, symbols and detached buffers are refused, and the old value stays', async (t, { open }) => {
  const cache = await open();
  for (const { name, make } of REFUSED) {
    const wrappings = [
      (value: unknown) => value,
      (value: unknown) => ({ value }),
      (value: unknown) => [1, value],
      (value: unknown) => new Map([[1, value]]),
    ];
    for (const wrapping of wrappings) {
      await cache.set('key', 'old');
      const error = await failsWith(t, () => cache.set('key', wrapping(make())), 'ERR_CC_DATA_CLONE');
      t.true(error instanceof Error, name);
      await failsWith(t, () => cache.setIfAbsent('new', wrapping(make())), 'ERR_CC_DATA_CLONE');
      t.is(await cache.get('key'), 'old', name);
    }
  }
  t.is(await cache.size(), 1);
});

each("the error has structured clone's own message", async (t, { open }) => {
  const cache = await open();
  const refused = { callback() {} };
  let words = '';
  try {
    structuredClone(refused);
  } catch (error) {
    words = (error as Error).message;
  }
  const error = await failsWith(t, () => cache.set('key', refused), 'ERR_CC_DATA_CLONE');
  t.true(error.message.includes(words), `${error.message} / ${words}`);
});

each('a getter that throws is reported and nothing is stored', async (t, { open }) => {
  const cache = await open();
  const failure = new Error('getter');
  const trap = {
    a: 1,
    get b(): never {
      throw failure;
    },
  };
  for (const value of [trap, [trap], { inner: trap }, new Map([[1, trap]])]) {
    const error = await t.throwsAsync(async () => cache.set('key', value));
    t.true(error === failure || error?.cause === failure, String(error));
  }
  t.is(await cache.has('key'), false);
});

each('a getter is called once', async (t, { open }) => {
  const cache = await open();
  let asked = 0;
  await cache.set('key', {
    get count() {
      return (asked += 1);
    },
  });
  t.deepEqual(await cache.get('key'), { count: 1 });
  t.is(asked, 1);
});

each('a getter is asked once, also where objects with its keys have come often', async (t, { open }) => {
  const cache = await open();
  for (let id = 0; id < 200; id++) await cache.set('key', { id, rest: 'text' });
  for (const rest of ['text', new Date(0), 'x'.repeat(10_000), undefined, -0]) {
    let asked = 0;
    await cache.set('key', {
      get id() {
        return (asked += 1);
      },
      rest,
    });
    t.deepEqual(await cache.get('key'), { id: 1, rest }, String(rest).slice(0, 20));
    t.is(asked, 1);
  }
});

each('objects whose keys have come often are told from those that only look like them', async (t, { open }) => {
  const cache = await open();
  for (let id = 0; id < 200; id++) await cache.set('key', { id, name: 'text' });
  const hidden = Object.defineProperty({ id: 1, name: 'x' }, 'secret', { value: 2, enumerable: false });
  const others: [unknown, unknown][] = [
    [
      { id: 1, name: 'x' },
      { id: 1, name: 'x' },
    ],
    [{ id: 1 }, { id: 1 }],
    [
      { id: 1, name: 'x', more: true },
      { id: 1, name: 'x', more: true },
    ],
    [
      { name: 'x', id: 1 },
      { name: 'x', id: 1 },
    ],
    [hidden, { id: 1, name: 'x' }],
    [Object.assign(Object.create({ name: 'inherited' }), { id: 1 }), { id: 1 }],
    [
      ['id', 'name'],
      ['id', 'name'],
    ],
    [
      { id: { id: 1, name: 'x' }, name: null },
      { id: { id: 1, name: 'x' }, name: null },
    ],
    [
      { id: 1, name: new Map([[1, 2]]) },
      { id: 1, name: new Map([[1, 2]]) },
    ],
  ];
  for (const [value, expected] of others) {
    await cache.set('key', value);
    const found = (await cache.get('key')) as object;
    t.deepEqual(found, expected);
    if (!Array.isArray(found)) t.deepEqual(Object.keys(found), Object.keys(expected as object));
  }
  const cyclic: Record<string, unknown> = { id: 1, name: 'x' };
  cyclic.name = cyclic;
  await cache.set('key', cyclic);
  const found = (await cache.get('key')) as Record<string, unknown>;
  t.is(found.name, found);
});

each('null and undefined are refused as values', async (t, { open }) => {
  const cache = await open();
  await failsWith(t, () => cache.set('key', undefined), 'ERR_CC_INVALID_VALUE');
  await failsWith(t, () => cache.set('key', null), 'ERR_CC_INVALID_VALUE', /cacheNull/);
  await failsWith(t, () => cache.setIfAbsent('key', null), 'ERR_CC_INVALID_VALUE', /cacheNull/);
  await failsWith(t, () => cache.mSet([['key', null]]), 'ERR_CC_INVALID_VALUE', /cacheNull/);
  t.is(await cache.size(), 0);
});

each('cacheNull stores null, but never undefined', async (t, { open }) => {
  const cache = await open({ cacheNull: true });
  t.is(await cache.set('key', null), true);
  t.is(await cache.get('key'), null);
  t.is(await cache.has('key'), true);
  t.is((await cache.mGet(['key'])).get('key'), null);
  await failsWith(t, () => cache.set('key', undefined), 'ERR_CC_INVALID_VALUE');
  t.is(await cache.get('key'), null);
});

each('a value nested deeper than the stack is refused, not fatal', async (t, { open }) => {
  const cache = await open();
  let value: unknown = 1;
  for (let level = 0; level < 1_000_000; level += 1) value = [value];
  await t.throwsAsync(async () => cache.set('key', value));
  t.is(await cache.has('key'), false);
  t.is(await cache.set('key', 1), true);
});
