// The machine that the figures were measured on, without anything that identifies it or its owner.

import { cpus, loadavg, release, totalmem, type } from 'node:os';

export function describeMachine() {
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memory: `${Math.round(totalmem() / 1024 ** 3)} GiB`,
    system: `${type()} ${release().split('-')[0]}`,
    node: process.versions.node,
  };
}

/** The load of the machine before the run began, in waiting processes. */
export const loadBefore = () => Number(loadavg()[0].toFixed(2));
