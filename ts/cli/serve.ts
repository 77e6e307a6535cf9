/** `clustered-cache serve`: a process that does nothing but host. */

import { closeSync, writeSync } from 'node:fs';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { isClusteredCacheError } from '../errors.js';
import { becomeHost, end } from '../discovery/link-registry.js';
import { native, translated } from '../native.js';
import { sharedOptions } from '../options/namespace.js';
import { isolate } from '../discovery/isolate.js';
import { divertNotices } from '../process/snapshots.js';
import type { ServeSettings } from './arguments.js';
import { Log } from './log.js';
import { setInterval } from '../time.js';

/** How often a second host checks whether the first one has ended. */
const LOOK = 50;
/** Node's longest timer. */
const FOREVER = 2 ** 31 - 1;

/** Hosts until a signal ends the process; the process fails if it cannot host. */
export async function serve(settings: ServeSettings): Promise<void> {
  const log = new Log(settings.logLevel);
  try {
    await host(settings, log);
  } catch (error) {
    if (!isClusteredCacheError(error)) throw error;
    log.error(`${error.message} [${error.code}]`);
    process.exit(1);
  }
}

async function host({ endpoint, defaults, persist, readyFd }: ServeSettings, log: Log): Promise<void> {
  divertNotices(({ code, message, warning }, ending) => {
    if (warning) log.warn(message);
    // Warnings about snapshots at intervals repeat.
    else if (code === 'CC_SNAPSHOT_WRITTEN' && !ending) log.debug(message);
    else log.info(message);
  });
  endOnSignals(log);
  // A host does not keep its process alive, and this process has nothing else that would.
  setInterval(() => {}, FOREVER);
  await untilFree(endpoint, log);
  translated(() => native.setDefaults(sharedOptions(defaults)));
  becomeHost(endpoint, persist);
  log.info(`listening at ${endpoint}, process ${process.pid}`);
  tellReady(endpoint, readyFd, log);
}

/** A supervisor may start the new host before the old one has ended. */
async function untilFree(endpoint: string, log: Log): Promise<void> {
  let waits = false;
  while (!translated(() => isolate().reserve(endpoint))) {
    if (!waits) log.info(`another host listens at ${endpoint}; waiting until it ends`);
    waits = true;
    await sleep(LOOK);
  }
}

function endOnSignals(log: Log): void {
  const stop = (reason: string) => {
    log.info(`${reason}: ending`);
    end();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop(signal));
  // PM2 sends this message where there are no signals.
  process.on('message', (message) => {
    if (message === 'shutdown') stop('shutdown');
  });
}

function tellReady(endpoint: string, readyFd: number | undefined, log: Log): void {
  // PM2's `wait_ready` waits for this; any other parent with a channel may ignore it.
  process.send?.('ready', undefined, undefined, () => {});
  if (readyFd === undefined) return;
  try {
    writeSync(readyFd, `ready ${endpoint}\n`);
    if (readyFd > 2) closeSync(readyFd);
  } catch (error) {
    log.warn(`descriptor ${readyFd} cannot be written: ${(error as Error).message}`);
  }
}
