/** Values that structured clone accepts, created again for every use. */
export interface Sample {
  name: string;
  make(): unknown;
}

const cyclic = (): unknown => {
  const value: Record<string, unknown> = { name: 'self' };
  value.self = value;
  value.list = [value];
  return value;
};

const shared = (): unknown => {
  const part = { part: true };
  return { first: part, second: part };
};

const sparse = (): unknown => {
  const value: unknown[] = [1];
  value[2] = 3;
  value[10] = 'last';
  return value;
};

const nested = (depth: number): unknown => {
  let value: unknown = 'bottom';
  for (let level = 0; level < depth; level += 1) value = level % 2 ? [value] : { value };
  return value;
};

const sample = (name: string, make: () => unknown): Sample => ({ name, make });

/** Values that are returned deep-strict-equal. */
export const SAMPLES: readonly Sample[] = [
  sample('empty string', () => ''),
  sample('ASCII string', () => 'plain text'),
  sample('Latin-1 string', () => 'déjà vu ÿ'),
  sample('two-byte string', () => '漢字 и кириллица'),
  sample('emoji', () => '👩‍👩‍👧‍👦 ok'),
  sample('lone high surrogate', () => 'a\ud800b'),
  sample('lone low surrogate', () => '\udc00'),
  sample('surrogates in the wrong order', () => '\udc00\ud800'),
  sample('string with NUL', () => 'a\0b\0'),
  sample('string of JSON text', () => '{"a":1}'),
  sample('long one-byte string', () => 'é'.repeat(300_000)),
  sample('long two-byte string', () => '語'.repeat(300_000)),
  sample('zero', () => 0),
  sample('negative zero', () => -0),
  sample('integer', () => 42),
  sample('fraction', () => 0.1),
  sample('largest safe integer', () => Number.MAX_SAFE_INTEGER),
  sample('smallest number', () => Number.MIN_VALUE),
  sample('NaN', () => NaN),
  sample('Infinity', () => -Infinity),
  sample('true', () => true),
  sample('false', () => false),
  sample('bigint zero', () => 0n),
  sample('small bigint', () => -1n),
  sample('64-bit bigint', () => 2n ** 64n - 1n),
  sample('large negative bigint', () => -(2n ** 200n) + 12345n),
  sample('empty object', () => ({})),
  sample('plain object', () => ({ a: 1, b: 'two', c: [3, null, true], d: { e: -1.5 } })),
  sample('object with undefined', () => ({ a: undefined, b: 1 })),
  sample('object with NaN and -0', () => ({ nan: NaN, zero: -0, infinite: Infinity })),
  sample('object with lone surrogates', () => ({ '\ud800': '\udfff' })),
  sample('object with a __proto__ of its own', () => JSON.parse('{"__proto__":{"polluted":true},"a":1}')),
  sample('object with constructor and toString keys', () => ({ constructor: 1, toString: 'x', hasOwnProperty: null })),
  sample('object with integer keys', () => ({ 2: 'b', 1: 'a', z: 0, '-1': 'n' })),
  sample('object with an empty key', () => ({ '': 1 })),
  sample('object with bigint', () => ({ big: 10n })),
  sample('empty array', () => []),
  sample('array', () => [1, 'two', null, [3]]),
  sample('array with undefined', () => [undefined, 1, undefined]),
  sample('array with -0', () => [-0, 0]),
  sample('sparse array', sparse),
  sample('array with holes only', () => Array(5)),
  sample('array with a named property', () => Object.assign([1, 2], { extra: 'kept' })),
  sample('nested 100 deep', () => nested(100)),
  sample('cycle', cyclic),
  sample('shared part', shared),
  sample('Date', () => new Date(1_700_000_000_123)),
  sample('object with Date', () => ({ when: new Date(0) })),
  sample('RegExp', () => /a(b)+\/"c/giu),
  sample(
    'Map',
    () =>
      new Map<unknown, unknown>([
        ['a', 1],
        [{ key: 1 }, new Map()],
        [NaN, undefined],
      ]),
  ),
  sample('Set', () => new Set<unknown>([1, 'a', { o: 1 }, [2]])),
  sample('Map in a cycle', () => {
    const map = new Map<string, unknown>();
    return map.set('self', map);
  }),
  sample('Error', () => new Error('message')),
  sample('TypeError', () => new TypeError('bad type')),
  sample('RangeError with cause', () => new RangeError('outer', { cause: new SyntaxError('inner') })),
  sample('Error with a cause that is data', () => new Error('outer', { cause: { why: ['because'] } })),
  sample('object with Error', () => ({ error: new Error('inside') })),
  sample('Number object', () => new Number(5)),
  sample('String object', () => new String('five')),
  sample('Boolean object', () => new Boolean(false)),
  sample('BigInt object', () => Object(7n)),
  sample('empty Buffer', () => Buffer.alloc(0)),
  sample('Buffer', () => Buffer.from([0, 1, 254, 255])),
  sample('Buffer from the pool', () => Buffer.from('pooled').subarray(2, 5)),
  sample('large Buffer', () => Buffer.alloc(1_000_000, 'abc')),
  sample('Buffer in an object', () => ({ bytes: Buffer.from('inside'), list: [Buffer.alloc(3, 1)] })),
  sample('Uint8Array', () => Uint8Array.of(1, 2, 3)),
  sample('Uint8Array in the middle of a buffer', () => new Uint8Array(Uint8Array.of(9, 8, 7, 6, 5).buffer, 1, 3)),
  sample('Uint8ClampedArray', () => Uint8ClampedArray.of(0, 255)),
  sample('Int8Array', () => Int8Array.of(-128, 127)),
  sample('Uint16Array', () => Uint16Array.of(1, 65_535)),
  sample('Int16Array', () => Int16Array.of(-32_768, 1)),
  sample('Uint32Array', () => Uint32Array.of(0, 2 ** 32 - 1)),
  sample('Int32Array', () => Int32Array.of(-(2 ** 31), 5)),
  sample('Float32Array', () => Float32Array.of(0.5, -0, NaN)),
  sample('Float64Array', () => Float64Array.of(Math.PI, -0, Infinity)),
  sample('Float64Array in the middle of a buffer', () => new Float64Array(Float64Array.of(1, 2, 3).buffer, 8, 1)),
  sample('BigInt64Array', () => BigInt64Array.of(-1n, 2n ** 62n)),
  sample('BigUint64Array', () => BigUint64Array.of(0n, 2n ** 64n - 1n)),
  sample('DataView', () => new DataView(Uint8Array.of(1, 2, 3, 4).buffer, 1, 2)),
  sample('ArrayBuffer', () => Uint8Array.of(5, 6, 7).buffer),
  sample('empty ArrayBuffer', () => new ArrayBuffer(0)),
  sample('everything at once', () => ({
    list: [new Date(1), /x/g, new Map([[1, new Set([2n])]]), undefined, null],
    error: new TypeError('t', { cause: new Error('c') }),
    bytes: [Buffer.from('b'), Uint16Array.of(1), new ArrayBuffer(2)],
  })),
];

class Point {
  readonly x = 1;
  get double(): number {
    return this.x * 2;
  }
  toJSON(): string {
    throw new Error('structured clone does not ask for JSON');
  }
}

/** Values that structured clone reduces. */
export const REDUCED: readonly Sample[] = [
  sample('instance of a class', () => new Point()),
  sample('instance of a class inside', () => ({ at: new Point() })),
  sample('object without a prototype', () => Object.assign(Object.create(null), { a: 1 })),
  sample('object with inherited properties', () => Object.assign(Object.create({ inherited: 1 }), { own: 2 })),
  sample('object with symbol keys', () => ({ [Symbol('hidden')]: 1, seen: 2 })),
  sample('object with hidden properties', () => Object.defineProperty({ seen: 1 }, 'hidden', { value: 2 })),
  sample('object with a getter', () => ({
    get answer() {
      return 42;
    },
  })),
  sample('frozen object', () => Object.freeze({ a: Object.freeze([1]) })),
  sample('RegExp in mid-search', () => Object.assign(/a/g, { lastIndex: 3 })),
  sample('subclass of Error', () => new (class Special extends Error {})('special')),
  sample('subclass of Array', () => new (class List extends Array<number> {})(1, 2, 3)),
  sample('subclass of Map', () => new (class Index extends Map<number, number> {})([[1, 2]])),
];

const detached = <T extends ArrayBuffer | ArrayBufferView>(value: T): T => {
  structuredClone(null, { transfer: [ArrayBuffer.isView(value) ? (value.buffer as ArrayBuffer) : value] });
  return value;
};

/** Values that are refused, alone and inside others. */
export const REFUSED: readonly Sample[] = [
  sample('function', () => () => {}),
  sample('class', () => Map),
  sample('symbol', () => Symbol('s')),
  sample('registered symbol', () => Symbol.for('s')),
  sample('Promise', () => Promise.resolve()),
  sample('WeakMap', () => new WeakMap()),
  sample('WeakRef', () => new WeakRef({})),
  sample('generator', () => (function* () {})()),
  sample('detached ArrayBuffer', () => detached(new ArrayBuffer(8))),
  sample('detached Uint8Array', () => detached(new Uint8Array(8))),
  sample('detached Float64Array', () => detached(new Float64Array(2))),
];
