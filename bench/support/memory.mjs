// The memory of a process.

import { readFileSync } from 'node:fs';

/**
 * Bytes of this process, without garbage if `--expose-gc` was given: its own, and its share of the memory that
 * processes have in common. Where the system does not distinguish the two, all memory counts as its own.
 */
export function resident() {
  for (let round = 0; round < 3; round++) globalThis.gc?.();
  const found = proportional();
  return found
    ? { own: found.all - found.common, common: found.common }
    : { own: process.memoryUsage.rss(), common: 0 };
}

/**
 * The kernel's proportional count: a page that n processes have mapped is an nth of a page in each, so that the sum
 * over all of them counts it once. Memory shared by descriptor is a part of its own, apart from files and programs.
 */
function proportional() {
  let text;
  try {
    text = readFileSync('/proc/self/smaps_rollup', 'latin1');
  } catch {
    return undefined;
  }
  const bytes = (name) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)[1]) * 1024;
  return { all: bytes('Pss'), common: bytes('Pss_Shmem') };
}
