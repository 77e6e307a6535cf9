/**
 * A writer for request frames: each operation writes its fields here, and native code takes over whole batches. The
 * bytes are those of `docs/protocol.md`; numbers of variable length are written as in bincode.
 */

import { codedError } from '../errors.js';
import { Form, KeyTag, ValueTag, native } from '../native.js';
import { show } from '../options/checks.js';
import { isWellFormed, type Body } from '../values/body.js';
import type { Encoded } from '../values/plain.js';
import { shapeDescriptor } from '../values/shapes.js';

const { FRAME_LENGTH_BYTES, MAX_FRAME_BYTES, MAX_KEY_BYTES, REQUEST_HEAD_BYTES } = native;

/** The offsets of the parts of a head, from the beginning of a frame. */
const ID = FRAME_LENGTH_BYTES;
const HANDLE = ID + 8;
const OPERATION = HANDLE + 4;
const NEEDS = OPERATION + 2;
const HEAD = FRAME_LENGTH_BYTES + REQUEST_HEAD_BYTES;

/** The buffer's first size, and the largest it keeps when it is empty. */
const SMALL = 16 * 1024;
const KEPT = 256 * 1024;
/** Texts up to this many characters are copied here; longer ones are left to the engine, which is slower to start. */
const SHORT = 48;

// Bincode's numbers: one byte up to 250, otherwise a marker and as many bytes as it says.
const ONE_BYTE = 250;
const TWO_BYTES = 251;
const FOUR_BYTES = 252;
const EIGHT_BYTES = 253;

export class FrameWriter {
  #bytes = Buffer.allocUnsafeSlow(SMALL);
  /** The offset of the next byte. */
  #at = 0;
  /** The offset of the unfinished frame. */
  #start = 0;
  #needs = 0;

  /** The memory of the frames, of which the first {@link length} bytes count. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The number of bytes of finished frames. */
  get length(): number {
    return this.#start;
  }

  /** Begins the frame of a request. */
  begin(id: number, handle: number): void {
    const start = this.#start;
    this.#at = start;
    this.#reserve(HEAD);
    const bytes = this.#bytes;
    const high = Math.floor(id / 2 ** 32);
    put32(bytes, start + ID, id >>> 0);
    put32(bytes, start + ID + 4, high);
    put32(bytes, start + HANDLE, handle);
    this.#needs = 0;
    this.#at = start + HEAD;
  }

