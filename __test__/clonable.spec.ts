/** Values that V8's serializer takes but does not store in full, and values that cannot be read again. */

import test from 'ava';
import { Form } from '../ts/native.ts';
import { decode, encode } from '../ts/values/codec.ts';
import { readRecord } from '../ts/values/record.ts';
import { failsWith } from './helpers/errors.ts';
import { Random } from './helpers/random.ts';
import { rolesOf } from './helpers/roles.ts';

const each = rolesOf(test);

class Money {
  #cents = 5;
  currency = 'EUR';
  get cents(): number {
    return this.#cents;
  }
}

/** As compilers write private fields for old targets. */
class Weak {
  static readonly #state = new WeakMap<object, number>();
  constructor() {
    Weak.#state.set(this, 1);
  }
  get state(): number | undefined {
    return Weak.#state.get(this);
  }
}

const SYMBOL: unique symbol = Symbol('state');

class Marked {
  [SYMBOL] = 1;
  seen = 2;
}

class Colour {
  readonly hex = '#fff';
  static #count = 0;
  /** Not `#hex;` but a method: it holds nothing. */
  #format(): string {
    return `#${(Colour.#count += 1)}`;
  }
  toString(): string {
    return this.#format();
  }
}

const withField = (value: object) => Object.assign(value, { extra: 1 });

/** Objects whose content is not in their properties. */
const HIDDEN: [name: string, make: () => object][] = [
  ['Response', () => new Response('body')],
  ['Headers', () => new Headers({ a: '1' })],
  ['Request', () => new Request('http://localhost/')],
  ['URL', () => new URL('http://localhost/a')],
  ['URLSearchParams', () => new URLSearchParams('a=1')],
  ['FormData', () => new FormData()],
  ['Blob', () => new Blob(['abc'])],
  ['DOMException', () => new DOMException('too late', 'TimeoutError')],
  ['AbortSignal', () => new AbortController().signal],
  ['Event', () => new Event('click')],
  ['ReadableStream', () => new ReadableStream()],
  ['TextDecoder', () => new TextDecoder()],
  ['Module', () => new (globalThis as any).WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0))],
  ['NumberFormat', () => new Intl.NumberFormat()],
  ['WeakMap', () => new WeakMap()],
  ['Money', () => new Money()],
  ['Weak', () => new Weak()],
  ['Marked', () => new Marked()],
  ['Headers', () => withField(new Headers())],
  ['Link', () => withField(new (class Link extends URL {})('http://localhost/'))],
  ['Euro', () => new (class Euro extends Money {})()],
];

each(
  'objects whose content is not in their properties are refused, with path, class, key and namespace',
  async (t, { open }) => {
    const cache = await open();
    for (const [name, make] of HIDDEN) {
      const wrappings: [path: string, wrap: (value: object) => unknown][] = [
        ['$', (value) => value],
        ['$.user.avatar', (avatar) => ({ user: { avatar } })],
        ['$[1]["odd key"]', (value) => [0, { 'odd key': value }]],
        ['$.get("a")', (value) => new Map([['a', value]])],
        ['$ (a key)', (value) => new Map([[value, 'a']])],
        ['$.list (a member)', (value) => ({ list: new Set([value]) })],
        ['$.cause', (cause) => new Error('outer', { cause })],
        ['$.asked', (value) => Object.defineProperty({}, 'asked', { enumerable: true, get: () => value })],
      ];
      for (const [path, wrap] of wrappings) {
        const error = await failsWith(t, () => cache.set('user:17', wrap(make())), 'ERR_CC_DATA_CLONE');
        t.true(error.message.startsWith(`${path} is an instance of ${name},`), error.message);
        t.true(error.message.endsWith(`(key "user:17", namespace ${JSON.stringify(cache.namespace)})`), error.message);
      }
    }
    t.is(await cache.size(), 0);
  },
);

