/** Snapshots of the cache that this process hosts: requests for them, and notices of their results. */

import process from 'node:process';
import { debug } from '../debug.js';
import { native, translated, type SnapshotNotice } from '../native.js';
import type { PersistSettings } from '../options/instance.js';
import { isolate } from '../discovery/isolate.js';

const log = debug('snapshot');

/** Takes notices; with `ending` this is the last call. */
export type NoticeSink = (notice: SnapshotNotice, ending: boolean) => void;

let sink: NoticeSink = warn;
let listens = false;

/**
 * Requests snapshots of the cache that this process hosts, now or when its app elects it. Blocks while one is loaded.
 */
export function keepSnapshots({ path, interval }: PersistSettings, elected: boolean): void {
  if (!listens) {
    listens = true;
    native.onSnapshotNotice(() => passNotices(false));
  }
  try {
    translated(() => (elected ? native.persistElected(path, interval) : isolate().persist(path, interval)));
  } finally {
    passNotices(false);
  }
}

/** Passes on the notices that native code has collected. */
export function passNotices(ending: boolean): void {
  for (const notice of native.takeSnapshotNotices()) sink(notice, ending);
}

/** Sends all notices to `to` instead. */
export function divertNotices(to: NoticeSink): void {
  sink = to;
}

function warn({ code, message, warning }: SnapshotNotice, ending: boolean): void {
  log('%s: %s', code, message);
  if (!warning) return;
  const error = Object.assign(new Error(message), { name: 'ClusteredCacheWarning', code });
  // A warning is emitted in the next tick, which never comes at the end of a process.
  if (ending) process.emit('warning', error);
  else process.emitWarning(error);
}