  /**
   * Finishes the frame.
   *
   * @throws `ERR_CC_LIMIT` when it is larger than a frame may be; it is then discarded.
   */
  end(operation: number, since: number): void {
    const start = this.#start;
    const length = this.#at - start - FRAME_LENGTH_BYTES;
    if (length > MAX_FRAME_BYTES) {
      this.abort();
      throw codedError(
        'ERR_CC_LIMIT',
        `a message of ${length} bytes is over the limit of ${MAX_FRAME_BYTES}; send less at once`,
      );
    }
    const bytes = this.#bytes;
    put32(bytes, start, length);
    put16(bytes, start + OPERATION, operation);
    put16(bytes, start + NEEDS, Math.max(this.#needs, since));
    this.#start = this.#at;
  }

  /** Discards the unfinished frame. */
  abort(): void {
    this.#at = this.#start;
  }

  /** Discards all frames. */
  clear(): void {
    this.#at = 0;
    this.#start = 0;
    if (this.#bytes.length > KEPT) this.#bytes = Buffer.allocUnsafeSlow(SMALL);
  }

  /** Records that the unfinished frame needs a host of at least this minor version. */
  need(since: number): void {
    if (since > this.#needs) this.#needs = since;
  }

  // --- numbers -----------------------------------------------------------------------------------------------------

  byte(byte: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = byte;
  }

  flag(flag: boolean): void {
    this.byte(flag ? 1 : 0);
  }

  /** A number of 64 bits. */
  double(number: number): void {
    this.#reserve(8);
    this.#at = this.#bytes.writeDoubleLE(number, this.#at);
  }

  /** A whole number from 0 to 2^53. */
  integer(number: number): void {
    this.#reserve(9);
    const bytes = this.#bytes;
    if (number <= ONE_BYTE) {
      bytes[this.#at++] = number;
    } else if (number < 2 ** 16) {
      bytes[this.#at++] = TWO_BYTES;
      put16(bytes, this.#at, number);
      this.#at += 2;
    } else if (number < 2 ** 32) {
      bytes[this.#at++] = FOUR_BYTES;
      put32(bytes, this.#at, number);
      this.#at += 4;
    } else {
      bytes[this.#at++] = EIGHT_BYTES;
      put32(bytes, this.#at, number >>> 0);
      put32(bytes, this.#at + 4, Math.floor(number / 2 ** 32));
      this.#at += 8;
    }
  }

  // --- bytes with their length in front ----------------------------------------------------------------------------

  /** Begins at most `most` bytes; returns the argument for `#endBytes`. */
  #beginBytes(most: number): number {
    this.#reserve(most + 5);
    const begin = this.#at;
    this.#at += prefixBytes(most);
    return begin;
  }

  #endBytes(begin: number, most: number): void {
    const bytes = this.#bytes;
    const prefix = prefixBytes(most);
    const length = this.#at - begin - prefix;
    if (prefix === 1) {
      bytes[begin] = length;
    } else if (prefix === 3) {
      bytes[begin] = TWO_BYTES;
      put16(bytes, begin + 1, length);
    } else {
      bytes[begin] = FOUR_BYTES;
      put32(bytes, begin + 1, length);
    }
  }

  /** The output of `write`, at most {@link ONE_BYTE} bytes. */
  nested(write: () => void): void {
    const begin = this.#beginBytes(ONE_BYTE);
    write();
    this.#endBytes(begin, ONE_BYTE);
  }

  /** Raw bytes. */
  blob(blob: Uint8Array): void {
    const begin = this.#beginBytes(blob.length);
    this.#raw(blob);
    this.#endBytes(begin, blob.length);
  }

  /**
   * A key.
   *
   * @throws `ERR_CC_INVALID_KEY` for a key that is neither a string nor a finite number, or is too long.
   */
  key(key: unknown): void {
    if (typeof key === 'string') {
      this.textKey(key);
    } else {
      checkKey(key);
      const begin = this.#beginBytes(9);
      this.byte(KeyTag.Number);
      // Adding zero turns -0 into 0: they are one key, as in a Map.
      this.double((key as number) + 0);
      this.#endBytes(begin, 9);
    }
  }

  /** A string key, or a prefix of string keys. */
  textKey(key: string): void {
    const most = 1 + key.length * 3;
    const begin = this.#beginBytes(most);
    this.#bytes[this.#at++] = KeyTag.Text;
    this.#text(key);
    this.#endBytes(begin, most);
    const length = this.#at - begin - prefixBytes(most);
    if (length > MAX_KEY_BYTES) {
      throw codedError(
        'ERR_CC_INVALID_KEY',
        `a key of ${length} bytes is over the limit of ${MAX_KEY_BYTES}; use a hash of it as the key`,
      );
    }
  }

  /** An encoded value. */
  value({ form, payload }: Encoded): void {
    if (form >= Form.Record) return this.#record(form - Form.Record, payload as Body);
    switch (form) {
      case Form.Json:
        return this.#textValue(payload as string, ValueTag.JsonAscii, ValueTag.Json);
      case Form.V8:
        return this.#bytesValue(payload as Uint8Array, ValueTag.V8);
      case Form.Bytes:
        return this.#bytesValue(payload as Uint8Array, ValueTag.Bytes);
      default:
        return this.#plain(payload);
    }
  }

  #plain(value: unknown): void {
    switch (typeof value) {
      case 'string':
        return this.#textValue(value, ValueTag.Ascii, ValueTag.Text);
      case 'number':
        return this.#number(value);
      case 'boolean':
        return this.#tag(value ? ValueTag.True : ValueTag.False);
      case 'bigint':
        return this.#bigint(value);
      default:
        return value === null ? this.#tag(ValueTag.Null) : this.#bytesValue(value as Uint8Array, ValueTag.Buffer);
    }
  }

  #tag(tag: number): void {
    this.#reserve(2);
    this.#bytes[this.#at++] = 1;
    this.#bytes[this.#at++] = tag;
  }

  #number(number: number): void {
    this.#reserve(10);
    this.#bytes[this.#at++] = 9;
    this.#bytes[this.#at++] = ValueTag.Number;
    this.#at = this.#bytes.writeDoubleLE(number, this.#at);
  }

  /** A sign, then words of 64 bits, the least significant first. */
  #bigint(value: bigint): void {
    const words: bigint[] = [];
    for (let rest = value < 0n ? -value : value; rest > 0n; rest >>= 64n) words.push(BigInt.asUintN(64, rest));
    const most = 2 + words.length * 8;
    const begin = this.#beginBytes(most);
    this.#bytes[this.#at++] = ValueTag.Bigint;
    this.#bytes[this.#at++] = value < 0n ? 1 : 0;
    for (const word of words) this.#at = this.#bytes.writeBigUInt64LE(word, this.#at);
    this.#endBytes(begin, most);
  }

  #textValue(text: string, ascii: number, other: number): void {
    // The length is measured only where it matters: a unit takes up to three bytes, but in most texts only one.
    const most = 1 + (text.length > SHORT ? Buffer.byteLength(text) : text.length * 3);
    const begin = this.#beginBytes(most);
    const tag = this.#at++;
    this.#bytes[tag] = this.#text(text) ? ascii : other;
    this.#endBytes(begin, most);
  }

  #bytesValue(value: Uint8Array, tag: number): void {
    const most = 1 + value.length;
    const begin = this.#beginBytes(most);
    this.#bytes[this.#at++] = tag;
    this.#raw(value);
    this.#endBytes(begin, most);
  }

  /** The descriptor of the shape, with its length, and the body. */
  #record(shape: number, body: Body): void {
    const descriptor = shapeDescriptor(shape);
    const most = 3 + descriptor.length + body.length;
    const begin = this.#beginBytes(most);
    this.#bytes[this.#at++] = body.isAscii ? ValueTag.RecordAscii : ValueTag.Record;
    put16(this.#bytes, this.#at, descriptor.length);
    this.#at += 2;
    this.#raw(descriptor);
    this.#at += body.bytes.copy(this.#bytes, this.#at, 0, body.length);
    this.#endBytes(begin, most);
  }

  /** Text with its length in front, as UTF-8. */
  string(text: string): void {
    const most = text.length * 3;
    const begin = this.#beginBytes(most);
    this.#text(text);
    this.#endBytes(begin, most);
  }

  // --- texts and memory --------------------------------------------------------------------------------------------

  /** Writes a text as WTF-8, for which there must be room, and returns whether it is ASCII. */
  #text(text: string): boolean {
    const { length } = text;
    if (length > SHORT) return this.#longText(text);
    const bytes = this.#bytes;
    const at = this.#at;
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 127) return this.#longText(text);
      bytes[at + index] = unit;
    }
    this.#at = at + length;
    return true;
  }

  #longText(text: string): boolean {
    const written = this.#bytes.write(text, this.#at);
    // In UTF-8 only ASCII takes as many bytes as units.
    if (written === text.length) {
      this.#at += written;
      return true;
    }
    // Lone surrogates have no UTF-8 encoding; they are written by the same scheme.
    if (isWellFormed(text)) this.#at += written;
    else for (const character of text) this.#character(character.codePointAt(0) as number);
    return false;
  }

