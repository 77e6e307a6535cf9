/**
 * The check of values for V8's serializer. It is not structured clone: it writes objects that it does not know, such as
 * a `Response`, as `{}`, it writes deeper than it can read, and it leaves out parts of errors.
 */

import { types } from 'node:util';
import { codedError } from '../errors.js';
import { classOf, type ClassOf } from './classes.js';
import { withoutAccessors } from './copy.js';

/** The maximum depth of a value: the serializer reads no deeper on a stack of the usual size, with room for its caller. */
export const MAX_NESTING = 1_000;

/** An error, its own enumerable properties, and the errors of an `AggregateError`: the serializer writes neither. */
export type ErrorParts = [error: Error, fields: Record<string, unknown>, errors: unknown[] | null];

/** A value that can be serialized, and the parts of errors in it that are to be written in addition. */
export interface Clonable {
  value: object;
  parts: ErrorParts[];
}

/** Checks a value, and copies it if it has accessors, which are asked once. */
export function clonable(value: object): Clonable {
  const first = new Check();
  first.visit(value, ROOT);
  if (!first.hasAccessors) return { value, parts: first.parts };
  const copy = withoutAccessors(value, MAX_NESTING);
  if (!copy) throw tooDeep();
  const second = new Check();
  second.visit(copy, ROOT);
  return { value: copy, parts: second.parts };
}

/** A step to a member: the key of a property, the index of an element, the text that a path has for it, the key in a map. */
type Step = string | number | { text: string } | { get: unknown };

const [ROOT, KEY, VALUE, MEMBER] = ['$', ' (a key)', ' (a value)', ' (a member)'].map((text) => ({ text })) as [
  Step,
  Step,
  Step,
  Step,
];

class Check {
  readonly parts: ErrorParts[] = [];
  hasAccessors = false;
  readonly #seen = new Set<object>();
  readonly #path: Step[] = [];

  visit(value: unknown, step: Step): void {
    if (isData(value)) return;
    this.#path.push(step);
    if (typeof value !== 'object') throw this.#refusal(`: ${String(value)} could not be cloned.`);
    if (!this.#seen.has(value)) {
      if (this.#path.length > MAX_NESTING) throw tooDeep();
      this.#seen.add(value);
      this.#visitObject(value);
    }
    this.#path.pop();
  }

  #visitObject(value: object): void {
    if (types.isProxy(value)) throw this.#refusal(': a Proxy could not be cloned.');
    const kind = classOf(Object.getPrototypeOf(value) as object | null);
    if (kind.isPlain) return this.#visitMembers(value, Object.keys(value));
    if (kind.hides) throw this.#hidden(value, kind);
    if (Array.isArray(value)) return this.#visitArray(value);
    if (types.isDate(value)) return;
    if (types.isMap(value)) return this.#visitMap(value);
    if (types.isSet(value)) return this.#visitSet(value);
    if (types.isNativeError(value)) return this.#visitError(value, kind);
    if (!isWritten(value)) this.#visitInstance(value, kind);
  }

  #visitMembers(value: object, keys: string[]): void {
    for (const key of keys) {
      const property = Object.getOwnPropertyDescriptor(value, key) as PropertyDescriptor;
      if ('value' in property) this.visit(property.value, key);
      else this.hasAccessors = true;
    }
  }

  #visitArray(array: unknown[]): void {
    const keys = Object.keys(array);
    if (keys.length !== array.length) return this.#visitMembers(array, keys);
    for (let index = 0; index < array.length; index++) this.visit(array[index], index);
  }

  #visitMap(map: ReadonlyMap<unknown, unknown>): void {
    Map.prototype.forEach.call(map, (member, key) => {
      this.visit(key, KEY);
      if (!isData(member)) this.visit(member, isData(key) ? { get: key } : VALUE);
    });
  }

  #visitSet(set: ReadonlySet<unknown>): void {
    Set.prototype.forEach.call(set, (member) => this.visit(member, MEMBER));
  }

  #visitError(error: Error, { isAggregate }: ClassOf): void {
    this.visit(Object.getOwnPropertyDescriptor(error, 'cause')?.value, 'cause');
    const own = Object.getOwnPropertyDescriptor(error, 'errors');
    const errors = isAggregate && own?.enumerable === false && Array.isArray(own.value) ? own.value : null;
    const fields = { ...error };
    if (errors === null && Object.keys(fields).length === 0) return;
    this.parts.push([error, fields, errors]);
    this.#visitMembers(fields, Object.keys(fields));
    this.visit(errors, 'errors');
  }

  /** An instance of a class is written as its own properties. Where there are none, or not all can be seen, it is lost. */
  #visitInstance(value: object, kind: ClassOf): void {
    const keys = Object.keys(value);
    if (keys.length === 0 || Object.getOwnPropertySymbols(value).length > 0) throw this.#hidden(value, kind);
    this.#visitMembers(value, keys);
  }

  #hidden(value: object, { name }: ClassOf): Error {
    if (types.isPromise(value))
      return this.#refusal(' is a Promise, which could not be cloned; is an `await` missing?');
    return this.#refusal(
      ` is an instance of ${name}, which could not be cloned: its content is not in ordinary properties; ` +
        'store its data, or convert it with wrap()',
    );
  }

  #refusal(why: string): Error {
    return codedError('ERR_CC_DATA_CLONE', `${this.#path.map(textOf).join('')}${why}`);
  }
}

/** What else the serializer writes by its content, or refuses by itself. */
const isWritten = (value: object) =>
  types.isRegExp(value) || types.isBoxedPrimitive(value) || types.isAnyArrayBuffer(value) || ArrayBuffer.isView(value);

const tooDeep = () =>
  codedError(
    'ERR_CC_DATA_CLONE',
    `the value is nested more than ${MAX_NESTING} levels deep, so that it could not be read again; flatten it`,
  );

/** Whether there is nothing to check: a primitive other than a symbol. */
function isData(value: unknown): value is string | number | boolean | bigint | null | undefined {
  return typeof value === 'object' ? value === null : typeof value !== 'function' && typeof value !== 'symbol';
}

function textOf(step: Step): string {
  if (typeof step === 'object') return 'get' in step ? `.get(${show(step.get)})` : step.text;
  if (typeof step === 'number') return `[${step}]`;
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step) ? `.${step}` : `[${show(step)}]`;
}

function show(key: unknown): string {
  const text = typeof key === 'string' ? JSON.stringify(key) : String(key);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
