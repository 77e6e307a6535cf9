/** The completion of a lease: what the loading process reports to the host. */

import { isLinkFailure } from '../link/failures.js';
import type { Link } from '../link/link.js';
import type { NativeCache } from '../native.js';
import type { Near } from '../near/near.js';
import { COMPLETE, type Loaded } from './loading.js';
import type { Policy } from './operation.js';

/** What a fetch needs from its cache. */
export interface FetchContext {
  link: Link;
  handle: number;
  native: NativeCache;
  policy: Policy;
  /** Leases of the loads that this instance is running. */
  leases: Set<number>;
  /** The near cache of the instance. */
  near?: Near | undefined;
}

/**
 * Reports to the host how a load ended. If the host was lost in the meantime, so was the lease; if the lease was
 * released, another caller holds it. In both cases this caller keeps the value that it has loaded.
 */
export async function completeLease(context: FetchContext, token: number, loaded: Loaded): Promise<void> {
  if (context.leases.delete(token)) await complete(context, token, loaded);
}

/** Releases the lease, so that the next waiter loads. */
export async function giveBack(context: FetchContext, token: number): Promise<void> {
  context.leases.delete(token);
  await complete(context, token, { end: 'abandoned' });
}

async function complete({ link, handle, policy }: FetchContext, token: number, loaded: Loaded): Promise<void> {
  try {
    await link.ask(link.nextId(), handle, COMPLETE, policy, token, loaded);
  } catch (error) {
    if (!isLinkFailure(error)) throw error;
  }
}
