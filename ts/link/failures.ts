/** How requests end without an answer of the host. */

import { codedError, isClusteredCacheError, type ErrorCode } from '../errors.js';
import { REJECT, type Policy, type Settling } from '../operations/operation.js';

/** How a request ended. */
export type Outcome<T> = { value: T } | { error: unknown };

/** The outcome to whoever waits for it in place. */
export function settle<T>(outcome: Outcome<T>): T {
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

/** What a request ends with that has failed for `error`: the instance's `failsafe` and the operation decide. */
export function fallback<T>(error: Error, { withoutHost: instead }: Settling<T>, { failsafe }: Policy): Outcome<T> {
  if (failsafe === 'reject' || instead === REJECT || !isLinkFailure(error)) return { error };
  return { value: instead };
}

/** The same for whoever awaits it. */
export function withoutHost<T>(error: Error, operation: Settling<T>, policy: Policy): Promise<T> {
  const outcome = fallback(error, operation, policy);
  if ('error' in outcome) return Promise.reject(outcome.error as Error);
  return Promise.resolve(outcome.value);
}

/** Codes that say "the host could not be asked", as opposed to "the host said no". */
const LINK_FAILURES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_CC_NO_HOST',
  'ERR_CC_TIMEOUT',
  'ERR_CC_DISCONNECTED',
  'ERR_CC_UNKNOWN_OUTCOME',
  'ERR_CC_PROTOCOL_VERSION',
  'ERR_CC_AUTHENTICATION',
  'ERR_CC_FOREIGN_PEER',
]);

/** Does it say that the host could not be asked? */
export function isLinkFailure(error: unknown): boolean {
  return isClusteredCacheError(error) && LINK_FAILURES.has(error.code);
}

/** A write that the host may have got failed for `cause`. */
export function unknownOutcome(cause: Error): Error {
  return codedError(
    'ERR_CC_UNKNOWN_OUTCOME',
    `the host may or may not have carried this out (${cause.message}); read before you repeat it`,
    { cause },
  );
}

/** Why nobody answers, and what to do. */
export function noHostMessage(timeout: number, reason?: string): string {
  if (reason !== undefined) return `the host cannot be reached: ${reason}`;
  return (
    `no host was found within ${timeout} ms; in a cluster, load clustered-cache in the primary ` +
    '(a plain import is enough), elsewhere start the host or check option `endpoint`'
  );
}
