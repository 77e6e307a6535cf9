/** The end of a lease: what the loader's process tells the host. */

import type { Encoded } from '../values/plain.js';
import { isLinkFailure } from '../link/failures.js';
import type { Link } from '../link/link.js';
import type { Policy } from './operation.js';
import { Form, LoadEnd, type NativeCache } from '../native.js';
import type { Near } from '../near/near.js';
import { SETTLE } from './table.js';

/** What a fetch needs of its cache. */
export interface FetchContext {
  link: Link;
  native: NativeCache;
  policy: Policy;
  /** Leases of loads that this instance leads just now. */
  leases: Set<number>;
  /** Values of this process's own. */
  near?: Near | undefined;
}

/**
 * Tells the host how a load ended. A host that is lost meanwhile has lost the lease too, and one that was given back
 * is another's: the loaded value is this caller's all the same.
 */
export async function settleLease(
  context: FetchContext,
  token: number,
  end: LoadEnd,
  encoded?: Encoded,
  ttl?: number,
  size?: number,
): Promise<void> {
  if (!context.leases.delete(token)) return;
  await settle(context, token, end, encoded, ttl, size);
}

/** Lets the next in line load. */
export async function giveBack(context: FetchContext, token: number): Promise<void> {
  context.leases.delete(token);
  await settle(context, token, LoadEnd.Abandoned);
}

async function settle(
  { link, native, policy }: FetchContext,
  token: number,
  end: LoadEnd,
  encoded?: Encoded,
  ttl?: number,
  size?: number,
): Promise<void> {
  const id = link.nextId();
  const answer = native.settle(id, token, end, encoded?.payload, encoded?.form ?? Form.Plain, ttl, size);
  try {
    await link.outcome(id, answer, SETTLE, policy);
  } catch (error) {
    if (!isLinkFailure(error)) throw error;
  }
}
