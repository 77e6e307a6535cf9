import type { ExecutionContext } from 'ava';
import { ClusteredCacheError, isClusteredCacheError } from '../../index.js';

/** Programming errors have JavaScript's own classes; all others have the package's class. */
const CLASS_OF: Record<string, new (...args: any[]) => Error> = {
  ERR_CC_INVALID_KEY: TypeError,
  ERR_CC_INVALID_VALUE: TypeError,
  ERR_CC_NOT_A_NUMBER: TypeError,
  ERR_CC_OUT_OF_RANGE: RangeError,
};

export interface CodedError extends Error {
  code: string;
}

/** Asserts that `action` fails with `code`, the right class, and a message that is not empty. */
export async function failsWith(
  t: ExecutionContext,
  action: (() => unknown) | PromiseLike<unknown>,
  code: string,
  message?: RegExp,
): Promise<CodedError> {
  let error: any;
  try {
    await (typeof action === 'function' ? action() : action);
    t.fail(`expected ${code} of ${String(action)}, but nothing was thrown`);
  } catch (thrown) {
    error = thrown;
  }
  t.true(error instanceof Error, `expected ${code}, got ${String(error)}`);
  t.is(error.code, code, error.stack);
  t.true(isClusteredCacheError(error), 'isClusteredCacheError knows every error of the package');
  const expected = CLASS_OF[code];
  if (expected) t.true(error instanceof expected, `${code} is a ${expected.name}, got ${error.constructor.name}`);
  else if (!(error instanceof TypeError || error instanceof RangeError)) t.true(error instanceof ClusteredCacheError);
  if (message) t.regex(error.message, message);
  t.true(error.message.length > 10, 'a message says what to do');
  return error;
}
