/**
 * How processes learn, over Node's IPC, where the host of the process that started them is: they send a hello and
 * receive the path and the secret. Cluster workers do so by themselves, helpers of child_process when they are told to
 * attach. A primary that loads this package after its workers asks them to send their hello again.
 *
 * A process that names a user whom the host does not serve is not told the secret. A false name would not help it: the
 * host and the file system check its real user.
 */

import type { ChildProcess } from 'node:child_process';
import type { Worker } from 'node:cluster';
import diagnostics from 'node:diagnostics_channel';
import process from 'node:process';
import { isMainThread } from 'node:worker_threads';
import { contentOf, overhear, wrapped } from './channel.js';
import { debug } from '../debug.js';
import { clusterInUse } from './cluster-module.js';
import { isClusterWorker } from './environment.js';
import { codedError } from '../errors.js';
import { native, translated, type Attachment } from '../native.js';
import { electionKey } from './pm2.js';
import { isolate, isolateName } from './isolate.js';
import { clearTimeout, microtask, nextTick, setTimeout } from '../time.js';

const log = debug('rendezvous');

/** The request of a process: the user it runs as, on systems where users have numbers. */
interface Hello {
  hello: number | null;
}

/** The message to processes that may have asked too early: ask again now. */
const CALL = 'call';
/** A process without an answer asks again after this time in ms, which doubles each time, up to `LAST_RETRY`. */
const FIRST_RETRY = 25;
const LAST_RETRY = 1_000;

/** Where the host is, or why there is none. */
type Answer = Attachment | { failure: string };

// --- answering -----------------------------------------------------------------------------------------------------

/**
 * The copy of this package that answers the processes that this thread starts. It is kept where all copies find it: in
 * a module of Node, which all contexts of a thread share.
 */
interface Responder {
  isolate: string;
  leave(): void;
}

const RESPONDER: unique symbol = Symbol.for('clustered-cache.responder') as never;
const responders: typeof diagnostics & { [RESPONDER]?: Responder } = diagnostics;

/**
 * The copy that was current when a child was started: the child's host is in that copy's isolate, whichever copy
 * receives its hello.
 */
const ANSWER: unique symbol = Symbol.for('clustered-cache.answer') as never;
type Child = ChildProcess & { [ANSWER]?: (hello: Hello) => void };

/**
 * Answers the processes that this thread starts with a channel, if they ask, and calls workers that exist already. The
 * socket opens with the first answer. Where a thread runs test files one after another, the copy that was evaluated
 * last does this, because it belongs to the file that is running.
 */
export function answerChildren(): void {
  const name = isolateName();
  // Copies in one isolate are one application.
  if (responders[RESPONDER]?.isolate === name) return;
  responders[RESPONDER]?.leave();
  responders[RESPONDER] = { isolate: name, leave: startResponding() };
}

/** Listens to children. Returns a function that stops listening to new ones; children that exist are still answered. */
function startResponding(): () => void {
  let stopHearing: (() => void) | undefined;
  const onMessage = ({ process: child }: Worker, message: unknown) => {
    const content = contentOf(message);
    if (isHello(content)) (child as Child)[ANSWER]?.(content);
  };
  /** Listens to workers as soon as the application uses the cluster module, which may be later. */
  const hearWorkers = () => {
    const cluster = clusterInUse();
    // Also in threads, which fork as primaries do.
    if (stopHearing || !cluster?.isPrimary) return;
    cluster.on('message', onMessage);
    stopHearing = () => cluster.off('message', onMessage);
  };
  const onChild = (event: unknown) => {
    hearWorkers();
    hearOf((event as { process: Child }).process);
  };
  diagnostics.subscribe('child_process', onChild);
  hearWorkers();
  for (const worker of workers()) announceTo(worker.process);
  return () => {
    diagnostics.unsubscribe('child_process', onChild);
    stopHearing?.();
  };
}

/** A worker that was forked before this package was loaded. */
function announceTo(child: Child): void {
  if (child[ANSWER]) return;
  child[ANSWER] = (hello) => answer(child, hello, whereabouts);
  tell(child, CALL);
}

function hearOf(child: Child): void {
  child[ANSWER] = (hello) => answer(child, hello, isOwnWorker(child) ? whereabouts : whereaboutsForHelpers);
  // This event comes before a child has its channel, and the cluster module registers its workers even later.
  nextTick(() => {
    // Workers are handled through the cluster module.
    if (child.channel && !isOwnWorker(child))
      overhear(child, (content) => isHello(content) && child[ANSWER]?.(content));
  });
}

function isHello(content: unknown): content is Hello {
  return typeof content === 'object' && content !== null && 'hello' in content;
}

/** Sends a message of this package to `child`. A child that is just ending needs no answer. */
function tell(child: ChildProcess, content: Answer | typeof CALL): void {
  if (child.connected) child.send(wrapped(content), () => {});
}

/** Where this process's workers find the host: in this process, or where it finds its own host. */
function whereabouts(): Attachment {
  const key = electionKey();
  // A process that was told to host serves its own workers, wherever it runs.
  return key === undefined || native.isHosting() ? isolate().serveChildren() : ofThisUser(native.elect(key, true));
}

/** The attachment to a host that serves only processes of this user. */
function ofThisUser(endpoint: string): Attachment {
  return { endpoint, ...(process.geteuid && { user: process.geteuid() }) };
}

/** Children that are answered as soon as this process has its own answer. */
const waiting = new WeakSet<ChildProcess>();

