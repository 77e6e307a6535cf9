/**
 * Tagged fields: the options at the end of a request, or of each entry in a batch. Native code exports the fields, with
 * their bits and the version that introduced them.
 */

import { native } from '../native.js';
import type { FrameWriter } from './frames.js';

/** A field of a structure. */
interface Field {
  bit: number;
  since: number;
}

const FIELDS = new Map<string, Field>(native.fields().map(({ name, bit, since }) => [name, { bit, since }]));

/**
 * How the value of a field is encoded. `'time'` is a time of day by the application's clock; a `'mark'` is its bit alone,
 * set for `true`.
 */
type Kind = 'integer' | 'micros' | 'time' | 'double' | 'flag' | 'mark';

/** One field and how to write its value. */
interface FieldWriter extends Field {
  option: string;
  kind: Kind;
}

/** Writes the fields of one structure, from options of the same names. */
export class Fields {
  readonly #fields: readonly FieldWriter[];

  /** `kinds`: the options of `structure`, in the order of their bits. */
  constructor(structure: string, kinds: Readonly<Record<string, Kind>>) {
    this.#fields = Object.entries(kinds).map(([option, kind]) => {
      const field = FIELDS.get(`${structure}.${snakeCase(option)}`);
      if (!field) throw new Error(`the addon has no field for option ${option} of ${structure}`);
      return { ...field, option, kind };
    });
  }

  /** Writes the fields at the end of a frame: no bytes at all when no option is set. */
  write(frame: FrameWriter, options: object | undefined): void {
    const bits = this.#bits(options as Record<string, unknown> | undefined);
    if (bits === 0) return;
    frame.integer(bits);
    this.#values(frame, options as Record<string, unknown>);
  }

  /** Writes the fields within a frame, with their length in front. */
  writeNested(frame: FrameWriter, options: object | undefined): void {
    const given = options as Record<string, unknown> | undefined;
    const bits = this.#bits(given);
    if (bits === 0) return frame.integer(0);
    frame.nested(() => {
      frame.integer(bits);
      this.#values(frame, given as Record<string, unknown>);
    });
  }

  #bits(options: Record<string, unknown> | undefined): number {
    let bits = 0;
    if (options === undefined) return bits;
    for (const field of this.#fields) if (isSet(field, options)) bits += 2 ** field.bit;
    return bits;
  }

  #values(frame: FrameWriter, options: Record<string, unknown>): void {
    for (const field of this.#fields) {
      if (!isSet(field, options)) continue;
      const { option, kind, since } = field;
      const value = options[option];
      frame.need(since);
      if (kind === 'micros') frame.integer(micros(value as number));
      else if (kind === 'integer') frame.integer(value as number);
      else if (kind === 'double') frame.double(value as number);
      else if (kind === 'time') frame.double(hostTime(value as number));
      else if (kind === 'flag') frame.flag(value as boolean);
    }
  }
}

const isSet = ({ option, kind }: FieldWriter, options: Record<string, unknown>) =>
  kind === 'mark' ? options[option] === true : options[option] !== undefined;

const { MAX_TTL } = native;

/** Converts milliseconds to microseconds. A positive time stays positive, because 0 means "none". */
export function micros(milliseconds: number): number {
  const whole = Math.round(Math.min(Math.max(milliseconds, 0), MAX_TTL) * 1e3);
  return milliseconds > 0 ? Math.max(whole, 1) : whole;
}

/**
 * A time of day by the application's own `Date`, as a time by the machine's clock. They differ where a test replaces
 * `Date`: an entry then has as much time left as the application thinks that it has.
 */
const hostTime = (time: number) => native.wallClock() + (time - Date.now());

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

export const KEEP = new Fields('keep', {
  ttl: 'micros',
  expiresAt: 'time',
  size: 'integer',
  ifPresent: 'mark',
});

export const COUNT_BY = new Fields('count by', {
  ttl: 'micros',
  min: 'double',
  max: 'double',
  size: 'integer',
  now: 'double',
  ifPresent: 'mark',
});

export const BATCH = new Fields('batch', { each: 'mark' });

export const RESTART = new Fields('touch', { ttl: 'micros', expiresAt: 'time' });

export const NAMESPACE_FIELDS = new Fields('options', {
  max: 'integer',
  maxSize: 'integer',
  maxEntrySize: 'integer',
  ttl: 'micros',
  allowStale: 'flag',
  updateAgeOnGet: 'flag',
  updateAgeOnHas: 'flag',
  noDeleteOnStaleGet: 'flag',
  ttlAutopurge: 'flag',
  cacheNull: 'flag',
});