each('every method that stores a value names key and namespace', async (t, { open }) => {
  const cache = await open();
  const place = new RegExp(`\\(key "k", namespace ${JSON.stringify(cache.namespace)}\\)$`);
  const value = { at: new URL('http://localhost/') };
  for (const action of [
    () => cache.set('k', value),
    () => cache.setIfAbsent('k', value),
    () => cache.getAndSet('k', value),
    () => cache.mSet([['k', value]]),
    () => cache.fetch('k', () => value),
  ]) {
    const error = await failsWith(t, action, 'ERR_CC_DATA_CLONE', place);
    t.is(error.message.split('namespace').length, 2, error.message);
  }
});

each('a Promise is refused with a question about `await`', async (t, { open }) => {
  const cache = await open();
  await failsWith(t, () => cache.set('k', Promise.resolve(1)), 'ERR_CC_DATA_CLONE', /^\$ is a Promise.*`await`/);
  await failsWith(
    t,
    () => cache.set('k', { a: [Promise.resolve(1)] }),
    'ERR_CC_DATA_CLONE',
    /^\$\.a\[0\] is a Promise/,
  );
});

each('instances with ordinary properties come back as plain objects', async (t, { open }) => {
  const cache = await open();
  for (const value of [new Colour(), new (class extends Colour {})()]) {
    await cache.set('k', value);
    t.deepEqual(await cache.get('k'), { hex: '#fff' });
  }
});

each('accessors are asked once, however deep they are, and cycles stay', async (t, { open }) => {
  const cache = await open();
  let asked = 0;
  const shared = { when: new Date(1) };
  const value: Record<string, unknown> = {
    map: new Map([
      [
        shared,
        {
          get count() {
            return (asked += 1);
          },
        },
      ],
    ]),
    list: [shared, new Set([shared])],
    text: Object.defineProperty([], 'extra', { enumerable: true, get: () => 'x' }),
  };
  value.self = value;
  await cache.set('k', value);
  const found = (await cache.get('k')) as any;
  t.is(asked, 1);
  t.is(found.self, found);
  t.true(found.map.has(found.list[0]));
  t.true(found.list[1].has(found.list[0]));
  t.deepEqual(found.map.get(found.list[0]), { count: 1 });
  t.is(found.text.extra, 'x');
});

// --- depth -----------------------------------------------------------------------------------------------------------

const LEVELS: Record<string, (inner: unknown) => unknown> = {
  object: (inner) => ({ inner }),
  array: (inner) => [inner],
  sparse: (inner) => Object.assign([], { 5: inner, name: 1 }),
  map: (inner) => new Map([[1, inner]]),
  keys: (inner) => new Map([[inner, 1]]),
  set: (inner) => new Set([inner]),
  cause: (cause) => new Error('outer', { cause }),
  field: (inner) => Object.assign(new Error('outer'), { inner }),
  errors: (inner) => new AggregateError([inner]),
  accessor: (inner) => Object.defineProperty({}, 'inner', { enumerable: true, get: () => inner }),
};

const nested = (depth: number, wrap: (inner: unknown) => unknown) => {
  let value: unknown = { leaf: undefined };
  while (--depth > 0) value = wrap(value);
  return value;
};

each('what is stored can be read, and what is nested too deeply is refused', async (t, { open }) => {
  const cache = await open();
  for (const [name, wrap] of Object.entries(LEVELS)) {
    for (const depth of [400, 999, 1_001, 1_500, 2_000, 2_500, 5_000, 20_000]) {
      const value = nested(depth, wrap);
      const mayBeStored = depth < 1_000;
      if (mayBeStored && (name !== 'errors' || depth < 500)) {
        t.true(await cache.set('k', value), `${name} ${depth}`);
        t.not(await cache.get('k'), undefined);
      } else {
        await failsWith(t, () => cache.set('k', value), 'ERR_CC_DATA_CLONE', /nested more than 1000 levels deep/);
      }
    }
  }
});

