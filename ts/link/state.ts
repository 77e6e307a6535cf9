/**
 * The state of a link's connection to its host, as one state machine with named transitions. Its counterpart for the
 * connection itself is in `crates/core/src/client/link.rs`.
 *
 * | state | requests | ends |
 * |---|---|---|
 * | `away` | wait for a host | with a connection; when a request has waited longer than the grace time; with a refusal |
 * | `connected` | are sent | with the connection |
 * | `unreachable` | fail at once | with a connection |
 *
 * In each state listeners may have been told that the link is degraded: a connected host that does not answer in time
 * degrades it too, and any answer restores it.
 */

import { now as systemNow } from '../time.js';

interface WithoutHost {
  /** Until when requests wait for a host, in ms of the clock. */
  readonly graceEnd: number;
  /** Whether there has been a connection before. */
  readonly hasConnected: boolean;
}

/** One state; see the table above. */
export type State = { readonly isDegraded: boolean } & (
  | ({ readonly is: 'away' } & WithoutHost)
  | { readonly is: 'connected' }
  /** `reason` is what requests fail with. */
  | ({ readonly is: 'unreachable'; readonly reason: Error } & WithoutHost)
);

/** Each transition returns whether listeners are to be told of it. */
export class LinkState {
  /** How long requests wait for a host, in ms. */
  readonly #grace: number;
  readonly #now: () => number;
  #state: State;

  constructor(grace: number, now: () => number = systemNow) {
    this.#grace = grace;
    this.#now = now;
    this.#state = { is: 'away', isDegraded: false, hasConnected: false, graceEnd: now() + grace };
  }

  get current(): State {
    return this.#state;
  }

  get isConnected(): boolean {
    return this.#state.is === 'connected';
  }

  /** Whether there is a connection, or has been one. */
  get hasConnected(): boolean {
    return this.#state.is === 'connected' || this.#state.hasConnected;
  }

  /** The error with which requests fail at once, if they do. */
  get reason(): Error | undefined {
    return this.#state.is === 'unreachable' ? this.#state.reason : undefined;
  }

  /** Whether listeners have been told that the link is degraded. */
  get isDegraded(): boolean {
    return this.#state.isDegraded;
  }

  /** A connection was made. */
  connected(): boolean {
    return this.#enter({ is: 'connected', isDegraded: false });
  }

  /** The connection was lost, or could not be made. */
  lost(): boolean {
    const state = this.#state;
    if (state.is !== 'connected') return this.#enter({ ...state, isDegraded: true });
    return this.#enter({ is: 'away', isDegraded: true, hasConnected: true, graceEnd: this.#now() + this.#grace });
  }

  /** There is a host that may not be connected to. */
  refused(reason: Error): boolean {
    return this.#enter({ is: 'unreachable', isDegraded: true, reason, ...this.#withoutHost() });
  }

  /** A request has waited too long, and failed with `reason`. */
  overdue(reason: Error): boolean {
    const state = this.#state;
    if (state.is === 'connected' || this.#now() < state.graceEnd) return this.#enter({ ...state, isDegraded: true });
    return this.#enter({ is: 'unreachable', isDegraded: true, reason, ...this.#withoutHost() });
  }

  /** An answer has arrived. */
  answered(): boolean {
    return this.#state.isDegraded && this.#enter({ ...this.#state, isDegraded: false });
  }

  #withoutHost(): WithoutHost {
    const state = this.#state;
    if (state.is === 'connected') return { hasConnected: true, graceEnd: this.#now() + this.#grace };
    return { hasConnected: state.hasConnected, graceEnd: state.graceEnd };
  }

  #enter(state: State): boolean {
    const isChanged = state.isDegraded !== this.#state.isDegraded;
    this.#state = state;
    return isChanged;
  }
}
