/** How requests end without an answer from the host. */

import { codedError, isClusteredCacheError, type ErrorCode } from '../errors.js';
import { REJECT, type Operation, type Policy, type Settling } from '../operations/operation.js';
import { placed, type Known } from '../values/place.js';

/** How a request ended. */
export type Outcome<T> = { value: T } | { error: unknown };

/** What an operation is about, for its errors; `key` is for one on one key. */
export const placeOf = ({ method, partOf }: Settling<unknown>, policy: Policy, key?: unknown): Known => ({
  namespace: policy.namespace,
  key,
  operation: policy.operation ?? method ?? partOf,
});

/** The key of an operation whose first argument is `first`; `undefined` if it is not about one key. */
export const keyOf = ({ scope }: Pick<Operation<unknown>, 'scope'>, first: unknown): unknown =>
  scope === 'Key' ? first : undefined;

/** Returns or throws the outcome, for a caller that waits synchronously. */
export function settle<T>(outcome: Outcome<T>): T {
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}

/** The outcome of a request that failed with `error`: the instance's `failsafe` and the operation decide. */
export function fallback<T>(error: Error, { withoutHost: instead }: Settling<T>, { failsafe }: Policy): Outcome<T> {
  if (failsafe === 'reject' || instead === REJECT || !isLinkFailure(error)) return { error };
  return { value: instead };
}

/** The same, for a caller that awaits it. */
export function withoutHost<T>(failure: Error, operation: Settling<T>, policy: Policy, key: unknown): Promise<T> {
  const outcome = fallback(failure, operation, policy);
  if ('value' in outcome) return Promise.resolve(outcome.value);
  const rejected = Promise.reject<T>(placed(outcome.error, placeOf(operation, policy, key)) as Error);
  spare(rejected, outcome.error, policy);
  return rejected;
}

/**
 * With `failsafe: 'resolve'`, a host that is away does not end the application: a promise that rejects for it, and that
 * the caller has dropped, is no unhandled rejection. A caller that awaits the promise meets the error all the same.
 */
export function spare(rejected: Promise<unknown>, error: unknown, { failsafe }: Policy): void {
  if (failsafe === 'resolve' && isLinkFailure(error)) rejected.catch(() => {});
}

/** The same, for a caller that waits synchronously. */
export function withoutHostNow<T>(error: Error, operation: Settling<T>, policy: Policy, key: unknown): T {
  const outcome = fallback(error, operation, policy);
  if ('error' in outcome) throw placed(outcome.error, placeOf(operation, policy, key));
  return outcome.value;
}

/** Codes that mean "the host could not be reached", as opposed to "the host refused". */
const LINK_FAILURES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_CC_NO_HOST',
  'ERR_CC_TIMEOUT',
  'ERR_CC_DISCONNECTED',
  'ERR_CC_UNKNOWN_OUTCOME',
  'ERR_CC_PROTOCOL_VERSION',
  'ERR_CC_AUTHENTICATION',
  'ERR_CC_FOREIGN_PEER',
]);

/** Whether the error means that the host could not be reached. */
export function isLinkFailure(error: unknown): boolean {
  return isClusteredCacheError(error) && LINK_FAILURES.has(error.code);
}

/** The error for a write that failed with `cause` after the host may have received it. */
export function unknownOutcome(cause: Error): Error {
  return codedError(
    'ERR_CC_UNKNOWN_OUTCOME',
    `the host may or may not have carried this out (${cause.message}); read before you repeat it`,
    { cause },
  );
}

/** Why no host answers, and what to do about it. */
export function noHostMessage(timeout: number, reason?: string): string {
  return `no host was found within ${timeout} ms: ${reason ?? 'none has answered; if it starts later, raise `timeout`'}`;
}