test('where the stack is too small for a value, the error has the code too', (t) => {
  const value = nested(900, LEVELS.object!);
  const { form, payload } = encode(value);
  const codes = new Set<unknown>();
  let left = 0;
  // Goes down to the end of the stack, and tries on the way back, at some distance from the end.
  const descend = (): void => {
    try {
      descend();
    } catch {
      left = 1_500;
    }
    if (--left > 1_000 || left < 900 || left % 20 !== 0) return;
    for (const action of [() => encode(value), () => decode(form, payload)]) {
      try {
        action();
      } catch (error: any) {
        codes.add(error.code);
      }
    }
  };
  descend();
  t.deepEqual([...codes], ['ERR_CC_DATA_CLONE']);
});

// --- damaged bytes ---------------------------------------------------------------------------------------------------

test('damaged bytes of every encoding give ERR_CC_DATA_CLONE', (t) => {
  const refused = (action: () => unknown) => {
    const error = t.throws(action) as Error & { code?: string };
    t.is(error.code, 'ERR_CC_DATA_CLONE', String(error));
  };
  for (const text of ['', '{', '{"a":', 'undefined', '[1,]', '\0']) refused(() => decode(Form.Json, text));
  for (const bytes of [[], [1], [0xff], [0xff, 15], [1, 0xff, 15, 0x30], [0xff, 200, 0x30], [0xff, 15, 0x5c, 1]]) {
    refused(() => decode(Form.V8, Buffer.from(bytes)));
  }
  refused(() => readRecord(0, ['[', '\x69']));
  refused(() => readRecord(0, ['[["a"]]', '\x69']));
});

test('bytes of the serializer that were changed give a value or ERR_CC_DATA_CLONE', (t) => {
  const random = new Random(7);
  const value = {
    error: Object.assign(new AggregateError([new Error('a')], 'm'), { code: 'E' }),
    when: new Date(1),
    map: new Map([[1, Buffer.from('x')]]),
  };
  const { payload } = encode(value);
  for (let time = 0; time < 2_000; time += 1) {
    const bytes = Buffer.from(payload as Buffer);
    bytes[random.below(bytes.length)] = random.below(256);
    try {
      decode(Form.V8, bytes.subarray(0, time % 2 ? bytes.length : random.below(bytes.length)));
    } catch (error: any) {
      t.is(error.code, 'ERR_CC_DATA_CLONE', String(error));
    }
  }
});

// --- errors ----------------------------------------------------------------------------------------------------------

each('errors as values keep own properties, causes, and the errors of an AggregateError', async (t, { open }) => {
  const cache = await open();
  const shared = Object.assign(new TypeError('shared'), { code: 'E_SHARED', details: new Map([[1, { deep: true }]]) });
  const error = new AggregateError([shared, new RangeError('other'), 'text'], 'all', { cause: shared });
  Object.assign(error, { status: 502 });
  Object.defineProperty(error, '__proto__', { value: { own: true }, enumerable: true });
  await cache.set('k', { error, shared });
  const found = (await cache.get('k')) as { error: AggregateError & { status: number }; shared: typeof shared };
  t.true(found.error instanceof AggregateError);
  t.deepEqual([found.error.name, found.error.message, found.error.status], ['AggregateError', 'all', 502]);
  t.deepEqual(Object.keys(found.error), Object.keys(error));
  t.is(found.error.errors.length, 3);
  t.is(found.error.errors[0], found.shared);
  t.is(found.error.cause, found.shared);
  t.true(found.error.errors[1] instanceof RangeError);
  t.deepEqual([found.shared.code, found.shared.details], ['E_SHARED', shared.details]);
  t.is(found.error.stack, error.stack);
});

each('a property of an error that cannot be cloned is refused, with its path', async (t, { open }) => {
  const cache = await open();
  const value = { failed: Object.assign(new Error('no'), { retry() {} }) };
  await failsWith(t, () => cache.set('k', value), 'ERR_CC_DATA_CLONE', /^\$\.failed\.retry: /);
});
