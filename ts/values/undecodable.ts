/**
 * Entries whose bytes cannot be decoded: another version of Node.js wrote them, or they are damaged. That is a failure of
 * the entry, and not of a call about many entries, or of one that can load the value again.
 */

import { codedError } from '../errors.js';

const known = new WeakSet<object>();

/** Marks an error that means: this entry cannot be decoded. */
export function asUndecodable<E extends object>(error: E): E {
  known.add(error);
  return error;
}

/** The error for an entry that cannot be decoded. */
export const undecodable = (message: string, cause: unknown): Error =>
  asUndecodable(codedError('ERR_CC_DATA_CLONE', message, { cause }));

export const isUndecodable = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && known.has(error);

/** The method of a cache by which a view of another copy of this package, too, reports what it has left out. */
export const LEFT_OUT: unique symbol = Symbol.for('clustered-cache.leftOut') as never;

/** In the place of a value that could not be decoded, among others. */
export class Undecodable {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/** The outcome of `read`, or an {@link Undecodable}. */
export function readable<A extends unknown[], T>(read: (...args: A) => T, ...args: A): T | Undecodable {
  try {
    return read(...args);
  } catch (error) {
    if (isUndecodable(error)) return new Undecodable(error);
    throw error;
  }
}
