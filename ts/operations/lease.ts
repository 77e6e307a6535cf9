/** The end of a lease: what the loader's process tells the host. */

import { isLinkFailure } from '../link/failures.js';
import type { Link } from '../link/link.js';
import type { NativeCache } from '../native.js';
import type { Near } from '../near/near.js';
import { COMPLETE, type Loaded } from './loading.js';
import type { Policy } from './operation.js';

/** What a fetch needs of its cache. */
export interface FetchContext {
  link: Link;
  handle: number;
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
export async function completeLease(context: FetchContext, token: number, loaded: Loaded): Promise<void> {
  if (context.leases.delete(token)) await complete(context, token, loaded);
}

/** Lets the next in line load. */
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
