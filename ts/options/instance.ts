/** Options of an instance: what it opens, where its host is, and how it behaves in its own process. */

import { resolve } from 'node:path';
import {
  boolean,
  invalidOption,
  number,
  oneOf,
  path,
  plainObject,
  positiveInteger,
  snapshotInterval,
  timeLimit,
  timeLimitOrNone,
  type Check,
} from './checks.js';
import { native, type NativeOptions } from '../native.js';
import { NAMESPACE_OPTIONS, sharedOptions, type NamespaceOptions } from './namespace.js';

/** What to do when the host cannot be reached. */
export type Failsafe = 'resolve' | 'reject';

/** Options of a cache. Those of the namespace are shared by all who name it; leaving one out never conflicts. */
export interface CacheOptions extends NamespaceOptions {
  /** Shared name, 1 to 256 bytes. Default `'default'`. A test file shares it with what it starts, and with no other file. */
  namespace?: string;
  /**
   * Decoded values are kept in this process, coherent with all others: a value is used only while its entry is
   * unchanged. `true` keeps 10 000 of them. Objects come back frozen; what cannot be frozen (bytes, `Date`, `Map`, `Set`,
   * and what holds them) is not kept. Of this instance. Default: off.
   */
  near?: boolean | NearOptions;
  /** Time in ms for each operation over the socket. Of this instance. Default 1000. */
  timeout?: number;
  /**
   * `'resolve'`: without a host, reads are misses, `set` and `delete` resolve `false`, what cannot be answered
   * honestly rejects. `'reject'`: everything rejects. Of this instance. Default `'resolve'`.
   */
  failsafe?: Failsafe;
  /**
   * Time in ms in which a host that was elected hands everything it holds to another process before its own ends; 0 is
   * not to. The largest of a process's instances counts. PM2 kills a process 1 600 ms after it told it to end. Default
   * 1000.
   */
  handoverTimeout?: number;
  /** Path of a host's socket, as `ClusteredCache.listen()` tells it. Default: found automatically. */
  endpoint?: string;
  /** Be the host or a client. Default: found automatically. In a PM2 app, `'client'` never becomes the host. */
  role?: 'host' | 'client';
  /**
   * In a process that was started with `child_process.fork` (or with `'ipc'` in its `stdio`): use the cache of the process
   * that started it, which has to load this package before that. In a worker of a cluster and in a PM2 app nothing changes.
   * Default `false`: such a process has a cache of its own.
   */
  attach?: boolean;
  /**
   * Keeps the cache of this process in a file, so that its next start finds it: written at the end, and every `interval` ms;
   * loaded once, with the time that is left to each entry. Of all namespaces that this process hosts: every instance that
   * gives it gives the same, and the first one has to. In a client (a cluster's worker, say) it does nothing. Default: off.
   */
  persist?: PersistOptions;
  /**
   * User ids, besides this process's own, whose processes may use its cache: workers of a cluster that run as another user
   * (`cluster.setupPrimary({ uid })`), and helpers with `attach: true`. They can read and write everything in it. Only in the
   * process that hosts: in a cluster, in the primary. The lists of all its instances add up. Not with `endpoint`, in a PM2 app
   * and on Windows. Default: none.
   */
  allowUids?: readonly number[];
}

/** Where and how often the content of a host is saved. */
export interface PersistOptions {
  /** The file. Its directory has to exist; nobody but this user may be able to write there. */
  path: string;
  /**
   * Time in ms between two snapshots, 1000 at least; 0 is none. With it a crash brings back the state of the last one,
   * without it a crash brings back nothing. Default 0.
   */
  interval?: number;
}

/** How a near cache behaves. */
export interface NearOptions {
  /** Most values it keeps. Default 10 000. */
  max?: number;
}

/** Options of an instance, all decided. */
export interface InstanceOptions {
  namespace: string;
  timeout: number;
  failsafe: Failsafe;
  handoverTimeout: number;
  endpoint: string | undefined;
  role: 'host' | 'client' | undefined;
  attach: boolean;
  /** Most values in the near cache; 0 is none. */
  near: number;
  persist: PersistSettings | undefined;
  /** Other users whose processes may be clients; `undefined` where nothing was said. */
  allowUids: number[] | undefined;
}

/** Where and how often a host's content is saved, decided. */
export interface PersistSettings {
  /** Absolute, for the process may change its directory. */
  path: string;
  /** In ms; `undefined` is only at the end. */
  interval: number | undefined;
}

