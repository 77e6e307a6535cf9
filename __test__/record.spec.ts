import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'ava';
import { isClusteredCacheError } from '../index.js';
import { type Body, textOf } from '../ts/values/body.ts';
import { decode, encode } from '../ts/values/codec.ts';
import { Form } from '../ts/native.ts';
import { readRecord } from '../ts/values/record.ts';
import { LONG } from './helpers/long.ts';
import { Random } from './helpers/random.ts';
import { rolesOf } from './helpers/roles.ts';
import { ROOT, node } from './helpers/scripts.ts';

const each = rolesOf(test);

/** Integers around the bounds of their encodings, and numbers of all magnitudes. */
const NUMBERS = [
  ...[0, 1, 127, 128, 16_383, 16_384, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 53 + 2, -1, -(2 ** 31)],
  ...[0.1, -0.5, 12.25, 1e21, 1e-7, 5e-324, 2.2250738585072014e-308, Number.MAX_VALUE, -Number.MAX_VALUE, Math.PI],
];
const ASCII = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).join('');
const STRINGS = [
  '',
  'a',
  '\0',
  '"',
  'text of more than thirteen characters',
  ASCII,
  ...[94, 95, 96, 127, 128, 300].map(ofLength),
];
const OTHER_STRINGS = [
  'Zo\u00eb',
  '\u6f22\u5b57',
  '\ud83d\ude00',
  '\ud800',
  '\udc00',
  'a\udc00',
  '\ufffd',
  '\u2028',
  '\ud83d',
];
/** Lists of keys; few, so that they come often. */
const KEYS = [
  [],
  ['id', 'name', 'tags', 'nested'],
  ['id', 'name'],
  ['name', 'id'],
  ['', ' ', '"', "'", '\\', '`${0}`', '\n', '\u2028', '*/', '</script>'],
  ['z', 'a', '10', '9', '-1', '01'],
  ['__proto__'],
  ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'],
  ['Zo\u00eb', '\ud800', '\ud83d\ude00'],
  Array.from({ length: 64 }, (_, index) => `key${index}`),
];

function ofLength(length: number): string {
  return 'x'.repeat(length);
}

/** A value that JSON keeps as it is. */
function plain(random: Random, depth: number): unknown {
  switch (random.below(depth > 0 ? 9 : 6)) {
    case 0:
      return random.pick(NUMBERS);
    case 1:
      return random.below(2 ** 31) * random.pick([1, 1, 0.001, 1e9]);
    case 2:
      return random.pick(STRINGS);
    case 3:
      return random.pick(random.below(8) ? STRINGS : OTHER_STRINGS);
    case 4:
      return random.pick([true, false, null]);
    case 5:
      return ofLength(random.below(120));
    case 6:
      return Array.from({ length: random.below(6) }, () => plain(random, depth - 1));
    default:
      return objectOf(random.pick(KEYS), () => plain(random, depth - 1));
  }
}

function objectOf(keys: readonly string[], member: () => unknown): object {
  const entries = keys.map((key): [string, unknown] => [key, member()]);
  return Object.fromEntries(entries); // defines: `__proto__` becomes a member
}

const someObject = (random: Random) =>
  random.below(4) ? objectOf(random.pick(KEYS), () => plain(random, 3)) : [plain(random, 3), plain(random, 2)];

/** Asserts that two values are equal in everything observable: values, types, prototypes, order of keys. */
function same(found: unknown, expected: unknown): void {
  assert.deepStrictEqual(found, expected);
  assert.equal(JSON.stringify(found), JSON.stringify(expected));
}

/** Encodes a value often enough that it becomes a record. */
function settled(make: () => unknown): ReturnType<typeof encode> {
  let encoded = encode(make());
  for (let time = 0; time < 20 && encoded.form < Form.Record; time += 1) encoded = encode(make());
  return encoded;
}

const isRecord = ({ form }: { form: Form }) => form >= Form.Record;

each('random plain values are returned as by JSON, by every way of reading', async (t, { open, peer, reach }) => {
  const cache = await open();
  const [other, there] = [await peer(), await reach(cache)];
  const random = new Random(20);
  let records = 0;
  for (let round = 0; round < (LONG ? 100 : 10); round += 1) {
    const entries = Array.from({ length: 100 }, (_, index): [string, unknown] => [`key:${index}`, someObject(random)]);
    records += entries.filter(([, value]) => isRecord(encode(value))).length;
    const expected = entries.map(([, value]) => JSON.parse(JSON.stringify(value)) as unknown);
    if (round % 2) await cache.mSet(entries);
    else await Promise.all(entries.map(([key, value]) => cache.set(key, value)));
    const keys = entries.map(([key]) => key);
    same(await Promise.all(keys.map((key) => cache.get(key))), expected);
    if (cache.transport !== 'socket')
      for (const [index, key] of keys.entries()) same(cache.peekSync(key), expected[index]);
    same([...(await cache.mGet(keys)).values()], expected);
    const dumped = new Map(await cache.dump());
    same(
      keys.map((key) => dumped.get(key)?.value),
      expected,
    );
    const read = await other.run(
      async ({ cache }, { there, keys }) => JSON.stringify([...(await cache(there).mGet(keys)).values()]),
      { there, keys },
    );
    t.is(read, JSON.stringify(expected));
  }
  t.true(records > 500, `${records} records`);
});

