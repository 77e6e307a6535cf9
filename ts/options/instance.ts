/** Options of an instance: its namespace, where its host is, and how it behaves in its own process. */

import { resolve } from 'node:path';
import {
  boolean,
  invalidOption,
  number,
  oneOf,
  path,
  positiveInteger,
  readOptions,
  snapshotInterval,
  timeLimit,
  timeLimitOrNone,
  type Check,
} from './checks.js';
import { native, type NativeOptions } from '../native.js';
import { isWellFormed } from '../values/body.js';
import { NAMESPACE_OPTIONS, sharedOptions, type NamespaceOptions } from './namespace.js';

/** What to do when the host cannot be reached. */
export type Failsafe = 'resolve' | 'reject';

/** Options of a cache. Namespace options are shared by all instances of the namespace; omitting one never conflicts. */
export interface CacheOptions extends NamespaceOptions {
  /**
   * Shared name, 1 to 256 bytes. Default `'default'`. A test file shares it with the processes and threads that it
   * starts, and with no other file.
   */
  namespace?: string | undefined;
  /**
   * Decoded values are kept in this process, coherent with all others: a value is used only while its entry is
   * unchanged. `true` keeps 10 000 of them, and no more bytes than the namespace may have (at least 8 MiB, at most
   * 64 MiB). Objects are returned frozen; values that cannot be frozen (bytes, `Date`,
   * `Map`, `Set`, and objects that hold them) are not kept. Applies to this instance. Default: off.
   */
  near?: boolean | NearOptions | undefined;
  /** Time in ms for each operation over the socket. Applies to this instance. Default 1000. */
  timeout?: number | undefined;
  /**
   * `'resolve'`: without a host, reads are misses, `set` and `delete` resolve `false`, and operations that have no
   * honest answer reject. `'reject'`: everything rejects. Applies to this instance. Default `'resolve'`.
   */
  failsafe?: Failsafe | undefined;
  /**
   * Time in ms that an elected host has to hand its content to another process before its own process ends; 0 disables
   * the handover. If instances of one process differ, the largest value counts. PM2 kills a process 1 600 ms after
   * telling it to end. Default 1000.
   */
  handoverTimeout?: number | undefined;
  /**
   * Path of a host's socket, as returned by `ClusteredCache.listen()`. A relative path is resolved when the cache is
   * opened. Default: found automatically.
   */
  endpoint?: string | undefined;
  /**
   * Whether this process is the host or a client. Default: found automatically. In a PM2 app, a `'client'` never
   * becomes the host.
   */
  role?: 'host' | 'client' | undefined;
  /**
   * In a process that was started with `child_process.fork` (or with `'ipc'` in its `stdio`): use the cache of the
   * process that started it, which has to load this package first. Has no effect in a cluster worker or a PM2 app.
   * Default `false`: such a process has a cache of its own.
   */
  attach?: boolean | undefined;
  /**
   * Saves the cache of this process in a file for its next start: written when the process ends and every `interval`
   * ms; loaded once, with the remaining time of each entry. Applies to all namespaces that this process hosts: the
   * first instance has to give it, and others must give the same or omit it. Has no effect in a client, such as a
   * cluster worker. Default: off.
   */
  persist?: PersistOptions | undefined;
  /**
   * What to do when another process has declared an option of the namespace otherwise. `'warn'`: the declaration of the
   * process that started last is in force for all, and the others warn. `'reject'`: this instance is refused with
   * `ERR_CC_OPTIONS_CONFLICT`. Instances of one process must always agree. Default `'warn'`.
   */
  conflict?: 'warn' | 'reject' | undefined;
  /**
   * Ids of other users whose processes may use the cache of this process: workers of a cluster that run as another user
   * (`cluster.setupPrimary({ uid })`), and helpers with `attach: true`. They can read and write everything in it. Only
   * in the process that hosts; in a cluster, that is the primary. The lists of all its instances are combined. Not with
   * `endpoint`, in a PM2 app, or on Windows. Default: none.
   */
  allowUids?: readonly number[] | undefined;
}

/** Where and how often a host's content is saved. */
export interface PersistOptions {
  /** The file. Its directory must exist, and no other user may be able to write to it. */
  path: string;
  /**
   * Time in ms between two snapshots, at least 1000; 0 is none. After a crash, the last snapshot is loaded; without an
   * interval, nothing is. Default 0.
   */
  interval?: number | undefined;
}

/** How a near cache behaves. */
export interface NearOptions {
  /** The maximum number of values. Default 10 000. */
  max?: number | undefined;
  /**
   * The maximum number of bytes of memory that keys and decoded values take, estimated. A larger value is not kept.
   * Default: the `maxSize` of the namespace, at least 8 MiB, at most 64 MiB.
   */
  maxSize?: number | undefined;
}

/** Options of an instance, with all defaults applied. */
export interface InstanceOptions {
  namespace: string;
  timeout: number;
  failsafe: Failsafe;
  handoverTimeout: number;
  endpoint: string | undefined;
  role: 'host' | 'client' | undefined;
  attach: boolean;
  /** The maximum number of values in the near cache; 0 disables it. */
  near: number;
  /** The maximum number of bytes in the near cache; `undefined` if the option was omitted. */
  nearMaxSize: number | undefined;
  persist: PersistSettings | undefined;
  /** Other users whose processes may be clients; `undefined` if the option was omitted. */
  allowUids: number[] | undefined;
}

/** Where and how often a host's content is saved, with defaults applied. */
export interface PersistSettings {
  /** Absolute, because the process may change its directory. */
  path: string;
  /** In ms; `undefined` saves only at the end. */
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
/** The next number, 2^32 - 1, is not a user id. */
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
  conflict: oneOf('warn', 'reject'),
  allowUids: userIds,
} as const satisfies Record<Exclude<keyof CacheOptions, keyof NamespaceOptions>, Check>;

const OPTIONS: Record<string, Check> = { ...NAMESPACE_OPTIONS, ...INSTANCE_OPTIONS };

/** Checks all options; unknown names are refused, so that a typo does not silently mean "default". */
export function checkOptions(given: CacheOptions = {}): { instance: InstanceOptions; shared: NativeOptions } {
  const options = readOptions('options', given, OPTIONS) as CacheOptions;
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
      nearMaxSize: typeof options.near === 'object' ? options.near.maxSize : undefined,
      persist: persistSettings(options.persist),
      allowUids: options.allowUids && [...options.allowUids],
    },
    shared: { ...sharedOptions(options), ...(options.conflict === 'reject' && { strict: true }) },
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
  // They would all become one character, and so different names one namespace.
  if (!isWellFormed(value)) throw invalidOption(name, value, 'a string without lone surrogates', true);
}

function nearCache(name: string, value: unknown): void {
  if (typeof value === 'boolean') return;
  const allowed = 'true, false or an object with `max` and `maxSize`';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidOption(name, value, allowed);
  for (const [inner, setting] of Object.entries(value)) {
    if (inner !== 'max' && inner !== 'maxSize') {
      throw invalidOption(`${name}.${inner}`, setting, '`max` or `maxSize`');
    }
  }
  const { max, maxSize } = value as NearOptions;
  if (max !== undefined) positiveInteger('near.max', max);
  if (maxSize !== undefined) positiveInteger('near.maxSize', maxSize);
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
  // By index, to refuse holes too.
  for (let index = 0; index < value.length; index++) {
    number(`${name}[${index}]`, value[index], allowed, (id) => Number.isInteger(id) && id >= 0 && id <= MAX_USER);
  }
}
