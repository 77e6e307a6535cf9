/** Where a value that was refused should have gone, for the message. */

import { codedError, isClusteredCacheError } from '../errors.js';
import { encode } from './codec.js';
import type { Encoded } from './plain.js';

/** What is known of the place. */
export interface Place {
  key?: unknown;
  namespace?: string | undefined;
}

/** The messages of errors that name a place, without it: the namespace may become known later than the key. */
const unplaced = new WeakMap<object, { message: string; place: Place }>();

/** Encodes a value that belongs to a place, which the message of a refusal names. */
export function encodeFor(value: unknown, place: Place): Encoded {
  try {
    return encode(value);
  } catch (error) {
    throw placed(error, place);
  }
}

/** The refusal of a value that cannot be cloned, with the place in its message; any other error as it is. */
export function placed(error: unknown, known: Place): unknown {
  if (!isClusteredCacheError(error) || error.code !== 'ERR_CC_DATA_CLONE') return error;
  const before = unplaced.get(error);
  const message = before?.message ?? error.message;
  const place = { ...known, ...before?.place };
  const names = (['key', 'namespace'] as const).filter((name) => isName(place[name]));
  const text = names.map((name) => `${name} ${short(place[name])}`).join(', ');
  const { cause } = error;
  const named = codedError(error.code, `${message} (${text})`, cause === undefined ? undefined : { cause });
  unplaced.set(named, { message, place });
  return named;
}

const isName = (name: unknown) => typeof name === 'string' || typeof name === 'number';

function short(name: unknown): string {
  const text = JSON.stringify(name);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
