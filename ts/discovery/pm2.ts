/**
 * PM2: the parent of an app's instances is PM2's daemon, which runs no code of the app and cannot host. They elect a
 * host among themselves, whatever their role in the cluster module.
 */

import type { createHash as CreateHash } from 'node:crypto';
import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';
import { isStartedThroughTools, systemAncestor } from './ancestors.js';
import { native } from '../native.js';
import { clusterInUse } from './cluster-module.js';

let found: string | null | undefined;

/** The key under which the instances of this PM2 app elect their host; `undefined` outside of PM2. */
export function electionKey(): string | undefined {
  // A thread may have an environment of its own.
  if (!isMainThread) return native.electionKey() ?? keyOfInstance() ?? undefined;
  found = found === undefined ? keyOfInstance() : found;
  return found ?? undefined;
}

/**
 * Whether this process is an instance or was started by one. Its environment tells, unless it was started with another.
 */
export function isOfInstance(): boolean {
  const { pm_id: id, PM2_HOME: home, name } = process.env;
  return id !== undefined && !!home && name !== undefined;
}

function keyOfInstance(): string | null {
  const { PM2_HOME: home = '', name = '', namespace = 'default' } = process.env;
  if (!isOfInstance() || !isInstance(home)) return null;
  // Loaded here, because it would add a tenth to the time that this package takes to load.
  const { createHash } = require('node:crypto') as { createHash: typeof CreateHash };
  // Only these are the same in all instances, survive reloads, restarts and resurrections, and differ between apps.
  return createHash('sha256')
    .update(['v1', 'pm2', real(home), namespace, name, ...appFile()].join('\0'))
    .digest('hex')
    .slice(0, native.ELECTION_KEY_DIGITS);
}

/**
 * The file that PM2 names after the app, without the number of the instance. Where two apps set the same variable `name`
 * in their own environment, it still differs.
 */
function appFile(): string[] {
  const { pm_pid_path: file } = process.env;
  return file === undefined ? [] : [file.replace(/-\d+\.pid$/, '')];
}

/**
 * Children of an instance inherit its environment, but not its parent. An application that is started through a tool is
 * the instance in place of the tool.
 */
function isInstance(home: string): boolean {
  let daemon: string;
  try {
    daemon = readFileSync(path.join(home, 'pm2.pid'), 'utf8').trim();
  } catch {
    return isLikelyInstance();
  }
  return daemon === String(process.ppid) || (isStartedThroughTools(Number(daemon), systemAncestor) ?? false);
}

/** For instances under a user who cannot read the daemon's files. */
function isLikelyInstance(): boolean {
  const { exec_mode: mode } = process.env;
  // In a thread `cluster` says nothing about the process; its environment is a copy of an instance's, or its child's.
  const isWorker = isMainThread ? (clusterInUse()?.isWorker ?? false) : mode === 'cluster_mode';
  return mode === 'cluster_mode' ? isWorker : mode === 'fork_mode' && !isWorker;
}

function real(home: string): string {
  try {
    return realpathSync(home);
  } catch {
    return path.resolve(home);
  }
}
