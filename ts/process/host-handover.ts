/**
 * The end of a process that takes part in an election: if it is the host, another process takes over its content.
 *
 * | what ends the process | what happens here |
 * |---|---|
 * | SIGINT or SIGTERM, and the application does not listen | it leaves, then the signal has its default effect |
 * | SIGINT or SIGTERM, and the application listens | it leaves; the application ends the process when it wants to |
 * | PM2's message `shutdown` | the same; PM2 sends it only to applications that listen to messages |
 * | no work left, `process.exit()`, an error | it leaves at 'exit' |
 *
 * Leaving is one blocking call. No JavaScript has to run in the meantime, so it also works at 'exit'.
 */

import process from 'node:process';
import { debug } from '../debug.js';
import { Leaving, native } from '../native.js';
import { nextTick, now } from '../time.js';
import { marked, raise } from './exit-hooks.js';

const log = debug('exit');

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const OUTCOMES = {
  [Leaving.NotHosting]: 'hosted nothing, left',
  [Leaving.HandedOver]: 'handed over',
  [Leaving.NoSuccessor]: 'found no process to take over',
};
/** The message that PM2 sends instead of a signal, with `shutdown_with_message`. */
const SHUTDOWN = 'shutdown';

/** The time for a handover, in ms: the maximum over the instances of this process. */
let limit = 0;
let isInstalled = false;
/** Sends queued requests, before this process stops hosting. */
let finish = () => {};

/**
 * Makes this process leave before it ends, within `timeout` ms, after calling `flush`. Main thread only: other threads
 * do not receive signals.
 */
export function leaveAtEnd(timeout: number, flush: () => void): void {
  limit = Math.max(limit, timeout);
  finish = flush;
  if (isInstalled || limit === 0) return;
  isInstalled = true;
  // Runs before other listeners, so that operations in the application's own listeners reach the next host. Once it has
  // removed itself, other packages that end the process only if no one else listens see the true count.
  for (const signal of SIGNALS) process.prependListener(signal, onSignal);
  process.on('newListener', followMessages).on('removeListener', followMessages);
  followMessages('message');
}

/** Hands over the content that this process hosts, if any. Called at 'exit', and before. */
export function leave(): void {
  if (limit === 0) return;
  finish();
  const start = now();
  const left = native.leave(limit);
  // Without a successor the content ends with the process; a snapshot, if wanted, must be written now, at 'exit'.
  log('%s after %d ms', OUTCOMES[left], Math.round(now() - start));
}

const onSignal = marked((signal: NodeJS.Signals) => {
  leave();
  process.removeListener(signal, onSignal);
  // If there is no other listener, the process ends as it would have ended without this one.
  if (process.listenerCount(signal) === 0) raise(signal);
});

function onMessage(message: unknown): void {
  if (message === SHUTDOWN) leave();
}

/**
 * Listens to messages exactly while the application does: a first listener keeps the process alive, which this package
 * must not do; a second one has no such effect.
 */
function followMessages(event: string | symbol, listener?: unknown): void {
  if (event !== 'message' || listener === onMessage) return;
  // The change takes effect after the current code has run.
  nextTick(() => {
    const listeners = process.listeners('message');
    const isListening = listeners.includes(onMessage);
    if (isListening && listeners.length === 1) process.removeListener('message', onMessage);
    else if (!isListening && listeners.length > 0) process.on('message', onMessage);
  });
}
