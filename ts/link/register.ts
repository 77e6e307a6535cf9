/**
 * Memory that native code writes answers to where they need no JavaScript value: forms and numbers. The layout is that of
 * `src/answer.rs` and `src/link.rs`.
 */

import { Form, MANY, type NativeCache, type NativeLink } from '../native.js';
import type { Read } from '../operations/answers.js';

/** Where the forms of many values are. */
const FORMS = 9;
/** Where a batch of answers begins; in front is the place of immediate ones. */
const BATCH = FORMS + MANY;
/** Answers taken from native code at a time, and the numbers of each: id, form and three that go with it. */
const ANSWERS = 512;
const ANSWER_NUMBERS = 5;

/** Takes one answer: its number and form, its value if it has one, and where its numbers are. */
export type TakeAnswer = (id: number, form: Form, value: unknown, numbers: Float64Array, at: number) => void;

/** Where an immediate answer's numbers are. */
export const IMMEDIATE = 1;

/** A register, for one link. */
export const makeRegister = (): Float64Array => new Float64Array(BATCH + 1 + ANSWERS * ANSWER_NUMBERS);

/** The form of the immediate answer that native code has just given. */
export const immediateForm = (register: Float64Array): Form => register[0] as Form;

/** Takes all answers that have arrived. */
export function drain(link: NativeLink, register: Float64Array, take: TakeAnswer): void {
  for (;;) {
    const values = link.drain();
    const count = register[BATCH] as number;
    const end = BATCH + 1 + count * ANSWER_NUMBERS;
    let used = 0;
    for (let at = BATCH + 1; at < end; at += ANSWER_NUMBERS) {
      const form = register[at + 1] as Form;
      const hasValue = form >= Form.Record || HAS_VALUE[form] || register[at] === 0;
      const value = hasValue ? values[used++] : undefined;
      take(register[at] as number, form, value, register, at + 2);
    }
    if (count < ANSWERS) return;
  }
}

/** Adds the values of `keys` that `cache` has at hand to `values`, in order, and returns the other keys. */
export function readMany<K>(
  cache: NativeCache,
  register: Float64Array,
  keys: K[],
  values: Map<K, unknown>,
  read: Read<unknown>,
): K[] {
  const left: K[] = [];
  for (let from = 0; from < keys.length; from += MANY) {
    const some = keys.length <= MANY ? keys : keys.slice(from, from + MANY);
    const found = cache.readMany(gather, ...some);
    for (let index = 0; index < some.length; index++) {
      const key = some[index] as K;
      const form = register[FORMS + index] as Form;
      if (form === Form.Pending) left.push(key);
      values.set(key, form === Form.Pending ? undefined : read(form, found[index], register, FORMS + index));
    }
  }
  return left;
}

const gather = (...values: unknown[]) => values;

/** Forms whose answers have a value besides their numbers, by number; records have one too. */
const HAS_VALUE: boolean[] = [];
for (const form of [Form.Plain, Form.Json, Form.V8, Form.Error, Form.List, Form.Failed]) HAS_VALUE[form] = true;
