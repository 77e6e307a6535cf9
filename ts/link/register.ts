/**
 * Memory to which native code writes the parts of answers that need no JavaScript value: forms and numbers. Its layout
 * is exported by native code.
 */

import { Form, native, type NativeCache, type NativeLink } from '../native.js';
import type { Read } from '../operations/answers.js';
import type { Policy } from '../operations/operation.js';
import { Undecodable, readable } from '../values/undecodable.js';

const { ANSWER_NUMBERS, MAX_READ_MANY, REGISTER_BATCH, REGISTER_FORMS } = native;

/** The number of answers taken from native code at a time. */
const ANSWERS = 512;

/** Takes one answer: its number and form, its value if it has one, and where its numbers are. */
export type TakeAnswer = (id: number, form: Form, value: unknown, numbers: Float64Array, at: number) => void;

/** Where an immediate answer's numbers are. */
export const IMMEDIATE = 1;

/** The register of one link. */
export const makeRegister = (): Float64Array => new Float64Array(REGISTER_BATCH + 1 + ANSWERS * ANSWER_NUMBERS);

/** The form of the immediate answer that native code has just given. */
export const immediateForm = (register: Float64Array): Form => register[0] as Form;

/** Takes all answers that have arrived. */
export function drain(link: NativeLink, register: Float64Array, take: TakeAnswer): void {
  for (;;) {
    const values = link.drain();
    const count = register[REGISTER_BATCH] as number;
    const end = REGISTER_BATCH + 1 + count * ANSWER_NUMBERS;
    let used = 0;
    for (let at = REGISTER_BATCH + 1; at < end; at += ANSWER_NUMBERS) {
      const form = register[at + 1] as Form;
      const hasValue = form >= Form.Record || HAS_VALUE[form] || register[at] === 0;
      const value = hasValue ? values[used++] : undefined;
      take(register[at] as number, form, value, register, at + 2);
    }
    if (count < ANSWERS) return;
  }
}

/**
 * Adds the values of `keys` that `cache` can read from memory to `values`, in order, and returns the other keys.
 * `undefined` for an entry that cannot be decoded.
 */
export function readMany<K extends string | number>(
  cache: NativeCache,
  register: Float64Array,
  keys: K[],
  values: Map<K, unknown>,
  read: Read<unknown>,
  policy: Policy,
): K[] {
  const left: K[] = [];
  for (let from = 0; from < keys.length; from += MAX_READ_MANY) {
    const some = keys.length <= MAX_READ_MANY ? keys : keys.slice(from, from + MAX_READ_MANY);
    const found = cache.readMany(gather, ...some);
    for (let index = 0; index < some.length; index++) {
      const key = some[index] as K;
      const form = register[REGISTER_FORMS + index] as Form;
      if (form === Form.Pending) left.push(key);
      const value =
        form === Form.Pending
          ? undefined
          : readable(read, form, found[index], register, REGISTER_FORMS + index, policy);
      if (value instanceof Undecodable) policy.leftOut?.(key, value.error, policy.operation ?? 'mGet');
      values.set(key, value instanceof Undecodable ? undefined : value);
    }
  }
  return left;
}

const gather = (...values: unknown[]) => values;

/** Forms whose answers have a value in addition to their numbers, by number; records have one too. */
const HAS_VALUE: boolean[] = [];
for (const form of [Form.Plain, Form.Json, Form.V8, Form.Error, Form.List, Form.Failed]) HAS_VALUE[form] = true;
