/**
 * The role of this process: host or client, and of which host. The facts are read only here; the roles
 * are explained in `docs/design/discovery.md`.
 */

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { codedError } from '../errors.js';
import { native } from '../native.js';
import { invalidOption, show } from '../options/checks.js';
import type { InstanceOptions } from '../options/instance.js';
import { clusterInUse } from './cluster-module.js';
import { electionKey } from './pm2.js';

const { MAX_NAMESPACE_BYTES } = native;

/** Names a host's socket for processes that the cluster module does not connect. */
const ENDPOINT_VARIABLE = 'CLUSTERED_CACHE_ENDPOINT';

/** Selects how clients read the data: `socket` never reads the host's memory, `shared` requires it. */
const TRANSPORT_VARIABLE = 'CLUSTERED_CACHE_TRANSPORT';

/** Separates namespaces of the same name, for parts of a program that run side by side, such as tests. */
const SCOPE_VARIABLE = 'CLUSTERED_CACHE_SCOPE';

/**
 * The prefix of the host's names for namespaces that are opened here. It is read each time: threads and test files of
 * one process each have their own environment, and set it before they open a cache.
 */
function scopePrefix(): string {
  const scope = process.env[SCOPE_VARIABLE];
  return scope === undefined || scope === '' ? '' : `${scope}/`;
}

/** Whether the scope is set explicitly, even to the empty scope. */
export function isScopeGiven(): boolean {
  return process.env[SCOPE_VARIABLE] !== undefined;
}

/** The name by which the host knows a namespace. */
export function scoped(namespace: string): string {
  const prefix = scopePrefix();
  const name = prefix + namespace;
  if (prefix === '' || Buffer.byteLength(name) <= MAX_NAMESPACE_BYTES) return name;
  throw codedError(
    'ERR_CC_INVALID_OPTION',
    `the namespace ${show(namespace)} with ${SCOPE_VARIABLE} before it has more than ${MAX_NAMESPACE_BYTES} bytes; ` +
      'choose a shorter scope',
  );
}

/** The host's names that belong to this scope, as callers here know them. */
export function unscoped(names: readonly string[]): string[] {
  const prefix = scopePrefix();
  return names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
}

/** The facts that tell whether this code is in a test file that shares its process with others. */
export interface RunnerFacts {
  env: NodeJS.ProcessEnv;
  isMainThread: boolean;
  /** The script of this thread, or else of the process: `process.argv[1]`. */
  script: string | undefined;
  /** Whether this code has globals of its own, in a context that is not the thread's. */
  hasOwnGlobals: boolean;
  /** Whether vitest keeps its state in these globals. */
  hasVitestState: boolean;
}

/** The file that ava runs in each of its threads and processes. */
const AVA_WORKER = /[\\/]ava[\\/]lib[\\/]worker[\\/]base\.js$/;

/**
 * The test runner that runs several files in one process, if this code is in one of these files. Environment variables
 * alone do not tell: a process that a test file starts, such as the server it tests, inherits them and is an
 * application like any other. Where each file has a process of its own, as with `node --test`, no separation is needed.
 */
export function sharingRunner(facts: RunnerFacts): 'jest' | 'vitest' | 'ava' | undefined {
  const { env, isMainThread, script = '', hasOwnGlobals, hasVitestState } = facts;
  // Jest runs one file after another, each in a context.
  if (env['JEST_WORKER_ID'] !== undefined && hasOwnGlobals) return 'jest';
  // The pools vmThreads and vmForks do the same; the pool threads starts a thread for each file.
  if (env['VITEST'] !== undefined && (hasOwnGlobals || (!isMainThread && hasVitestState))) return 'vitest';
  return !isMainThread && AVA_WORKER.test(script) ? 'ava' : undefined;
}

/** The value of `CLUSTERED_CACHE_TRANSPORT`; `undefined` selects whatever works. */
export function transportWish(): 'socket' | 'shared' | undefined {
  const wish = process.env[TRANSPORT_VARIABLE];
  if (wish === undefined || wish === '') return undefined;
  if (wish === 'socket' || wish === 'shared') return wish;
  throw codedError('ERR_CC_INVALID_OPTION', `${TRANSPORT_VARIABLE} is ${show(wish)}; allowed is socket or shared`);
}

