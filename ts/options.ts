/** Options: their types, what is allowed, and their way to native code. Defaults are the core's. */

import { resolve } from 'node:path';
import { codedError, rangeError } from './errors.js';
import type { NativeOptions } from './native.js';

/** What to do when the host cannot be reached. */
export type Failsafe = 'resolve' | 'reject';

/** Options of a cache. Those of the namespace are shared by all who name it; leaving one out never conflicts. */
export interface CacheOptions {
  /** Shared name, 1 to 256 bytes. Default `'default'`. A test file shares it with what it starts, and with no other file. */
  namespace?: string;
  /** Most entries. Default: no bound of its own. */
  max?: number;
  /** Most bytes (keys and values), or units of `size` where entries are given one. Default 256 MiB. */
  maxSize?: number;
  /** Largest entry in bytes (or units of `size`). Larger values are not stored. Default `maxSize`, at most 16 MiB. */
  maxEntrySize?: number;
  /** Time to live in ms of entries that are not given one; 0 is none. Default 0. */
  ttl?: number;
  /** A stale entry is returned once before it goes. Default `false`. */
  allowStale?: boolean;
  /** A read restarts an entry's time to live. Default `false`. */
  updateAgeOnGet?: boolean;
  /** `has` restarts an entry's time to live. Default `false`. */
  updateAgeOnHas?: boolean;
  /** A stale entry stays where a read met it. Default `false`. */
  noDeleteOnStaleGet?: boolean;
  /** Stale entries go when their time is over, not when they are met. Default `false`. */
  ttlAutopurge?: boolean;
  /** `null` is a value. Default `false`. */
  cacheNull?: boolean;
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

/** How to keep an entry. */
export interface SetOptions {
  /** Time to live in ms; 0 is none. Default: the namespace's. */
  ttl?: number;
  /** Milliseconds since the Unix epoch at which the entry ends; wins over `ttl`. */
  expiresAt?: number;
  /** Size to reckon with. Default: the bytes that key and value take. */
  size?: number;
}

/** How to keep an entry that a counter, a batch or a load creates. */
export type KeepOptions = Omit<SetOptions, 'expiresAt'>;

/** How to change a counter. */
export interface CountOptions extends KeepOptions {
  /** The result is never below. */
  min?: number;
  /** The result is never above. */
  max?: number;
}

/** How to load. */
export interface FetchOptions extends KeepOptions {
  /** Load even if there is a value. */
  forceRefresh?: boolean;
  /** Time in ms for the load before the next waiter takes over. Default 30 000. */
  lease?: number;
  /** Ends this caller's wait; another caller's load goes on. */
  signal?: AbortSignal;
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

export const DEFAULTS = {
  namespace: 'default',
  timeout: 1_000,
  failsafe: 'resolve',
  handoverTimeout: 1_000,
  lease: 30_000,
  near: 10_000,
} as const;
export const MAX_NAMESPACE_BYTES = 256;
/** The longest delay a Node timer takes. */
const MAX_TIMEOUT = 2 ** 31 - 1;
/** Shorter intervals would write all the time. */
const MIN_INTERVAL = 1_000;
/** The next number is that of no user. */
const MAX_USER = 2 ** 32 - 2;
/** The largest entry; see `MAX_ENTRY_BYTES` in `crates/core/src/config.rs`. */
export const MAX_ENTRY_BYTES = 16 * 1024 * 1024;

const NAMESPACE_OPTIONS = {
  max: positiveInteger,
  maxSize: positiveInteger,
  maxEntrySize: positiveInteger,
  ttl: duration,
  allowStale: boolean,
  updateAgeOnGet: boolean,
  updateAgeOnHas: boolean,
  noDeleteOnStaleGet: boolean,
  ttlAutopurge: boolean,
  cacheNull: boolean,
} as const;

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
} as const;

/** Checks all options; unknown names are refused, so that a typing error does not silently mean "default". */
export function checkOptions(options: CacheOptions = {}): { instance: InstanceOptions; shared: NativeOptions } {
  const given = plainObject('options', options);
  const known: Record<string, (name: string, value: unknown) => unknown> = {
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

/** The options that native code takes, from checked ones. */
export function sharedOptions(options: CacheOptions): NativeOptions {
  const shared: Record<string, unknown> = {};
  for (const name of Object.keys(NAMESPACE_OPTIONS) as (keyof typeof NAMESPACE_OPTIONS)[]) {
    if (options[name] !== undefined) shared[name] = options[name];
  }
  return shared;
}

/** Checks one option that is changed at run time. */
export function checkShared(name: keyof typeof NAMESPACE_OPTIONS, value: unknown): void {
  NAMESPACE_OPTIONS[name](name, value);
}

/** Checks the options of one call; `undefined` becomes an empty object. */
export function checkCall<T extends object>(options: T | undefined, allowed: readonly (keyof T & string)[]): T {
  if (options === undefined) return {} as T;
  const given = plainObject('options', options);
  for (const [name, value] of Object.entries(given)) {
    const check = CALL_OPTIONS[name];
    if (!check || !(allowed as readonly string[]).includes(name)) {
      throw invalidOption(name, value, `one of ${allowed.join(', ')}`);
    }
    if (value !== undefined) check(name, value);
  }
  return options;
}

const CALL_OPTIONS: Record<string, (name: string, value: unknown) => unknown> = {
  ttl: duration,
  expiresAt: finite,
  size: positiveInteger,
  min: finite,
  max: finite,
  lease: positive,
  forceRefresh: boolean,
  signal: abortSignal,
  prefix: text,
  endpoint: path,
};

/** The refusal of an option; the message names it, its value and what is allowed. */
export function invalidOption(name: string, value: unknown, allowed: string, isRange = false): Error {
  const message = `option \`${name}\` is ${show(value)}; allowed is ${allowed}`;
  return isRange ? rangeError('ERR_CC_INVALID_OPTION', message) : codedError('ERR_CC_INVALID_OPTION', message);
}

/** A value in a message: short, and safe for anything. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  if (typeof value === 'function') return 'a function';
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

// --- what is allowed -------------------------------------------------------------------------------------------

function plainObject(name: string, value: unknown): object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidOption(name, value, 'an object');
  }
  return value;
}

function number(name: string, value: unknown, allowed: string, isAllowed: (value: number) => boolean): void {
  if (typeof value !== 'number') throw invalidOption(name, value, allowed);
  if (!isAllowed(value)) throw invalidOption(name, value, allowed, true);
}

function positiveInteger(name: string, value: unknown): void {
  number(name, value, 'a positive integer', (n) => Number.isSafeInteger(n) && n > 0);
}

function duration(name: string, value: unknown): void {
  number(name, value, 'a number of milliseconds, 0 for none', (n) => n >= 0 && n <= Number.MAX_SAFE_INTEGER / 1000);
}

function positive(name: string, value: unknown): void {
  number(name, value, 'a positive number of milliseconds', (n) => n > 0 && Number.isFinite(n));
}

function timeLimit(name: string, value: unknown): void {
  number(name, value, `a number of milliseconds from 1 to ${MAX_TIMEOUT}`, (n) => n >= 1 && n <= MAX_TIMEOUT);
}

function timeLimitOrNone(name: string, value: unknown): void {
  number(name, value, `a number of milliseconds up to ${MAX_TIMEOUT}, 0 for none`, (n) => n >= 0 && n <= MAX_TIMEOUT);
}

function finite(name: string, value: unknown): void {
  number(name, value, 'a finite number', Number.isFinite);
}

function boolean(name: string, value: unknown): void {
  if (typeof value !== 'boolean') throw invalidOption(name, value, 'true or false');
}

function text(name: string, value: unknown): void {
  if (typeof value !== 'string') throw invalidOption(name, value, 'a string');
}

function path(name: string, value: unknown): void {
  if (typeof value !== 'string' || value === '') throw invalidOption(name, value, "the path of a host's socket");
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

/** Checks the time between two snapshots. */
export function snapshotInterval(name: string, value: unknown): void {
  const allowed = `a number of milliseconds from ${MIN_INTERVAL} to ${MAX_TIMEOUT}, 0 for none`;
  number(name, value, allowed, (n) => n === 0 || (n >= MIN_INTERVAL && n <= MAX_TIMEOUT));
}

function oneOf(...allowed: string[]): (name: string, value: unknown) => void {
  return (name, value) => {
    if (!allowed.includes(value as string)) {
      throw invalidOption(name, value, allowed.map((one) => `'${one}'`).join(' or '));
    }
  };
}

function abortSignal(name: string, value: unknown): void {
  // By its shape, for test runners bring a class of their own.
  const signal = value as Partial<AbortSignal> | null;
  if (typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function') return;
  throw invalidOption(name, value, 'an AbortSignal');
}

// --- listening ---------------------------------------------------------------------------------------------------

/** Where to listen. */
export interface ListenOptions {
  /** Path of the socket, in a directory of this user that nobody else can enter. Default: a private one. */
  endpoint?: string;
}

/** Checks the options of `listen`. */
export function checkListen(options: ListenOptions | undefined): ListenOptions {
  return checkCall(options, ['endpoint']);
}
