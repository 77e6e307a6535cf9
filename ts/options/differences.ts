/** The warning that a process gets when its declaration of an option is not the one that counts. */

import type { NativeOptions } from '../native.js';

/** Namespaces and options that were warned of; more would only fill a log. */
const MOST = 1_000;
const warned = new Set<string>();

/**
 * Warns, once for each namespace and option, that process `pid` has declared `inForce` where this process has declared
 * something else. Both go on: the value of the process that started last is in force for all.
 */
export function warnOfDifferences(
  namespace: string,
  declared: NativeOptions,
  pid: number,
  inForce: ReadonlyMap<string, unknown>,
): void {
  for (const [option, value] of inForce) {
    const key = `${option} ${namespace}`;
    if (warned.has(key) || warned.size >= MOST) continue;
    warned.add(key);
    const own = declared[option as keyof NativeOptions];
    process.emitWarning(
      `namespace "${namespace}": this process (pid ${process.pid}) declares \`${option}\` as ${String(own)}, but ` +
        `${String(value)} is in force, which process ${pid} declares, because it started later; declare the same value ` +
        'in all processes that run at the same time',
      { type: 'ClusteredCacheWarning', code: 'CC_OPTIONS_DIFFER' },
    );
  }
}
