import { SHARED } from '../helpers/transport.ts';

/** A way to reach the cache. A process that has several of them takes one at random for each operation. */
export interface Way {
  readonly name: string;
  /** Environment of the whole process: a way with one goes with no other in the same process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Options of the cache. */
  readonly options?: object;
  /** Reads by `getSync` and `hasSync`. */
  readonly sync?: boolean;
  /**
   * Reads from copies that are never invalidated. The package has no such way: it is a fault that a run must detect.
   */
  readonly stale?: boolean;
}

export const WAYS = {
  /** In the host. */
  direct: { name: 'direct' },
  /** Over the socket, also where there is memory to read. */
  socket: { name: 'socket', env: { CLUSTERED_CACHE_TRANSPORT: 'socket' } },
  /** A client's default: it reads the host's memory where it can. */
  shared: { name: 'shared' },
  near: { name: 'near', options: { near: { max: 16 } } },
  /** Most values have gone when they are asked for again. */
  tiny: { name: 'tiny near', options: { near: { max: 2 } } },
  sync: { name: 'sync', sync: true },
  nearSync: { name: 'near sync', options: { near: { max: 16 } }, sync: true },
} as const satisfies Record<string, Way>;

/** The processes of a run, each with its ways. */
export interface Members {
  readonly host: readonly Way[];
  readonly workers: readonly (readonly Way[])[];
}

/** How each process reaches the cache. A new way of the package is added only here. */
export const MEMBERS: Members = {
  host: [WAYS.direct, WAYS.sync, WAYS.near],
  workers: SHARED
    ? [[WAYS.socket], [WAYS.shared, WAYS.sync], [WAYS.near, WAYS.nearSync], [WAYS.shared, WAYS.tiny, WAYS.nearSync]]
    : [[WAYS.socket], [WAYS.socket], [WAYS.near]],
};
