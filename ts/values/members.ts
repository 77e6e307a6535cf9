/**
 * The members of objects whose keys come often, read by a function that is compiled for them: it looks at no descriptors
 * and makes no list of keys.
 */

import type { Keys } from './shapes.js';

/** The values of an object's members in the order of its keys; `undefined` if its keys are others. */
type MemberReader = (value: object) => unknown[] | undefined;

/** The members of one object. */
export interface Members {
  readonly keys: Keys;
  readonly values: unknown[];
}

interface Known {
  readonly keys: Keys;
  readonly read: MemberReader;
}

/** Objects with the same keys that are met before a reader is compiled, which takes as long as some hundred walks. */
const MEETINGS = 100;
/** Readers of objects with the same first key: each is tried. */
const MAX_SIMILAR = 4;
const MAX_READERS = 1_024;

/** By the first key. */
const readers = new Map<string, Known[]>();
const meetings = new WeakMap<Keys, number>();
let count = 0;

/** The members of `value`, if objects with its keys have come often. An accessor is asked once, with the others. */
export function readMembers(value: object): Members | undefined {
  for (const first in value) {
    const known = readers.get(first);
    if (known === undefined) return undefined;
    for (const { keys, read } of known) {
      const values = read(value);
      if (values !== undefined) return { keys, values };
    }
    return undefined;
  }
  return undefined;
}

/** An object with these keys, the same list each time, has been written. */
export function met(keys: Keys): void {
  const times = (meetings.get(keys) ?? 0) + 1;
  if (times > MEETINGS) return;
  meetings.set(keys, times);
  const [first] = keys;
  if (times < MEETINGS || first === undefined || count >= MAX_READERS) return;
  const similar = readers.get(first) ?? [];
  if (similar.length >= MAX_SIMILAR) return;
  count += 1;
  readers.set(first, [...similar, { keys, read: compiled(keys) ?? interpreted(keys) }]);
}

/** A plain object with these members, for those who would ask accessors a second time. */
export function copyOf({ keys, values }: Members): object {
  return Object.fromEntries(keys.map((key, index) => [key, values[index]]));
}

/** Whether any of the members is an accessor. */
export const hasAccessor = (value: object, keys: Keys) =>
  keys.some((key) => Object.getOwnPropertyDescriptor(value, key)?.get !== undefined);

function interpreted(keys: Keys): MemberReader {
  return (value) => {
    let at = 0;
    for (const key in value) if (key !== keys[at++]) return undefined;
    return at === keys.length ? keys.map((key) => (value as Record<string, unknown>)[key]) : undefined;
  };
}

/**
 * All that goes into the text of the function from outside are keys, each as a string literal of JSON, which JavaScript
 * reads as JSON does. `undefined` where compiling is forbidden.
 */
function compiled(keys: Keys): MemberReader | undefined {
  const members = keys.map((key) => `value[${JSON.stringify(key)}]`).join(', ');
  const source = `'use strict';
    return (value) => {
      let at = 0;
      for (const key in value) if (key !== keys[at++]) return undefined;
      return at === ${keys.length} ? [${members}] : undefined;
    };`;
  try {
    return new Function('keys', source)(keys) as MemberReader;
  } catch {
    return undefined;
  }
}
