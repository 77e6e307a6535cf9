/** The bodies of records as they are written: bytes of the text that `record.ts` describes. */

/** Characters of a body, as its text has them. */
export const MAX_TEXT = 4_096;
/** Up to so many characters a string is copied here; longer ones are handed to the engine, which is slower to start. */
const SHORT_COPY = 48;

/** What a leaf begins with; see the table in `record.ts`. */
export const LEAF = {
  /** The longest string whose length is the leaf itself. */
  short: 95,
  long: 96,
  null: 97,
  true: 98,
  false: 99,
  digits1: 100,
  digits2: 101,
  digits4: 102,
  double: 103,
  array: 104,
  object: 105,
} as const;

const { short: SHORT, long: LONG, digits1: DIGITS_1, digits2: DIGITS_2, digits4: DIGITS_4 } = LEAF;
const { double: DOUBLE, array: ARRAY } = LEAF;

/** A double, and its bits. */
const double = new Float64Array(1);
const bits = new Uint32Array(double.buffer);

/** A body that was written. Its bytes are the writer's, until it begins the next one. */
export interface Body {
  readonly bytes: Buffer;
  readonly length: number;
  readonly isAscii: boolean;
}

/** Writes one body after the other into the same memory. */
export class BodyWriter implements Body {
  readonly bytes = Buffer.allocUnsafeSlow(MAX_TEXT * 3);
  length = 0;
  isAscii = true;
  /** Characters so far. */
  #characters = 0;

  begin(): void {
    this.length = 0;
    this.isAscii = true;
    this.#characters = 0;
  }

  /** Whether there is room for so many characters more; they count from now on. */
  #takes(characters: number): boolean {
    this.#characters += characters;
    return this.#characters <= MAX_TEXT;
  }

  // Each returns whether there was room.

  constant(leaf: number): boolean {
    if (!this.#takes(1)) return false;
    this.bytes[this.length++] = leaf;
    return true;
  }

  array(length: number): boolean {
    if (!this.#takes(3)) return false;
    this.bytes[this.length++] = ARRAY;
    this.#digits(length, 2);
    return true;
  }

  /** A finite number but -0. */
  number(number: number): boolean {
    if (number >>> 0 !== number || number >= 2 ** 28) return this.#double(number);
    if (number < 2 ** 7) return this.#integer(DIGITS_1, number, 1);
    return number < 2 ** 14 ? this.#integer(DIGITS_2, number, 2) : this.#integer(DIGITS_4, number, 4);
  }

  /** A string; `false` also for one with lone surrogates, which have no UTF-8. */
  string(string: string): boolean {
    const { length } = string;
    if (!this.#takes(length <= SHORT ? length + 1 : length + 3)) return false;
    if (length <= SHORT) {
      this.bytes[this.length++] = length;
    } else {
      this.bytes[this.length++] = LONG;
      this.#digits(length, 2);
    }
    return (length <= SHORT_COPY && this.#copyAscii(string)) || this.#write(string);
  }

  #integer(leaf: number, number: number, count: number): boolean {
    if (!this.#takes(1 + count)) return false;
    this.bytes[this.length++] = leaf;
    this.#digits(number, count);
    return true;
  }

  #double(number: number): boolean {
    if (!this.#takes(11)) return false;
    this.bytes[this.length++] = DOUBLE;
    double[0] = number;
    this.#digits(bits[0] as number, 5);
    this.#digits(bits[1] as number, 5);
    return true;
  }

  /** Digits of 7 bits, the lowest first. */
  #digits(number: number, count: number): void {
    for (let digit = 0; digit < count; digit++) {
      this.bytes[this.length++] = number & 127;
      number >>>= 7;
    }
  }

  #copyAscii(string: string): boolean {
    const { bytes, length: start } = this;
    for (let index = 0; index < string.length; index++) {
      const unit = string.charCodeAt(index);
      if (unit > 127) return false;
      bytes[start + index] = unit;
    }
    this.length = start + string.length;
    return true;
  }

  #write(string: string): boolean {
    const written = this.bytes.write(string, this.length);
    this.length += written;
    if (written === string.length) return true;
    this.isAscii = false;
    return isWellFormed(string);
  }
}

/** A body with memory of its own, for one that outlives the next. */
export function keepBody({ bytes, length, isAscii }: Body): Body {
  return { bytes: Buffer.from(bytes.subarray(0, length)), length, isAscii };
}

/** The text of a body. */
export const textOf = ({ bytes, length, isAscii }: Body) => bytes.toString(isAscii ? 'latin1' : 'utf8', 0, length);

/** Whether a payload is a body. */
export const isBody = (payload: unknown): payload is Body =>
  typeof payload === 'object' && payload !== null && 'isAscii' in payload;

/** Whether a text has no lone surrogates. */
export const isWellFormed = (text: string) => (text as unknown as { isWellFormed(): boolean }).isWellFormed();
