/** What an operation was about that failed: told by the error and its message. */

import { isClusteredCacheError, retold, type CodedError, type ErrorPlace } from '../errors.js';
import { encode } from './codec.js';
import type { Encoded } from './plain.js';
import { asUndecodable, isUndecodable } from './undecodable.js';

/** What may be known of the place; only what can name something counts. */
export type Known = { readonly [Name in keyof ErrorPlace]?: unknown };

/** The messages of errors that name a place, without it: the namespace may become known later than the key. */
const unplaced = new WeakMap<object, { message: string; place: ErrorPlace }>();

/** Encodes a value that belongs to a place, which the message of a refusal names. */
export function encodeFor(value: unknown, place: Known): Encoded {
  try {
    return encode(value);
  } catch (error) {
    throw placed(error, place);
  }
}

/**
 * An error of this package with its place, and with the stack of the caller if that can be seen from here; any other
 * error as it is. It is a copy, because many requests may fail for the same reason.
 */
export function placed(error: unknown, known: Known): unknown {
  return isClusteredCacheError(error) ? copy(error, known, placed) : error;
}

/**
 * The same for a promise that was returned before: a rejection that is to be its outcome. After a turn of the microtasks
 * the engine knows which functions await it, and names them in the stack; until then that costs nothing. `spare` is
 * called then: another reaction to that promise would hide them.
 */
export async function rejection(error: unknown, known: Known, spare: () => void): Promise<never> {
  // The first turn is needed to become the outcome of the other promise.
  await undefined;
  await undefined;
  const told = isClusteredCacheError(error) ? copy(error, known, rejection) : error;
  spare();
  throw told;
}

function copy(error: CodedError, known: Known, within: (...args: never[]) => unknown): Error {
  const { message, place: before } = unplaced.get(error) ?? { message: error.message, place: {} };
  const place = merged(before, known);
  const names = (['key', 'namespace'] as const).filter((name) => place[name] !== undefined);
  const text = names.map((name) => `${name} ${short(place[name])}`).join(', ');
  const named = retold(error, text === '' ? message : `${message} (${text})`, place, within);
  unplaced.set(named, { message, place });
  return isUndecodable(error) ? asUndecodable(named) : named;
}

/** What was known first counts; but an operation may be a step of another one, which is the one that was called. */
function merged(before: ErrorPlace, known: Known): ErrorPlace {
  const { namespace, key, operation } = known;
  if (before.namespace !== undefined && before.namespace !== namespace) return before;
  return {
    ...(typeof namespace === 'string' && { namespace }),
    ...((typeof key === 'string' || typeof key === 'number') && { key }),
    ...before,
    ...(typeof operation === 'string' && { operation }),
  };
}

function short(name: unknown): string {
  const text = JSON.stringify(name);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
