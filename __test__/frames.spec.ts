// The JavaScript layer writes the bytes of docs/protocol.md.
import { readFileSync } from 'node:fs';
import test from 'ava';
import { Outbox } from '../ts/link/outbox.ts';
import { native, type NativeLink } from '../ts/native.ts';
import { MANY_SET } from '../ts/operations/batches.ts';
import { COUNT } from '../ts/operations/counters.ts';
import { GET, SET, TOUCH } from '../ts/operations/entries.ts';
import { ACCESS_REPORT } from '../ts/operations/namespace.ts';
import type { Operation } from '../ts/operations/operation.ts';
import { encode } from '../ts/values/codec.ts';
import { KEEP } from '../ts/wire/fields.ts';
import { FrameWriter } from '../ts/wire/frames.ts';
import { ROOT } from './helpers/scripts.ts';

const HEAD = native.FRAME_LENGTH_BYTES + native.REQUEST_HEAD_BYTES;

/** The frame of one request. */
function frame<A extends readonly unknown[]>(
  id: number,
  handle: number,
  operation: Operation<unknown, A>,
  ...args: Partial<A>
) {
  const submit = (bytes: Uint8Array, length: number) => Buffer.from(bytes.subarray(0, length));
  const outbox = new Outbox({ defineExchange: () => {}, submit } as unknown as NativeLink);
  outbox.write(id, handle, operation, ...args);
  return outbox.submit() as Buffer;
}

/** The payload that `write` writes. */
function payload(write: (frames: FrameWriter) => void): Buffer {
  const frames = new FrameWriter();
  frames.begin(1, 1);
  write(frames);
  frames.end(1, 0);
  return Buffer.from(frames.bytes.subarray(HEAD, frames.length));
}

/** Bytes with their length in front, and the rest after them. */
function bytesOf(encoded: Buffer): { bytes: Buffer; rest: Buffer } {
  const [length, from] = integerOf(encoded);
  return { bytes: encoded.subarray(from, from + length), rest: encoded.subarray(from + length) };
}

function integerOf(encoded: Buffer): [number, number] {
  const first = encoded[0]!;
  if (first <= 250) return [first, 1];
  if (first === 251) return [encoded.readUInt16LE(1), 3];
  if (first === 252) return [encoded.readUInt32LE(1), 5];
  return [Number(encoded.readBigUInt64LE(1)), 9];
}

const hex = (bytes: Buffer) => bytes.toString('hex').replaceAll(/..(?=.)/g, '$& ');

test('frames are written as in the examples of the protocol page', (t) => {
  const page = readFileSync(`${ROOT}docs/protocol.md`, 'utf8');
  const examples = [
    frame(2, 1, SET, 'k', 'v'),
    frame(2, 1, SET, 'k', 'v', { ttl: 60_000 }),
    frame(300, 1, GET, 'k'),
    frame(0, 1, ACCESS_REPORT, 3, Uint32Array.from([7, 0x0a0b0c0d])),
  ];
  for (const example of examples) t.true(page.includes(`\`${hex(example)}\``), hex(example));
});

test('a head contains the request, the handle, the operation and the minor version that the host needs', (t) => {
  const id = 2 ** 51 + 12_345;
  const bytes = frame(id, 70_000, TOUCH, 'k');
  t.is(bytes.readUInt32LE(0), bytes.length - native.FRAME_LENGTH_BYTES);
  t.is(Number(bytes.readBigUInt64LE(4)), id);
  t.is(bytes.readUInt32LE(12), 70_000);
  t.is(bytes.readUInt16LE(16), native.OperationNumber.Touch);
  t.is(bytes.readUInt16LE(18), 0);
});