const { DEFAULT_TIMEOUT, MAX_NAMESPACE_BYTES } = native;

export const DEFAULTS = {
  namespace: 'default',
  timeout: DEFAULT_TIMEOUT,
  failsafe: 'resolve',
  handoverTimeout: 1_000,
  near: 10_000,
} as const;
/** The next number is that of no user. */
const MAX_USER = 2 ** 32 - 2;

const INSTANCE_OPTIONS = {
  namespace: namespaceName,
  timeout: timeLimit,
  failsafe: oneOf('resolve', 'reject'),
  handoverTimeout: timeLimitOrNone,
  endpoint: path,
  role: oneOf('host', 'client'),
  attach: boolean,
  near: nearCache,
  persist: persistence,
  allowUids: userIds,
} as const satisfies Record<Exclude<keyof CacheOptions, keyof NamespaceOptions>, Check>;

/** Checks all options; unknown names are refused, so that a typing error does not silently mean "default". */
export function checkOptions(options: CacheOptions = {}): { instance: InstanceOptions; shared: NativeOptions } {
  const given = plainObject('options', options);
  const known: Record<string, Check> = {
    ...NAMESPACE_OPTIONS,
    ...INSTANCE_OPTIONS,
  };
  for (const [name, value] of Object.entries(given)) {
    const check = known[name];
    if (!check) throw invalidOption(name, value, `one of ${Object.keys(known).join(', ')}`);
    if (value !== undefined) check(name, value);
  }
  if (options.attach && (options.endpoint !== undefined || options.role === 'host')) {
    throw invalidOption('attach', true, "true without `endpoint` and without `role: 'host'`: they name another cache");
  }
  return {
    instance: {
      namespace: options.namespace ?? DEFAULTS.namespace,
      timeout: options.timeout ?? DEFAULTS.timeout,
      failsafe: options.failsafe ?? DEFAULTS.failsafe,
      handoverTimeout: options.handoverTimeout ?? DEFAULTS.handoverTimeout,
      endpoint: options.endpoint,
      role: options.role,
      attach: options.attach ?? false,
      near: nearMax(options.near),
      persist: persistSettings(options.persist),
      allowUids: options.allowUids && [...options.allowUids],
    },
    shared: sharedOptions(options),
  };
}

function nearMax(near: boolean | NearOptions = false): number {
  if (typeof near === 'boolean') return near ? DEFAULTS.near : 0;
  return near.max ?? DEFAULTS.near;
}

function persistSettings(persist: PersistOptions | undefined): PersistSettings | undefined {
  if (persist === undefined) return undefined;
  return { path: resolve(persist.path), interval: persist.interval || undefined };
}

function namespaceName(name: string, value: unknown): void {
  if (typeof value !== 'string') throw invalidOption(name, value, 'a string');
  const bytes = Buffer.byteLength(value);
  if (bytes === 0 || bytes > MAX_NAMESPACE_BYTES) {
    throw invalidOption(name, value, `a string of 1 to ${MAX_NAMESPACE_BYTES} bytes`, true);
  }
}

function nearCache(name: string, value: unknown): void {
  if (typeof value === 'boolean') return;
  const allowed = 'true, false or an object with `max`';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidOption(name, value, allowed);
  for (const [inner, setting] of Object.entries(value)) {
    if (inner !== 'max') throw invalidOption(`${name}.${inner}`, setting, 'only `max`');
    if (setting !== undefined) positiveInteger('near.max', setting);
  }
}

function persistence(name: string, value: unknown): void {
  const allowed = 'an object with `path` and perhaps `interval`';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidOption(name, value, allowed);
  for (const [inner, setting] of Object.entries(value)) {
    if (inner !== 'path' && inner !== 'interval') throw invalidOption(`${name}.${inner}`, setting, allowed);
  }
  const { path, interval } = value as Partial<PersistOptions>;
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw invalidOption(`${name}.path`, path, 'the path of a file');
  }
  if (interval !== undefined) snapshotInterval(`${name}.interval`, interval);
}

function userIds(name: string, value: unknown): void {
  const allowed = 'an array of user ids, integers from 0 to 4294967294';
  if (!Array.isArray(value)) throw invalidOption(name, value, allowed);
  // By index: a hole is no user either.
  for (let index = 0; index < value.length; index++) {
    number(`${name}[${index}]`, value[index], allowed, (id) => Number.isInteger(id) && id >= 0 && id <= MAX_USER);
  }
}
