/**
 * The end of a process that takes part in an election: where it is the host, another process goes on with all it holds.
 *
 * | what ends the process | what happens here |
 * |---|---|
 * | SIGINT or SIGTERM, and the application does not listen | it leaves, then the signal does what it would have done |
 * | SIGINT or SIGTERM, and the application listens | it leaves; the application ends the process when it wants to |
 * | PM2's message `shutdown` | the same: only an application that listens to messages is sent one |
 * | nothing left to do, `process.exit()`, an error | it leaves at 'exit' |
 *
 * To leave is one call that blocks: nothing in JavaScript has to run meanwhile, so it works at 'exit' as well.
 */

import process from 'node:process';
import { debug } from '../debug.js';
import { Leaving, native } from '../native.js';

const log = debug('exit');

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const OUTCOMES = {
  [Leaving.NotHosting]: 'hosted nothing, left',
  [Leaving.HandedOver]: 'handed over',
  [Leaving.NoHeir]: 'found nobody to take over',
};
/** What PM2 sends instead of a signal, with `shutdown_with_message`. */
const SHUTDOWN = 'shutdown';

/** The time for a handover, in ms: the most that an instance of this process asked for. */
let limit = 0;
let isInstalled = false;
/** Sends what has been asked, before nobody here is a host any more. */
let finish = () => {};

/**
 * From now on this process leaves before it ends, within `timeout` ms, and calls `flush` before that. For the main thread:
 * signals are nobody else's.
 */
export function leaveAtEnd(timeout: number, flush: () => void): void {
  limit = Math.max(limit, timeout);
  finish = flush;
  if (isInstalled || limit === 0) return;
  isInstalled = true;
  // First of all: what the application does at the signal finds the next host. And others who end the process where
  // nobody but them listens find that it is so.
  for (const signal of SIGNALS) process.prependListener(signal, onSignal);
  process.on('newListener', followMessages).on('removeListener', followMessages);
  followMessages('message');
}

/** Hands over what this process hosts, if anything. Called at 'exit', and before. */
export function leave(): void {
  if (limit === 0) return;
  finish();
  const start = performance.now();
  const left = native.leave(limit);
  // With no heir what is held ends with the process; a snapshot is to be written here, at 'exit', where one is wanted.
  log('%s after %d ms', OUTCOMES[left], Math.round(performance.now() - start));
}

function onSignal(signal: NodeJS.Signals): void {
  leave();
  process.removeListener(signal, onSignal);
  // Where nobody else listens, the process ends as it would have ended without this listener.
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
}

function onMessage(message: unknown): void {
  if (message === SHUTDOWN) leave();
}

/**
 * Listens to messages exactly while the application does: the first listener keeps the process alive, which is not for this
 * package to decide, and a second one changes nothing.
 */
function followMessages(event: string | symbol, listener?: unknown): void {
  if (event !== 'message' || listener === onMessage) return;
  // The change is made when this turn is over.
  process.nextTick(() => {
    const listeners = process.listeners('message');
    const isListening = listeners.includes(onMessage);
    if (isListening && listeners.length === 1) process.removeListener('message', onMessage);
    else if (!isListening && listeners.length > 0) process.on('message', onMessage);
  });
}