/** How an instance reaches its store. */
export type Way =
  /** The store is in this process. */
  | { to: 'here'; listenAt?: string }
  /** The host is elected among equal processes; with `stands`, this process may become the host. */
  | { to: 'elected'; key: string; stands: boolean }
  /** The host is the cluster's primary, which sends its endpoint over Node's IPC. */
  | { to: 'primary' }
  /** The host is that of the parent process, which sends its endpoint in the same way. */
  | { to: 'parent' }
  /** The host listens at a known path. */
  | { to: 'endpoint'; endpoint: string };

/** The host's socket that the environment names. */
export function endpointOfEnvironment(): string | undefined {
  return process.env[ENDPOINT_VARIABLE] || undefined;
}

/** The way for an instance with these options; first match wins. */
export function wayFor(options: InstanceOptions): Way {
  const { endpoint: named = endpointOfEnvironment(), role, attach } = options;
  // Now: the process may change its directory, and passes the path on to processes in other ones.
  const endpoint = named && resolve(named);
  if (role === 'host') return endpoint === undefined ? { to: 'here' } : { to: 'here', listenAt: endpoint };
  if (endpoint !== undefined) return { to: 'endpoint', endpoint };
  // Checked before the cluster module's role: under PM2 either all instances are primaries, or all are workers.
  const key = electionKey();
  if (key !== undefined) return { to: 'elected', key, stands: role !== 'client' };
  if (isClusterWorker()) return { to: 'primary' };
  if (attach) {
    if (hasParent()) return { to: 'parent' };
    throw invalidOption(
      'attach',
      attach,
      "true in a process that was started with child_process.fork, or with 'ipc' in its `stdio`; elsewhere use `endpoint`",
    );
  }
  if (role === 'client') {
    throw invalidOption(
      'role',
      role,
      `'client' in a cluster worker, in a PM2 instance, or together with \`endpoint\` or \`attach\``,
    );
  }
  return { to: 'here' };
}

/**
 * Refuses `allowUids` where it would have no effect: other users can connect only with what this process tells the
 * processes that it starts.
 */
export function checkGuests({ allowUids, endpoint }: InstanceOptions, way: Way): void {
  if (allowUids === undefined) return;
  const reason = whyNoGuests(way, endpoint !== undefined);
  if (reason !== undefined) throw invalidOption('allowUids', allowUids, `only ${reason}`);
}

function whyNoGuests(way: Way, hasEndpoint: boolean): string | undefined {
  const endpoint = hasEndpoint ? '`endpoint`' : ENDPOINT_VARIABLE;
  if (process.platform === 'win32') return 'on systems where users have numbers, which Windows is not';
  switch (way.to) {
    case 'here':
      if (way.listenAt === undefined) return undefined;
      return (
        `without ${endpoint}: clients at a path read the secret from a file that no other user can read; those that the ` +
        'host starts itself are told it, so give `allowUids` to a cache of the host that has no path'
      );
    case 'endpoint':
      return `in the process that hosts, and this one is a client because of ${endpoint}`;
    case 'primary':
      return 'in the process that hosts: give it to a cache of the primary, and leave it out in workers (cluster.isWorker)';
    case 'parent':
      return 'in the process that hosts: give it there, and leave it out where there is `attach`';
    case 'elected':
      return 'outside of PM2 apps, whose instances share a secret that no other user can read: run all of them as one user';
  }
}

/** Whether this process is a worker of the cluster module; `cluster.isWorker` is false in its threads. */
export function isClusterWorker(): boolean {
  if (isMainThread) return clusterInUse()?.isWorker ?? false;
  if (native.isHosting()) return false;
  return native.attachment() !== null || startedAsClusterWorker();
}

/** Whether there is, or was, a channel to a process that may know the host; threads cannot tell. */
function hasParent(): boolean {
  return !isMainThread || process.connected || native.attachment() !== null;
}

/** Why this process can never be the host by itself; `undefined` where it is the host or may become it. */
export function whyNoHost(): string | undefined {
  if (electionKey() !== undefined) {
    return (
      'in an instance of a PM2 app, where the host is elected and every instance is its client; a process that is to ' +
      "serve others opens `new ClusteredCache({ role: 'host', endpoint })`"
    );
  }
  return isClusterWorker() ? 'in a cluster worker: call it in the primary' : undefined;
}

/**
 * For a thread whose main thread has not loaded this package: Node removes the mark of a worker from `process.env`,
 * but the environment that the process was started with still has it (Linux only).
 */
function startedAsClusterWorker(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return readFileSync('/proc/self/environ', 'latin1')
      .split('\0')
      .some((one) => one.startsWith('NODE_UNIQUE_ID='));
  } catch {
    return false;
  }
}