  #character(code: number): void {
    const bytes = this.#bytes;
    if (code < 0x80) {
      bytes[this.#at++] = code;
    } else if (code < 0x800) {
      bytes[this.#at++] = 0xc0 | (code >> 6);
      bytes[this.#at++] = 0x80 | (code & 0x3f);
    } else if (code < 0x10000) {
      bytes[this.#at++] = 0xe0 | (code >> 12);
      bytes[this.#at++] = 0x80 | ((code >> 6) & 0x3f);
      bytes[this.#at++] = 0x80 | (code & 0x3f);
    } else {
      bytes[this.#at++] = 0xf0 | (code >> 18);
      bytes[this.#at++] = 0x80 | ((code >> 12) & 0x3f);
      bytes[this.#at++] = 0x80 | ((code >> 6) & 0x3f);
      bytes[this.#at++] = 0x80 | (code & 0x3f);
    }
  }

  #raw(raw: Uint8Array): void {
    this.#bytes.set(raw, this.#at);
    this.#at += raw.length;
  }

  /** Makes room for this many more bytes. */
  #reserve(more: number): void {
    const needed = this.#at + more;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

/** @throws `ERR_CC_INVALID_KEY` for a key that is neither a string nor a finite number. */
export function checkKey(key: unknown): void {
  if (typeof key === 'string' || (typeof key === 'number' && Number.isFinite(key))) return;
  throw codedError('ERR_CC_INVALID_KEY', `a key must be a string or a finite number, not ${show(key)}`);
}

/** The number of bytes that encode a length of up to `most`. */
const prefixBytes = (most: number) => (most <= ONE_BYTE ? 1 : most < 2 ** 16 ? 3 : 5);

function put16(bytes: Uint8Array, at: number, number: number): void {
  bytes[at] = number;
  bytes[at + 1] = number >>> 8;
}

function put32(bytes: Uint8Array, at: number, number: number): void {
  bytes[at] = number;
  bytes[at + 1] = number >>> 8;
  bytes[at + 2] = number >>> 16;
  bytes[at + 3] = number >>> 24;
}