test('numbers take as many bytes as they need', (t) => {
  for (const number of [0, 250, 251, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    const written = payload((frames) => frames.integer(number));
    t.deepEqual(integerOf(written), [number, written.length], String(number));
  }
});

test('texts of any length and any characters survive a round trip', (t) => {
  const pieces = ['a', 'é', '€', '😀', '\ud800', '\udc00x', 'a\u0000b'];
  const lengths = [0, 1, 16, 47, 48, 49, 82, 83, 84, 250, 251, 5_000, 70_000];
  for (const piece of pieces) {
    for (const length of lengths) {
      const text = piece.repeat(length);
      const { bytes, rest } = bytesOf(payload((frames) => frames.value(encode(text))));
      t.is(rest.length, 0);
      const isAscii = Buffer.byteLength(text) === text.length;
      t.is(bytes[0], isAscii ? native.ValueTag.Ascii : native.ValueTag.Text);
      t.is(wtf8(bytes.subarray(1)), text, `${JSON.stringify(piece)} x ${length}`);
    }
  }
});

/** Encodes WTF-8 by its definition: UTF-8 that also encodes lone surrogates. */
function wtf8(bytes: Buffer): string {
  const units: string[] = [];
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at]!;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    let code = length === 1 ? first : first & (0x7f >> length);
    for (let index = 1; index < length; index++) code = (code << 6) | (bytes[at + index]! & 0x3f);
    units.push(String.fromCodePoint(code));
    at += length;
  }
  return units.join('');
}

test('an invalid key leaves no frame behind', (t) => {
  const frames = new FrameWriter();
  frames.begin(1, 1);
  frames.key('whole');
  frames.end(GET.number, 0);
  const { length } = frames;
  for (const key of [NaN, Infinity, undefined, null, {}, Symbol('s'), 1n, 'k'.repeat(native.MAX_KEY_BYTES)]) {
    frames.begin(2, 1);
    const error = t.throws(() => frames.key(key), { any: true } as never) as { code?: string };
    t.is(error.code, 'ERR_CC_INVALID_KEY');
    frames.abort();
    t.is(frames.length, length);
  }
});

test('a frame over the limit is refused and does not affect earlier frames', (t) => {
  const frames = new FrameWriter();
  frames.begin(1, 1);
  frames.end(1, 0);
  const { length } = frames;
  frames.begin(2, 1);
  frames.blob(Buffer.alloc(native.MAX_FRAME_BYTES));
  const error = t.throws(() => frames.end(1, 0), { any: true } as never) as { code?: string };
  t.is(error.code, 'ERR_CC_LIMIT');
  t.is(frames.length, length);
});

test('omitted options take no bytes', (t) => {
  t.is(payload((frames) => KEEP.write(frames, {})).length, 0);
  t.is(payload((frames) => KEEP.write(frames, { ttl: undefined, size: undefined })).length, 0);
  t.deepEqual([...payload((frames) => KEEP.writeNested(frames, undefined))], [0]);
  t.deepEqual([...payload((frames) => KEEP.write(frames, { ttl: 0 }))], [1, 0], '0 is not the same as left out');
  t.deepEqual([...payload((frames) => KEEP.writeNested(frames, { size: 9 }))], [2, 4, 9]);
});

test('a buffer that has grown is released', (t) => {
  const frames = new FrameWriter();
  frames.begin(1, 1);
  frames.value(encode(Buffer.alloc(1024 * 1024)));
  frames.end(1, 0);
  t.true(frames.bytes.length > 1024 * 1024);
  frames.clear();
  t.true(frames.bytes.length < 1024 * 1024);
});

test('options are written with each entry of a batch, and at the end of a counter request', (t) => {
  const entries = [{ key: 'a', encoded: encode(1), keep: { ttl: 1 } }];
  const many = frame(1, 1, MANY_SET, entries).subarray(HEAD);
  t.deepEqual([...many.subarray(0, 4)], [1, 2, native.KeyTag.Text, 97]);
  t.deepEqual([...many.subarray(-5)], [4, 1, 251, 232, 3], 'a length, the bits, 1,000 microseconds');
  const count = frame(1, 1, COUNT, 'a', 2, { min: 0 }).subarray(HEAD);
  t.is(count.readDoubleLE(3), 2);
  t.is(count[11], 2, 'the bit of `min`');
});
