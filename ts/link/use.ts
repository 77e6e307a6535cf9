/**
 * What one instance uses of its link, and how it is given back. Nothing here refers to the instance: it may be dropped
 * without being closed, and is then collected, while this gives back what it has used.
 */

import { codedError } from '../errors.js';
import type { Events } from '../events.js';
import { Sharing, type NativeOptions } from '../native.js';
import type { Near } from '../near/near.js';
import type { NearRegistry } from '../near/registry.js';
import { asFlag, asSettings, type Settings } from '../operations/answers.js';
import { HOST, PING_HOST } from '../operations/host.js';
import { Leases, giveAllBack, type FetchContext } from '../operations/lease.js';
import { CANCEL_WAIT } from '../operations/loading.js';
import { REJECT, type Policy, type Settling } from '../operations/operation.js';
import { warnOfDifferences } from '../options/differences.js';
import { transportWish } from '../discovery/environment.js';
import type { Handle, LinkListener } from './handles.js';
import type { Link } from './link.js';

const OPEN: Settling<Settings> = { read: asSettings, withoutHost: REJECT, writes: false };
const RELEASE: Settling<boolean> = { read: asFlag, withoutHost: false, writes: false };

/** What is told of the link to the application. */
export interface Audience {
  /** The namespace, as the application knows it. */
  namespace: string;
  events: Events;
}

export class Use {
  readonly link: Link;
  readonly handle: Handle;
  /** The near caches of all instances of the namespace in this JavaScript environment. */
  readonly nears: NearRegistry;
  readonly leases: Leases;
  readonly #listener: LinkListener;
  #near: Near | undefined;
  #closing: Promise<void> | undefined;

  constructor(link: Link, name: string, declared: NativeOptions, audience: Audience) {
    this.link = link;
    this.#listener = this.#listenFor(declared, audience);
    const { handle, nears } = link.attach(name, declared, this.#listener);
    this.handle = handle;
    this.nears = nears;
    this.leases = new Leases(() => handle.isRetired);
  }

  /** Gives the instance a near cache. */
  keepNear(near: Near): void {
    this.#near = near;
    this.nears.add(near);
  }

  /** What the loads of the instance need. */
  loading(policy: Policy): FetchContext {
    const { link, handle, leases } = this;
    return { link, handle: handle.number, native: handle.cache, policy, leases, near: this.#near };
  }

  /**
   * Opens the namespace, unless another instance has and the host is still there; rejects if the host refuses, or if
   * none answers.
   */
  async open(policy: Policy): Promise<void> {
    const { link, handle } = this;
    if (!handle.settings || !link.isConnected) {
      const id = link.nextId();
      // This request belongs to native code, which opens the namespace again after a reconnect.
      link.takeOver();
      const answer = handle.cache.open(id, handle.namespace, handle.declared);
      handle.settings = await link.outcome(id, answer, OPEN, policy, undefined, false);
    }
    this.#near?.fit(handle.settings.maxSize);
    if (!link.isHost && transportWish() === 'shared' && handle.cache.sharing() === Sharing.Without) {
      throw codedError(
        'ERR_CC_NO_SHARED_TABLE',
        "CLUSTERED_CACHE_TRANSPORT is shared, but the host's memory cannot be read from here; leave it unset to read " +
          'over the socket',
      );
    }
  }

  /**
   * Gives everything back: the near cache, the leases of the loads that run here, so that the next waiter need not wait
   * until they expire, and with the last instance the handle. Resolves when the host has answered what was asked before.
   *
   * `policy` is that of the requests of the instance. With `holds`, the process stays alive until that is done.
   */
  close(policy: Policy, holds: boolean): Promise<void> {
    this.#closing ??= this.#close(policy, holds);
    return this.#closing;
  }

  async #close(policy: Policy, holds: boolean): Promise<void> {
    const { link, handle } = this;
    if (this.#near) {
      this.#near.close();
      this.nears.remove(this.#near);
    }
    const isLast = link.leave(handle, this.#listener);
    await giveAllBack(this.loading(policy));
    if (isLast) await this.#release(policy, holds);
    else await this.#endRequests(policy);
    link.detach(handle.namespace);
  }

  async #release(policy: Policy, holds: boolean): Promise<void> {
    const { link, handle } = this;
    const id = link.nextId();
    link.takeOver();
    const released = link.outcome(id, handle.cache.release(id), RELEASE, policy, undefined, holds);
    // Without a host there is nothing to release.
    link.giveBack(handle, await released.catch(() => false));
  }

  /** Ends the waits of fetches, whose handle stays in use, and waits for the answers to all other requests. */
  async #endRequests(policy: Policy): Promise<void> {
    const { link, handle } = this;
    const waiting = link.requestsOf(policy);
    if (waiting.length === 0) return;
    const closed = codedError('ERR_CC_CLOSED', 'the cache was closed while this fetch waited');
    for (const { id, operation } of waiting) {
      // Only an answer that a fetch is given too late matters: it may be a lease.
      if (!operation.onLateAnswer || !link.abandon(id, closed)) continue;
      link.ask(link.nextId(), handle.number, CANCEL_WAIT, policy, id).then(
        (cancelled) => cancelled && link.disown(id),
        // Without a host there is no wait to cancel.
        () => {},
      );
    }
    await link.ask(link.nextId(), HOST, PING_HOST, policy).catch(() => {});
  }

  #listenFor(declared: NativeOptions, { namespace, events }: Audience): LinkListener {
    return {
      degraded: (error) => {
        this.#near?.clear();
        events.emit('degraded', error);
      },
      isHeard: () => events.isHeard('degraded'),
      restored: () => events.emit('restored'),
      epoch: (epoch) => {
        this.#near?.disown();
        events.emit('epoch', epoch);
      },
      differs: (pid, options) => warnOfDifferences(namespace, declared, pid, options),
      reopened: (error) => error && events.emit('degraded', error),
    };
  }
}