/** Tells `child` where the host is. */
function answer(child: ChildProcess, { hello: user }: Hello, whereabouts: () => Attachment): void {
  const reply = (answer: Answer) => tell(child, withheld(answer, user));
  if (!isClient()) return reply(answerWith(whereabouts));
  const known = native.attachment();
  if (known) return reply(known);
  if (waiting.has(child)) return;
  waiting.add(child);
  const stop = find('its parent process', {
    onAnswer: (attachment) => {
      waiting.delete(child);
      child.off('disconnect', stop);
      reply(attachment);
    },
    onFailure: (error) => reply({ failure: error.message }),
  });
  child.once('disconnect', stop);
}

/** The answer for a process of `user`. */
function withheld(answer: Answer, user: number | null): Answer {
  if ('failure' in answer || serves(answer, user)) return answer;
  const { secret: _secret, ...rest } = answer;
  return rest;
}

/** Whether the host there serves processes of `user`. */
function serves({ user: host, allowedUsers }: Attachment, user: number | null): boolean {
  return host === undefined || user === null || user === host || (allowedUsers?.includes(user) ?? false);
}

/** Whether this process learns from the one that started it where its host is. */
function isClient(): boolean {
  if (native.isHosting() || electionKey() !== undefined) return false;
  return isClusterWorker() || isAttaching || native.attachment() !== null;
}

function answerWith(find: () => Attachment): Answer {
  try {
    return translated(find);
  } catch (error) {
    log('cannot listen: %s', error);
    return { failure: (error as Error).message };
  }
}

// --- helpers -------------------------------------------------------------------------------------------------------

/** The host that this process is a client of by its path. */
let endpointInUse: string | undefined;

/** Helpers of this process find the host there, unless it is a host itself. */
export function passOn(endpoint: string): void {
  endpointInUse = endpoint;
}

function isOwnWorker(child: ChildProcess): boolean {
  return workers().some((worker) => worker.process === child);
}

/** The workers of the cluster module that this process has forked. */
function workers(): Worker[] {
  return Object.values(clusterInUse()?.workers ?? {}).filter((worker) => worker !== undefined);
}

function whereaboutsForHelpers(): Attachment {
  const isElsewhere = endpointInUse !== undefined && !isolate().isHosting() && electionKey() === undefined;
  return isElsewhere ? ofThisUser(endpointInUse as string) : whereabouts();
}

// --- asking --------------------------------------------------------------------------------------------------------

let isAttaching = false;

/** The process, or thread, that looks for the host. */
export interface Seeker {
  /** It has been told where the host is; it stops asking. */
  onAnswer(attachment: Attachment): void;
  /** It has been told why there is no host yet; with `isRefusal` there is a host, but it serves only other users. */
  onFailure(error: Error, isRefusal: boolean): void;
}

/**
 * Looks for the primary. Nothing here keeps the process alive. Returns a function that stops looking. The host is not at
 * the path `stale`, where it was before.
 */
export function findPrimary(seeker: Seeker, stale?: string): () => void {
  return find('the primary', seeker, stale);
}

/** Looks for the host of the process that started this one, in the same way. */
export function findParent(seeker: Seeker, stale?: string): () => void {
  isAttaching = true;
  return find('the process that started this one', seeker, stale);
}

function find(who: string, seeker: Seeker, stale?: string): () => void {
  return isMainThread ? ask(who, seeker, stale) : awaitMainThread(seeker, stale);
}

function ask(who: string, { onAnswer, onFailure }: Seeker, stale?: string): () => void {
  const known = native.attachment();
  // Asks all the same: the host may be at another path since.
  if (known && known.endpoint !== stale) onAnswer(known);
  const before = stale ?? known?.endpoint;
  const hello: Hello = { hello: process.geteuid?.() ?? null };
  const say = () => {
    if (process.connected) process.send?.(wrapped(hello), undefined, undefined, () => {});
  };
  const stopAsking = repeat(say);
  const stopListening = overhear(process, (content) => {
    if (content === CALL) return say();
    const answer = content as Answer;
    if ('failure' in answer) {
      return onFailure(codedError('ERR_CC_NO_HOST', `${who} cannot listen: ${answer.failure}`), false);
    }
    // It continues to ask: the host may allow this user later.
    const refusal = refusalBy(answer);
    if (refusal) return onFailure(refusal, true);
    if (answer.endpoint === before) {
      // The host is there again, or about to be. The link finds it by itself, and then stops this.
      if (stale === undefined) stop();
      return;
    }
    stop();
    native.setAttachment(answer);
    onAnswer(answer);
  });
  const stop = () => {
    stopAsking();
    stopListening();
  };
  return stop;
}

/** The error for a host of another user that does not serve this one: this process could not even open its socket. */
function refusalBy(answer: Attachment): Error | undefined {
  const own = process.geteuid?.() ?? null;
  if (serves(answer, own)) return undefined;
  const remedy = answer.allowedUsers ? `, or give the host a cache with \`allowUids: [${own}]\`` : '';
  return codedError(
    'ERR_CC_FOREIGN_PEER',
    `the host runs as user ${answer.user}, this process as user ${own}: run both as the same user (no \`uid\` in ` +
      `cluster.setupPrimary or child_process.fork)${remedy}`,
  );
}

/** Threads have no IPC of their own: the main thread asks, and leaves the answer where threads find it. */
function awaitMainThread({ onAnswer }: Seeker, stale?: string): () => void {
  const stop = repeat(() => {
    const attachment = native.attachment();
    if (!attachment || attachment.endpoint === stale) return;
    stop();
    onAnswer(attachment);
  });
  return stop;
}

/** Calls `act` now and again at growing intervals, until stopped. */
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
  microtask(next);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
