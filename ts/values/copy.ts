/** Copies of values whose accessors have been asked. */

import { types } from 'node:util';

/**
 * A copy of a value in which each accessor is replaced by what it returned, once; objects keep their prototypes, and
 * what has no members is shared. `undefined` for a value that is nested more than `depth` levels deep.
 */
export function withoutAccessors(value: object, depth: number): object | undefined {
  const copies = new Map<object, object>();
  let isTooDeep = false;

  const copyOf = (given: unknown, left: number): unknown => {
    if (typeof given !== 'object' || given === null) return given;
    if (left === 0) isTooDeep = true;
    if (isTooDeep) return undefined;
    return copies.get(given) ?? copyObject(given, left - 1);
  };

  const copyObject = (given: object, left: number): object => {
    const copy = emptyLike(given);
    copies.set(given, copy);
    if (copy === given) return given;
    if (types.isMap(given)) {
      Map.prototype.forEach.call(given, (member, key) =>
        (copy as Map<unknown, unknown>).set(copyOf(key, left), copyOf(member, left)),
      );
    } else if (types.isSet(given)) {
      Set.prototype.forEach.call(given, (member) => (copy as Set<unknown>).add(copyOf(member, left)));
    } else {
      for (const key of membersOf(given)) {
        // Structured clone does not ask for what symbols name.
        const value = typeof key === 'symbol' ? undefined : copyOf((given as Record<string, unknown>)[key], left);
        Object.defineProperty(copy, key, { value, writable: true, enumerable: true, configurable: true });
      }
    }
    return copy;
  };

  const copy = copyOf(value, depth) as object;
  return isTooDeep ? undefined : copy;
}

/** An object to take the members of `given`; `given` itself if it has none that can be copied. */
function emptyLike(given: object): object {
  if (types.isProxy(given)) return given;
  if (Array.isArray(given)) return new Array(given.length);
  if (types.isMap(given)) return new Map();
  if (types.isSet(given)) return new Set();
  const isOther =
    types.isNativeError(given) ||
    types.isPromise(given) ||
    types.isDate(given) ||
    types.isRegExp(given) ||
    types.isBoxedPrimitive(given) ||
    types.isAnyArrayBuffer(given) ||
    ArrayBuffer.isView(given);
  return isOther ? given : (Object.create(Object.getPrototypeOf(given) as object | null) as object);
}

/** Symbols stay, although they are not written: they tell that an instance has more than its properties. */
const membersOf = (given: object): PropertyKey[] => [...Object.keys(given), ...Object.getOwnPropertySymbols(given)];