each('a fetched object is equal for the loader and for the waiters', async (t, { open, peer, reach }) => {
  const cache = await open();
  const [other, there] = [await peer(), await reach(cache)];
  for (let time = 0; time < 5; time += 1) {
    const value = () => ({ id: time, list: [{ a: 1 }, { a: 'Zo\u00eb' }], none: null });
    const key = `load ${time}`;
    const found = await Promise.all([cache.fetch(key, value), cache.fetch(key, value), cache.fetch(key, value)]);
    for (const one of found) same(one, value());
    const theirs = await other.run(({ cache }, { there, key }) => cache(there).fetch(key, () => 'not loaded'), {
      there,
      key,
    });
    same(theirs, value());
  }
  t.pass();
});

each('a near cache keeps records, frozen', async (t, { open }) => {
  const cache = await open({ near: true });
  const make = () => ({ id: 1, inner: { list: [{ a: 1 }] } });
  settled(make);
  await cache.set('key', make());
  await cache.get('key');
  const found = (await cache.get('key')) as ReturnType<typeof make>;
  same(found, make());
  // Over the socket no values are kept.
  if (cache.transport !== 'socket') t.is(await cache.get('key'), found);
  t.is(Object.isFrozen(found), cache.transport !== 'socket');
  t.is(Object.isFrozen(found.inner.list[0]), cache.transport !== 'socket');
});

test('a shape becomes a record at its third occurrence', (t) => {
  const forms = Array.from({ length: 5 }, (_, index) => isRecord(encode({ thirdTime: index })));
  t.deepEqual(forms, [false, false, true, true, true]);
});

test('lists of objects of one shape are records, whatever the length of the list', (t) => {
  const rows = (count: number) => Array.from({ length: count }, (_, row) => ({ row, name: `row ${row}`, in: [row] }));
  settled(() => rows(1));
  for (const count of [0, 1, 2, 3, 4, 100]) {
    const { form, payload } = encode(rows(count));
    t.true(form >= Form.Record);
    same(decode(form, payload), rows(count));
  }
});

test('objects that serve as maps get no shapes and take no places from others', (t) => {
  for (let index = 0; index < 20_000; index += 1) {
    const value = { [`id-${index}`]: index, [`${index * 7}`]: true };
    if (isRecord(encode(value))) return t.fail(`${index} is a record`);
    if (isRecord(encode({ byId: value }))) return t.fail(`${index} within another object is a record`);
  }
  t.true(isRecord(settled(() => ({ stillRoom: 1 }))));
});

test('values that are large, deep or have many keys are not records', (t) => {
  let deep: unknown = 1;
  for (let depth = 0; depth < 30; depth += 1) deep = { [`level${depth}`]: deep };
  const values: unknown[] = [
    { long: ofLength(5_000) },
    { long: [ofLength(2_000), ofLength(2_000), ofLength(2_000)] },
    Array.from({ length: 5_000 }, () => 0),
    objectOf(
      Array.from({ length: 65 }, (_, index) => `many${index}`),
      () => 0,
    ),
    objectOf([ofLength(2_000)], () => 0),
    deep,
  ];
  for (const value of values) {
    const encoded = settled(() => value);
    t.is(encoded.form, Form.Json);
    same(decode(encoded.form, encoded.payload), value);
  }
  let same100: unknown = 1;
  for (let depth = 0; depth < 100; depth += 1) same100 = { down: same100 };
  t.true(isRecord(settled(() => same100)), 'depth alone does not matter');
});

test('each read creates new, mutable objects of this realm', (t) => {
  const make = () => ({ a: { b: [1] }, c: [], d: {} });
  const { form, payload } = settled(make);
  t.true(form >= Form.Record);
  // From the hundredth read on with compiled code.
  for (let time = 0; time < 300; time += 1) {
    const value = decode(form, payload) as any;
    same(value, make());
    t.is(Object.getPrototypeOf(value.d), Object.prototype);
    t.is(Object.getPrototypeOf(value.c), Array.prototype);
    value.a.b.push(2);
    value.d.e = 1;
    delete value.a;
  }
});

test('damaged bytes give an error or another value, and nothing worse', (t) => {
  const random = new Random(21);
  let records = 0;
  while (records < (LONG ? 2_000 : 200)) {
    const value = someObject(random);
    const { form, payload } = encode(value);
    if (form < Form.Record) continue;
    records += 1;
    const text = textOf(payload as Body);
    const shape = form - Form.Record;
    const cut = text.slice(0, random.below(text.length));
    const error = t.throws(() => readRecord(shape, cut), undefined, `${text.length} characters cut to ${cut.length}`);
    t.true(isClusteredCacheError(error) && error.code === 'ERR_CC_DATA_CLONE');
    const at = random.below(text.length);
    const changed = text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
    for (const bytes of [changed, text + '\0', text.slice(1), '']) {
      try {
        readRecord(shape, bytes);
      } catch (error) {
        t.true(isClusteredCacheError(error));
      }
    }
    same(readRecord(shape, text), value);
  }
});

