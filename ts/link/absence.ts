/** The warning that a process gets once for each host that it does not find, if no listener would tell it. */

import process from 'node:process';
import { setImmediate } from '../time.js';

/** Hosts that were warned of; more would only fill a log. */
const MOST = 1_000;
const warned = new Set<string>();

/**
 * Warns that there is no host at `where`, unless `isSettled` says in a moment that a listener was told of it, that no
 * instance is left which it concerns, or that the host is back.
 */
export function warnOfAbsence(where: string, error: Error, isSettled: () => boolean): void {
  if (warned.has(where) || warned.size >= MOST) return;
  // A caller that gives up because of this error closes its instance first.
  setImmediate(() => {
    if (warned.has(where) || isSettled()) return;
    warned.add(where);
    process.emitWarning(
      `this process (pid ${process.pid}) works without a cache: it has no host, because ${error.message}. Until there is one, ` +
        "reads are misses and nothing is stored (option `failsafe`); listen to 'degraded' and 'restored' of a cache to " +
        'be told instead of warned',
      { type: 'ClusteredCacheWarning', code: 'CC_NO_HOST' },
    );
  });
}
