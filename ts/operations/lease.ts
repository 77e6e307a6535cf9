/** The completion of a lease: what the loading process reports to the host. */

import { isLinkFailure } from '../link/failures.js';
import type { Link } from '../link/link.js';
import type { NativeCache } from '../native.js';
import type { Near } from '../near/near.js';
import { COMPLETE, type Loaded } from './loading.js';
import type { Policy } from './operation.js';

/** The leases of the loads that one instance is running. */
export class Leases {
  readonly #tokens = new Set<number>();
  /** Whether the handle of the instance is released: the host then passes its leases on. */
  readonly #areEnded: () => boolean;
  #closed = false;

  constructor(areEnded: () => boolean) {
    this.#areEnded = areEnded;
  }

  add(token: number): void {
    if (!this.areEnded) this.#tokens.add(token);
  }

  /** `false` when the lease is not held: it was given back when the instance closed, or has ended with its handle. */
  remove(token: number): boolean {
    return this.#tokens.delete(token) && !this.areEnded;
  }

  /** Whether all leases have ended, because the handle that they were taken through is released. */
  get areEnded(): boolean {
    return this.#areEnded();
  }

  /** Forgets the leases. Returns those that were held. */
  close(): number[] {
    const held = [...this.#tokens];
    this.#tokens.clear();
    this.#closed = true;
    return held;
  }

  /** Whether the instance is closed. */
  get closed(): boolean {
    return this.#closed;
  }
}

/** What a fetch needs from its cache. */
export interface FetchContext {
  link: Link;
  handle: number;
  native: NativeCache;
  policy: Policy;
  leases: Leases;
  /** The near cache of the instance. */
  near?: Near | undefined;
}

/**
 * Reports to the host how a load ended. If the host was lost in the meantime, so was the lease; if the lease was
 * released, another caller holds it. In both cases this caller keeps the value that it has loaded.
 */
export async function completeLease(context: FetchContext, token: number, loaded: Loaded): Promise<void> {
  if (context.leases.remove(token)) await complete(context, token, loaded);
}

/** Releases the lease, so that the next waiter loads. */
export async function giveBack(context: FetchContext, token: number): Promise<void> {
  context.leases.remove(token);
  // Without a handle to release it through, the host does that by itself.
  if (!context.leases.areEnded) await complete(context, token, { end: 'abandoned' });
}

/** Releases all leases of an instance that closes. Those that are on their way to it end with its handle. */
export async function giveAllBack(context: FetchContext): Promise<void> {
  await Promise.all(context.leases.close().map((token) => complete(context, token, { end: 'abandoned' })));
}

async function complete({ link, handle, policy }: FetchContext, token: number, loaded: Loaded): Promise<void> {
  try {
    await link.ask(link.nextId(), handle, COMPLETE, policy, token, loaded);
  } catch (error) {
    if (!isLinkFailure(error)) throw error;
  }
}