test('invalid descriptors are errors', (t) => {
  const nested = '\x68\x01\x00'.repeat(200_000);
  for (const descriptor of ['', 'null', '{}', '[', '[1]', '[[1]]', '[null]', '["a"]', `[${'[],'.repeat(16)}[]]`]) {
    const error = t.throws(() => readRecord(0, [descriptor, 'i']), undefined, descriptor);
    t.true(isClusteredCacheError(error));
  }
  for (const [descriptor, text] of [
    ['[]', 'i'],
    ['[["a"]]', 'i'],
    ['[[]]', 'j'],
    ['[]', nested],
  ]) {
    t.true(isClusteredCacheError(t.throws(() => readRecord(0, [descriptor, text]))));
  }
  same(readRecord(0, ['[["a","__proto__"]]', 'i\x01xa']), JSON.parse('{"a":"x","__proto__":null}'));
});

/** The package is one file, so its internals are tested from the sources. */
const FROM_SOURCE = '--import=tsx';

const WAYS = { compiled: [], interpreted: ['--disallow-code-generation-from-strings'] };

for (const [way, flags] of Object.entries(WAYS)) {
  test(`${way} reading gives the same values when Object.prototype is frozen or has setters`, async (t) => {
    const source = `
      const assert = require('node:assert');
      const { ClusteredCache } = require(${JSON.stringify(`${ROOT}ts/index.ts`)});
      const { encode } = require(${JSON.stringify(`${ROOT}ts/values/codec.ts`)});
      Object.defineProperty(Object.prototype, 'trap', { set() { throw new Error('assigned'); }, configurable: true });
      const keys = ['id', 'trap', 'toString', '__proto__', 'b', '1'];
      const make = () => ({ list: [Object.fromEntries(keys.map((key, index) => [key, index])), 'Zo\u00eb'] });
      const cache = new ClusteredCache();
      const check = () => {
        for (let time = 0; time < 300; time += 1) {
          cache.setSync('key', make());
          const found = cache.getSync('key');
          assert.deepStrictEqual(found, make());
          assert.deepStrictEqual(Object.keys(found.list[0]), ['1', ...keys.slice(0, -1)]);
        }
      };
      check();
      delete Object.prototype.trap;
      Object.freeze(Object.prototype);
      check();
      let compiles = true;
      try { new Function(''); } catch { compiles = false; }
      console.log(compiles, encode(make()).form > 14);
    `;
    const { code, stdout, stderr } = await node([...flags, FROM_SOURCE, '-e', source]);
    t.deepEqual([code, stdout, stderr], [0, `${way === 'compiled'} true\n`, '']);
  });
}

test('when the table of shapes is full, writers use JSON for new shapes, and all values can be read', async (t) => {
  const source = `
    const assert = require('node:assert');
    const { ClusteredCache } = require(${JSON.stringify(`${ROOT}ts/index.ts`)});
    const { encode } = require(${JSON.stringify(`${ROOT}ts/values/codec.ts`)});
    const { Form } = require(${JSON.stringify(`${ROOT}ts/native.ts`)});
    const { shapeTable } = require(${JSON.stringify(`${ROOT}ts/values/shapes.ts`)});
    const { isMainThread, Worker } = require('node:worker_threads');
    const cache = new ClusteredCache();
    const make = (index) => ({ ['shape' + index]: { index }, text: 'text' });
    const forms = (from, to) => {
      const forms = [];
      for (let index = from; index < to; index += 1) {
        let form;
        for (let time = 0; time < 10; time += 1) form = encode(make(index)).form;
        cache.setSync('key' + index, make(index));
        assert.deepStrictEqual(cache.getSync('key' + index), make(index));
        forms.push(form);
      }
      return forms;
    };
    if (isMainThread) {
      const all = forms(0, 1_200);
      const records = all.filter((form) => form >= Form.Record).length;
      // Shapes of another thread for which this one has no room are read by the slow path.
      const thread = new Worker(__filename);
      thread.on('exit', () => {
        const there = [5_000, 5_001].map((index) => cache.getSync('key' + index));
        assert.deepStrictEqual(there, [make(5_000), make(5_001)]);
        assert.strictEqual(shapeTable.numberOf('[["one more"]]'), 0);
        for (let index = 5_002; index < 5_004; index += 1) assert.deepStrictEqual(cache.getSync('key' + index), make(index));
        console.log(records, all.at(-1) === Form.Json);
      });
    } else {
      for (const form of forms(5_000, 5_004)) assert(form > Form.Record);
    }
  `;
  // In a file, because the thread runs it too.
  const folder = mkdtempSync(path.join(os.tmpdir(), 'cc-record-'));
  const file = path.join(folder, 'main.cjs');
  try {
    writeFileSync(file, source);
    const { code, stdout, stderr } = await node([FROM_SOURCE, file]);
    t.deepEqual([code, stdout, stderr], [0, '1024 true\n', '']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
