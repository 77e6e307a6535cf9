/** What is known of the classes of objects that V8's serializer would write as their own properties, without the rest. */

/** Why an instance could not be restored, or that nothing speaks against it. */
export interface ClassOf {
  readonly name: string;
  /** Whether its objects are plain: they inherit from nothing, or from `Object` of any realm. */
  readonly isPlain: boolean;
  /** Whether its instances have state that is in none of their properties, as far as the class tells. */
  readonly hides: boolean;
  /** Whether it is `AggregateError`, of any realm, or inherits from it. */
  readonly isAggregate: boolean;
}

/** By prototype. */
const known = new WeakMap<object, ClassOf>();
const PLAIN: ClassOf = { name: 'Object', isPlain: true, hides: false, isAggregate: false };

/** Classes of the engine whose objects the serializer writes in full. */
const WRITTEN = new Set(
  (
    'Array ArrayBuffer DataView Date RegExp Map Set Boolean Number String BigInt Buffer ' +
    'Error TypeError RangeError SyntaxError ReferenceError EvalError URIError AggregateError'
  )
    .split(' ')
    .concat(['Int8', 'Uint8', 'Uint8Clamped', 'Int16', 'Uint16', 'Int32', 'Uint32'].map((type) => `${type}Array`))
    .concat(['Float16', 'Float32', 'Float64', 'BigInt64', 'BigUint64'].map((type) => `${type}Array`)),
);

/** The class of objects with this prototype. */
export function classOf(prototype: object | null): ClassOf {
  if (prototype === null || prototype === Object.prototype) return PLAIN;
  const before = known.get(prototype);
  if (before) return before;
  const found = Object.getPrototypeOf(prototype) === null ? PLAIN : examine(prototype);
  known.set(prototype, found);
  return found;
}

function examine(prototype: object): ClassOf {
  let name = '';
  let hides = false;
  let isAggregate = false;
  for (const [level, constructor] of constructors(prototype)) {
    const own = nameOf(constructor);
    name ||= own;
    isAggregate ||= own === 'AggregateError';
    hides ||= isOfPlatform(level, constructor, own) || declaresPrivateField(constructor);
  }
  return { name: name || 'Object', isPlain: false, hides, isAggregate };
}

/** The constructors of a chain of prototypes, without the last one, which is `Object`. */
function* constructors(prototype: object): Generator<[level: object, constructor: object]> {
  let level = prototype;
  for (;;) {
    const next = Object.getPrototypeOf(level) as object | null;
    if (next === null) return;
    const constructor: unknown = Object.getOwnPropertyDescriptor(level, 'constructor')?.value;
    if (typeof constructor === 'function') yield [level, constructor];
    level = next;
  }
}

function nameOf(constructor: object): string {
  const name: unknown = Object.getOwnPropertyDescriptor(constructor, 'name')?.value;
  return typeof name === 'string' ? name : '';
}

/**
 * Whether Node or the engine has this class as a global. An application's own globals have no tag, as Web IDL requires
 * it.
 */
function isOfPlatform(level: object, constructor: object, name: string): boolean {
  if (WRITTEN.has(name) || !Object.hasOwn(level, Symbol.toStringTag) || !Object.hasOwn(globalThis, name)) return false;
  return (globalThis as Record<string, unknown>)[name] === constructor;
}

const FIELD = /(?<!\bstatic\s+)(?<=[{};\s])#([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*(?:[;=\n}]|\/[/*])/gu;

/**
 * Whether the text of a class declares a private field and uses it. Nothing else tells: a program cannot see the
 * private fields of an object.
 */
function declaresPrivateField(constructor: object): boolean {
  const text = Function.prototype.toString.call(constructor);
  if (!text.startsWith('class') || !text.includes('#')) return false;
  for (const [, name] of text.matchAll(FIELD)) {
    if (text.includes(`.#${name}`) || text.includes(`#${name} in `)) return true;
  }
  return false;
}
