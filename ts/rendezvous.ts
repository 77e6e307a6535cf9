/**
 * How workers of the cluster module learn where their primary listens, over Node's own IPC: a worker says hello,
 * the primary answers path and secret. A primary that loads this package after its workers announces itself.
 */

import cluster, { type Worker } from 'node:cluster';
import { isMainThread } from 'node:worker_threads';
import { debug } from './debug.js';
import { isClusterPrimary } from './environment.js';
import { native, translated, type Attachment } from './native.js';
import { electionKey } from './pm2.js';

const log = debug('rendezvous');

/** The only property of our messages, so that applications can tell them apart. */
const MESSAGE = 'clustered-cache';
const HELLO = 'hello';
/** A worker asks again after this time, doubled each time up to the second. */
const FIRST_RETRY = 25;
const LAST_RETRY = 1_000;

// --- primary -----------------------------------------------------------------------------------------------------

let answers = false;

/** Answers workers from now on, and tells those that are there already. The socket opens with the first worker. */
export function answerWorkers(): void {
  if (answers || !isClusterPrimary()) return;
  answers = true;
  cluster.on('message', (worker, message) => {
    if (isOurs(message) && message[MESSAGE] === HELLO) tell(worker);
  });
  for (const worker of Object.values(cluster.workers ?? {})) if (worker) tell(worker);
}

function tell(worker: Worker): void {
  let message: unknown;
  try {
    message = { [MESSAGE]: translated(whereabouts) };
  } catch (error) {
    log('cannot listen: %s', error);
    message = { [MESSAGE]: { failure: (error as Error).message } };
  }
  // A worker that is just dying needs no answer.
  if (worker.isConnected()) worker.send(message as object, () => {});
}

/** Where workers find the host: here, or where this process finds it itself. */
function whereabouts(): Attachment {
  const key = electionKey();
  return key === undefined ? native.listen() : { endpoint: native.elect(key, true) };
}

// --- worker ------------------------------------------------------------------------------------------------------

/** What the primary answered: where it listens, or why it cannot. */
type Answer = Attachment | { failure: string };

/** Who looks for the primary. */
export interface Seeker {
  /** It has told where it is; it is asked no more. */
  onAnswer(attachment: Attachment): void;
  /** It has told why it cannot listen; it is asked again. */
  onFailure(reason: string): void;
}

/** Looks for the primary. Nothing here keeps the process alive. Returns a function that stops looking. */
export function findPrimary({ onAnswer, onFailure }: Seeker): () => void {
  return isMainThread ? askPrimary({ onAnswer, onFailure }) : awaitMainThread(onAnswer);
}

function askPrimary({ onAnswer, onFailure }: Seeker): () => void {
  const known = native.attachment();
  if (known) {
    onAnswer(known);
    return () => {};
  }
  const stopAsking = repeat(() => void process.send?.({ [MESSAGE]: HELLO }, undefined, undefined, () => {}));
  const onMessage = (message: unknown) => {
    if (!isOurs(message)) return;
    const answer = message[MESSAGE] as Answer;
    if ('failure' in answer) return onFailure(`the primary cannot listen: ${answer.failure}`);
    stop();
    native.setAttachment(answer.endpoint, answer.secret);
    onAnswer(answer);
  };
  const stop = () => {
    stopAsking();
    process.off('message', onMessage);
  };
  process.on('message', onMessage);
  return stop;
}

/** Threads have no IPC of their own: the main thread asks, and leaves the answer where threads find it. */
function awaitMainThread(onAnswer: (attachment: Attachment) => void): () => void {
  const stop = repeat(() => {
    const attachment = native.attachment();
    if (!attachment) return;
    stop();
    onAnswer(attachment);
  });
  return stop;
}

/** Calls `act` now and again, ever more slowly, until stopped. */
function repeat(act: () => void): () => void {
  let delay = FIRST_RETRY;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const next = () => {
    act();
    if (stopped) return;
    timer = setTimeout(next, delay).unref();
    delay = Math.min(delay * 2, LAST_RETRY);
  };
  queueMicrotask(next);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

function isOurs(message: unknown): message is Record<string, unknown> {
  return typeof message === 'object' && message !== null && Object.hasOwn(message, MESSAGE);
}
