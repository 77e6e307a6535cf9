/** Snapshots of the cache that this process hosts: asking for them, and telling what becomes of them. */

import process from 'node:process';
import { debug } from '../debug.js';
import { native, translated, type SnapshotNotice } from '../native.js';
import type { PersistSettings } from '../options/instance.js';
import { isolate } from '../discovery/isolate.js';

const log = debug('snapshot');

/** Takes what there is to tell; with `ending` there will be no other occasion. */
export type NoticeSink = (notice: SnapshotNotice, ending: boolean) => void;

let sink: NoticeSink = warn;
let listens = false;

/** Asks for snapshots of the cache that this process hosts, or hosts while its app elects it. Blocks while one is loaded. */
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

/** Passes on what keepers have told. */
export function passNotices(ending: boolean): void {
  for (const notice of native.takeSnapshotNotices()) sink(notice, ending);
}

/** Gives all notices to somebody else. */
export function divertNotices(to: NoticeSink): void {
  sink = to;
}

function warn({ code, message, warning }: SnapshotNotice, ending: boolean): void {
  log('%s: %s', code, message);
  if (!warning) return;
  const error = Object.assign(new Error(message), { name: 'ClusteredCacheWarning', code });
  // A warning is told at the next tick, which does not come any more at the end of a process.
  if (ending) process.emit('warning', error);
  else process.emitWarning(error);
}
